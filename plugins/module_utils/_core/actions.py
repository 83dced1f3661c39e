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

from .fields import FIELDS, LOCAL, NXM, Bits, Field, FlowTextError, field_named, read_ipv4, read_number, read_value


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
class Nat:
    """What a new connection's ``end`` becomes: `src` or `dst`; empty: packets are translated as their connection was.

    ``addresses`` and ``ports`` are the first and the last of a range; address 0.0.0.0 keeps the packet's own.
    """

    end: str = ""
    addresses: tuple[int, int] = (0, 0)
    ports: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Ct:
    """Through connection tracking; ``table`` is where a copy of the packet goes on with the result."""

    zone: int
    commit: bool
    table: int | None
    exec: tuple[SetField | Move, ...] = ()
    nat: Nat | None = None


@dataclass(frozen=True, slots=True)
class Resubmit:
    """Does what ``table`` (None: the same) says about the packet as if it came from ``port`` (None: where it did)."""

    port: int | None
    table: int | None


@dataclass(frozen=True, slots=True)
class ToGroup:
    """To the group ``number``, whose buckets get copies of the packet."""

    number: int


@dataclass(frozen=True, slots=True)
class Learn:
    """Adds rules to ``table``; `learn` reads what its text says about them."""

    table: int
    text: str


Action: TypeAlias = "Output | Back | Normal | Goto | SetField | Move | DecTtl | Ct | Resubmit | ToGroup | Learn"
PortReader = Callable[[str], int]

_ITEM = re.compile(r"[^,\s]+")
_NAT = re.compile(r"([0-9.]+)(?:-([0-9.]+))?(?::([0-9]+)(?:-([0-9]+))?)?")
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
    "local": Output(LOCAL),
    "dec_ttl": DecTtl(),
}


def _action(item: str, port: PortReader) -> Action:
    word = item.lower()
    if word in _WORDS:
        return _WORDS[word]
    name, parenthesis, inner = item.partition("(")
    if parenthesis and inner.endswith(")") and name.lower() in ("ct", "learn", "resubmit"):
        return _call(name.lower(), inner[:-1], port)
    kind, _colon, value = item.partition(":")
    readers: Mapping[str, Callable[[str], Action]] = {
        "output": lambda text: Output(port(text)),
        "goto_table": lambda text: Goto(_table(text)),
        "group": lambda text: ToGroup(read_number(text, 32)),
        "resubmit": lambda text: _resubmit(text, port),
    }
    if kind.lower() in readers:
        return readers[kind.lower()](value)
    return _change(item, _CHANGEABLE)


def _call(name: str, inner: str, port: PortReader) -> Action:
    if name == "resubmit":
        return _resubmit(inner, port)
    return _ct(inner) if name == "ct" else _learn(inner)


def _resubmit(text: str, port: PortReader) -> Resubmit:
    """``PORT``, ``PORT,TABLE`` or ``,TABLE``."""
    name, _comma, table = (part.strip() for part in text.partition(","))
    if not name and not table:
        raise FlowTextError("resubmit needs a port or a table.")
    there = None if not name or name.lower() == "in_port" else port(name)
    return Resubmit(there, _table(table) if table else None)


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
    zone, commit, table, nat = 0, False, None, None
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
        elif item == "nat":
            nat = Nat()
        elif item.startswith("nat(") and item.endswith(")"):
            nat = _nat(item[4:-1])
        else:
            raise FlowTextError(f"{item!r} in ct() is unknown here.")
    if changes and not commit:
        raise FlowTextError("exec() in ct() takes effect with commit only.")
    if nat is not None and nat.end and not commit:
        raise FlowTextError("nat() with an address takes effect with commit only.")
    return Ct(zone, commit, table, changes, nat)


def _nat(text: str) -> Nat:
    """``src=ADDRESS[-ADDRESS][:PORT[-PORT]]`` or ``dst=…``. How the switch picks from a range makes no difference."""
    ends = [item for item in split_list(text) if item not in ("random", "hash", "persistent")]
    end, _equals, value = ends[0].partition("=") if len(ends) == 1 else ("", "", "")
    found = _NAT.fullmatch(value)
    if end not in ("src", "dst") or not found:
        raise FlowTextError(f"nat({text}): not src= or dst= with an IPv4 address or a range of them.")
    first = read_ipv4(found[1])
    addresses = first, read_ipv4(found[2]) if found[2] else first
    ports = None
    if found[3]:
        low = read_number(found[3], 16)
        ports = low, read_number(found[4], 16) if found[4] else low
    if addresses[0] > addresses[1] or (ports and (not ports[0] or ports[0] > ports[1])):
        raise FlowTextError(f"nat({text}): a range goes up, and ports begin at 1.")
    return Nat(end, addresses, ports)


def _learn(text: str) -> Learn:
    items = list(split_list(text))
    tables = [item.partition("=")[2] for item in items if item.startswith("table=")]
    if len(tables) != 1:
        raise FlowTextError("learn() has to name one table.")
    return Learn(_table(tables[0]), ",".join(items))
