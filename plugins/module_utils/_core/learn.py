# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""The rule that `learn()` makes of a packet. Whole fields only; when learned rules time out is not modelled."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from .actions import Action, Learn, Output, SetField, split_list
from .fields import FIELDS, NXM, Bits, Field, FlowTextError, field_named, mac_text, read_number, read_value
from .rules import DEFAULT_PRIORITY, Rule

_WHOLE = re.compile(r"(\w+)\[\]")
_NXM: Mapping[str, str] = {
    **NXM,
    "NXM_OF_IN_PORT": "in_port",
    "NXM_OF_ETH_TYPE": "dl_type",
    "NXM_OF_VLAN_TCI": "vlan_tci",
    "NXM_OF_IP_PROTO": "nw_proto",
    **{f"NXM_OF_{name}_{end}": f"tp_{end.lower()}" for name in ("TCP", "UDP") for end in ("SRC", "DST")},
}
_WIDTHS = {"priority": 16, "cookie": 64, "idle_timeout": 16, "hard_timeout": 16}


@dataclass(frozen=True, slots=True)
class _Copy:
    """A value for ``target``: a field of the packet, or a constant in the place of ``target``."""

    target: Field
    source: Field | Bits

    def bits(self, header: int) -> Bits:
        """What ``target`` is to be for a packet with ``header``."""
        if isinstance(self.source, Bits):
            return self.source
        return Bits(self.target.put(0, self.source.of(header)), self.target.mask)


@dataclass(frozen=True, slots=True)
class Lesson:
    """What `learn()` teaches."""

    table: int
    priority: int
    cookie: int
    matches: tuple[_Copy, ...]
    actions: tuple[_Copy | Field, ...]
    text: str

    def rule(self, header: int) -> Rule:
        """The rule that a packet with ``header`` leads to. Its line is 0: it stands in no list."""
        value = mask = 0
        for match in self.matches:
            bits = match.bits(header)
            value, mask = value & ~bits.mask | bits.value, mask | bits.mask
        made: list[Action] = []
        for action in self.actions:
            made.append(Output(action.of(header)) if isinstance(action, Field) else SetField(action.bits(header)))
        known = [f"{field.name}={_text(field, value)}" for field in FIELDS.values() if mask & field.mask]
        text = f"table={self.table},priority={self.priority},{','.join(known)} learned by {self.text}"
        return Rule(self.table, self.priority, Bits(value, mask), tuple(made), self.cookie, text, 0)


def _text(field: Field, header: int) -> str:
    return mac_text(field.of(header)) if field.kind == "mac" else f"{field.of(header):#x}"


def read_lesson(action: Learn) -> Lesson:
    """What ``action`` says; raises FlowTextError for what is not modelled."""
    numbers = {"priority": DEFAULT_PRIORITY, "cookie": 0}
    matches: list[_Copy] = []
    actions: list[_Copy | Field] = []
    for item in split_list(action.text):
        name, _equals, value = item.partition("=")
        if name == "table":
            continue
        if name in _WIDTHS:
            numbers[name] = read_number(value, _WIDTHS[name])
        elif item.startswith("output:"):
            actions.append(_field(item.removeprefix("output:")))
        elif item.startswith("load:"):
            source, arrow, target = item.removeprefix("load:").partition("->")
            if not arrow:
                raise FlowTextError(f"{item!r} in learn() names no field to set.")
            actions.append(_copy(target, source))
        else:
            matches.append(_copy(name, value or name))
    text = f"learn({action.text})"
    return Lesson(action.table, numbers["priority"], numbers["cookie"], tuple(matches), tuple(actions), text)


def _field(text: str) -> Field:
    found = _WHOLE.fullmatch(text)
    if not found:
        raise FlowTextError(f"{text!r} in learn(): only whole fields are simulated.")
    return FIELDS[_NXM[found[1]]] if found[1] in _NXM else field_named(found[1])


def _copy(name: str, value: str) -> _Copy:
    """``value`` is a field of the packet (with brackets) or a constant."""
    target = _field(name) if "[" in name else field_named(name)
    if "[" not in value:
        return _Copy(target, read_value(target, value))
    source = _field(value)
    if source.width != target.width:
        raise FlowTextError(f"{name} and {value} in learn() differ in width.")
    return _Copy(target, source)
