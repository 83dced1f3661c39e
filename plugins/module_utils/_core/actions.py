# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Actions of a rule as data, read from the text that ovs-ofctl takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from .fields import FIELDS, NXM, Bits, Field, FlowTextError, field_named, read_number, read_value


@dataclass(frozen=True, slots=True)
class Output:
    """To a port, by number."""

    port: int


@dataclass(frozen=True, slots=True)
class Back:
    """To the port that the packet came from (IN_PORT)."""


@dataclass(frozen=True, slots=True)
class Normal:
    """To the bridge's own MAC learning switch."""


@dataclass(frozen=True, slots=True)
class Goto:
    table: int


@dataclass(frozen=True, slots=True)
class SetField:
    bits: Bits


@dataclass(frozen=True, slots=True)
class Move:
    source: Field
    target: Field


@dataclass(frozen=True, slots=True)
class DecTtl:
    """One hop less; a packet at its last goes no further."""


@dataclass(frozen=True, slots=True)
class Ct:
    """Through connection tracking; ``table`` is where a copy of the packet goes on with the result."""

    zone: int
    commit: bool
    table: int | None
    exec: tuple[SetField | Move, ...] = ()


@dataclass(frozen=True, slots=True)
class Learn:
    """Adds rules to ``table``; its text tells two of them apart. Known to the checker only."""

    table: int
    text: str


Action: TypeAlias = "Output | Back | Normal | Goto | SetField | Move | DecTtl | Ct | Learn"
PortReader = Callable[[str], int]

_ITEM = re.compile(r"[^,\s]+")
_MOVE = re.compile(r"(\w+)\[\]->(\w+)\[\]")
_CHANGEABLE = frozenset(
    {"dl_src", "dl_dst", "nw_src", "nw_dst", "tp_src", "tp_dst", "arp_op", "arp_spa", "arp_tpa", "arp_sha", "arp_tha"}
) | {f"reg{number}" for number in range(16)}


def split_list(text: str) -> Iterator[str]:
    """Items of a list separated by commas or white space; what stands in parentheses belongs together."""
    if "(" not in text and ")" not in text:
        yield from _ITEM.findall(text)
        return
    depth, item = 0, ""
    for character in text:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            break
        if depth == 0 and (character == "," or character.isspace()):
            if item:
                yield item
            item = ""
        else:
            item += character
    if depth:
        raise FlowTextError(f"the parentheses of {text!r} do not match.")
    if item:
        yield item


def read_actions(text: str, port: PortReader) -> tuple[Action, ...]:
    """What ``text`` (after ``actions=``) tells the switch to do; ``drop`` is no action at all.

    ``port`` gives the number of a port that is written as a name or as a number.
    """
    items = list(split_list(text))
    if items == ["drop"]:
        return ()
    if not items:
        raise FlowTextError("no actions (to drop, write actions=drop).")
    actions = tuple(_action(item, port) for item in items)
    if any(isinstance(action, Goto) for action in actions[:-1]):
        raise FlowTextError("goto_table has to be the last action.")
    return actions


_WORDS: Mapping[str, Action] = {
    "normal": Normal(),
    "output:normal": Normal(),
    "in_port": Back(),
    "output:in_port": Back(),
    "dec_ttl": DecTtl(),
}


def _action(item: str, port: PortReader) -> Action:
    word = item.lower()
    if word in _WORDS:
        return _WORDS[word]
    if word.startswith("output:"):
        return Output(port(item.partition(":")[2]))
    if word.startswith("goto_table:"):
        return Goto(_table(word.partition(":")[2]))
    if word.startswith(("ct(", "learn(")) and item.endswith(")"):
        inner = item[item.index("(") + 1 : -1]
        return _ct(inner) if word.startswith("ct(") else _learn(inner)
    return _change(item, _CHANGEABLE)


def _table(text: str) -> int:
    table = read_number(text, 8)
    if table == 255:
        raise FlowTextError("255 is no table.")
    return table


def _change(item: str, targets: frozenset[str]) -> SetField | Move:
    kind, _colon, rest = item.partition(":")
    if kind == "set_field":
        value, arrow, name = rest.rpartition("->")
        target = field_named(name)
        if not arrow:
            raise FlowTextError(f"{item!r} names no field to set.")
        action: SetField | Move = SetField(read_value(target, value))
    elif kind == "move":
        found = _MOVE.fullmatch(rest)
        if not found or found[1] not in NXM or found[2] not in NXM:
            raise FlowTextError(f"{item!r}: only whole known fields can be moved.")
        source, target = FIELDS[NXM[found[1]]], FIELDS[NXM[found[2]]]
        if source.width != target.width:
            raise FlowTextError(f"{item!r}: {source.name} and {target.name} differ in width.")
        action = Move(source, target)
    else:
        raise FlowTextError(f"the action {item!r} is unknown here.")
    if target.name not in targets:
        raise FlowTextError(f"{item!r}: {target.name} is not changed here.")
    return action


def _ct(text: str) -> Ct:
    """The arguments of ``ct(...)``: commit, zone=, table=, exec(...)."""
    zone, commit, table = 0, False, None
    changes: tuple[SetField | Move, ...] = ()
    for item in split_list(text):
        name, _equals, value = item.partition("=")
        if item == "commit":
            commit = True
        elif name == "zone":
            zone = read_number(value, 16)
        elif name == "table":
            table = _table(value)
        elif item.startswith("exec(") and item.endswith(")"):
            changes = tuple(_change(part, frozenset({"ct_mark"})) for part in split_list(item[5:-1]))
        else:
            raise FlowTextError(f"{item!r} in ct() is unknown here.")
    if changes and not commit:
        raise FlowTextError("exec() in ct() takes effect with commit only.")
    return Ct(zone, commit, table, changes)


def _learn(text: str) -> Learn:
    items = list(split_list(text))
    tables = [item.partition("=")[2] for item in items if item.startswith("table=")]
    if len(tables) != 1:
        raise FlowTextError("learn() has to name one table.")
    return Learn(_table(tables[0]), ",".join(items))
