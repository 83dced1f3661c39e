# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets out of rules: one for every way through the tables, and its neighbours that differ in one field."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.actions import (
    Action,
    Ct,
    Goto,
    Move,
    Resubmit,
    SetField,
    ToGroup,
)
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.fields import (
    FIELDS,
    FRAGMENT,
    LATER,
    Bits,
    flag_bits,
    packed,
)
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.groups import Group
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.rules import Rule

from tests.lib.trace import possible

NO_GROUPS: Mapping[int, Group] = MappingProxyType({})
MAX_WAYS = 1_500
_INITIAL = ("reg", "ct_zone")
STATES = [
    flag_bits("ct_state", "trk", *flags)
    for flags in (
        ("new",),
        ("est",),
        ("est", "rpl"),
        ("rel",),
        ("rel", "rpl"),
        ("inv",),
        ("new", "rel"),
        ("new", "dnat"),
        ("est", "rpl", "snat"),
    )
]
_SYN, _ACK = flag_bits("tcp_flags", "syn"), flag_bits("tcp_flags", "ack")
_CORNERS = {
    "nw_proto": [1, 6, 17, 47],
    "dl_type": [0x800, 0x806, 0x86DD, 0x88CC],
    "tcp_flags": [_SYN, _ACK, _SYN | _ACK, 0],
    "nw_ttl": [0, 1, 2, 64, 255],
    "nw_frag": [0, FRAGMENT, FRAGMENT | LATER],
    "vlan_tci": [0, 0x1001],
    "ct_state": STATES,
    "nw_src": [0xC6336407, 0],
    "nw_dst": [0xCB007109, 0xFFFFFFFF],
}
_TYPICAL = packed(
    dl_type=0x800,
    dl_dst=0x020000000001,
    nw_ttl=64,
    nw_src=0xC6336407,
    nw_dst=0xCB007109,
    nw_proto=17,
    tp_src=40000,
    tp_dst=40001,
    tcp_flags=_SYN,
    ct_state=STATES[0],
)


def constants(rules: Sequence[Rule]) -> dict[str, list[int]]:
    """Per field of a packet the values in matches, one more and one less, and some corners."""
    found: dict[str, set[int]] = {name: set(values) for name, values in _CORNERS.items()}
    for name, field in FIELDS.items():
        if name.startswith(_INITIAL):
            continue
        values = found.setdefault(name, set())
        if name in _CORNERS and name not in ("nw_src", "nw_dst"):
            continue
        for rule in rules:
            mask = field.of(rule.bits.mask)
            if mask:
                value = field.of(rule.bits.value)
                last = value | ~mask & (1 << field.width) - 1
                values |= {value, value - 1, value + 1, last, last + 1}
        found[name] = {value for value in values if 0 <= value < 1 << field.width}
    return {name: sorted(values) for name, values in found.items() if values}


def ways(rules: Sequence[Rule], groups: Mapping[int, Group] = NO_GROUPS) -> Iterator[Bits]:
    """For every way through the tables the headers that may take it, rules of higher priority apart.

    ct_state and ct_mark of a header are the answer of connection tracking.
    """
    tables: dict[int, list[Rule]] = {}
    for rule in rules:
        tables.setdefault(rule.table, []).append(rule)
    pending = [(0, Bits(0, 0), Bits(0, 0))]
    while pending:
        table, initial, known = pending.pop()
        for rule in tables.get(table, ()):
            met = _met(initial, known, rule.bits)
            if met is None:
                continue
            onward, _last = _after(rule.actions, known, groups)
            later = [(there, met, now) for there, now in onward if there > table and there in tables]
            if not later:
                yield met
            pending += later


def _met(initial: Bits, known: Bits, match: Bits) -> Bits | None:
    """``initial`` narrowed to what also matches; bits that actions have set meanwhile are ``known``."""
    if (known.value ^ match.value) & known.mask & match.mask:
        return None
    value, mask = match.value & ~known.mask, match.mask & ~known.mask
    if (initial.value ^ value) & initial.mask & mask:
        return None
    return Bits(initial.value | value, initial.mask | mask)


def _after(actions: Iterable[Action], known: Bits, groups: Mapping[int, Group]) -> tuple[list[tuple[int, Bits]], Bits]:
    """The tables that ``actions`` lead to, each with the bits that are known there, and those known at the end."""
    value, mask = known
    onward = []
    for action in actions:
        if isinstance(action, SetField):
            value, mask = value & ~action.bits.mask | action.bits.value, mask | action.bits.mask
        elif isinstance(action, Move):
            mask |= action.target.mask
        elif isinstance(action, ToGroup):
            for bucket in groups[action.number].buckets:
                onward += _after(bucket.actions, Bits(value, mask), groups)[0]
        elif isinstance(action, Resubmit) and action.port is not None:
            port = FIELDS["in_port"]
            onward.append((action.table or 0, Bits(port.put(value, action.port), mask | port.mask)))
        elif isinstance(action, (Goto, Ct, Resubmit)) and action.table is not None:
            onward.append((action.table, Bits(value, mask)))
    return onward, Bits(value, mask)


def packets(
    rules: Sequence[Rule],
    ports: Collection[int],
    limit: int,
    *,
    groups: Mapping[int, Group] = NO_GROUPS,
    seed: int = 4,
) -> list[int]:
    """About ``limit`` headers: one for each way, then neighbours of theirs, and of those. They come from ``ports``."""
    rng = random.Random(seed)
    typical = FIELDS["in_port"].put(_TYPICAL, min(ports))
    values = {**constants(rules), "in_port": sorted(ports)}
    found = sorted({possible(typical & ~way.mask | way.value) for way in ways(rules, groups)})
    if len(found) > MAX_WAYS:
        found = sorted(rng.sample(found, MAX_WAYS))
    every = dict.fromkeys(found)
    newest = found
    while newest and len(every) < limit:
        near = [(header, name, value) for header in newest for name in values for value in values[name]]
        rng.shuffle(near)
        newest = []
        for header, name, value in near:
            neighbour = possible(FIELDS[name].put(header, value))
            if neighbour not in every and len(every) < limit:
                every[neighbour] = None
                newest.append(neighbour)
    return list(every)
