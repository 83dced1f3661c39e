# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Which values the fields of a packet can have in each table, and so which tables and rules no packet comes to.

Every field has a set of values in every table, apart from the other fields: more than can really be, never less. A
rule that is accused is one that no packet can match. What stands in a packet when it comes in is anything; registers
are zero and nothing is tracked then. What connection tracking says may be anything, because it outlives the rules.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias

from .actions import Action, Back, Ct, DecTtl, Goto, Learn, Move, Normal, Output, Resubmit, SetField, ToGroup
from .fields import CT_FLAGS, FIELDS, Bits, Field
from .rules import Rule

Values: TypeAlias = "frozenset[int] | None"
"""What a field may be; None is anything."""

State: TypeAlias = "dict[str, frozenset[int]]"
"""Values by field; a field that is not there may be anything."""

LIMIT = 65536
"""A field with more values than this may be anything."""

_TRACKED: Mapping[str, Values] = {
    "ct_state": frozenset(flags for flags in range(1 << len(CT_FLAGS)) if flags >> CT_FLAGS.index("trk") & 1),
    "ct_mark": None,
    **dict.fromkeys(("nw_frag", "tp_src", "tp_dst", "tcp_flags")),
}
"""What connection tracking makes of fields. It puts fragments together, which have no ports of their own."""
_START: Mapping[str, frozenset[int]] = {
    **{name: frozenset((0,)) for name in FIELDS if name.startswith("reg")},
    **{name: frozenset((0,)) for name in ("ct_state", "ct_zone", "ct_mark")},
}
_TRANSLATED = ("nw_src", "nw_dst")
"""What NAT changes beyond that. It shows when packets come back, also from a ct() after the one that translated."""


@dataclass(frozen=True, slots=True)
class Misfit:
    """No packet has, where ``rule`` is, what it wants of ``field``: there it is one of ``seen``."""

    rule: Rule
    field: Field
    wanted: Bits
    seen: frozenset[int]


@dataclass(frozen=True, slots=True)
class Reach:
    """``tables`` are those that packets come to; rules of them that nevertheless match none are ``misfits``."""

    tables: frozenset[int]
    misfits: tuple[Misfit, ...]


@dataclass(slots=True)
class _Way:
    """What the rules of one table send to another one: how many do, and what they make of each field."""

    rules: int = 0
    fields: dict[str, tuple[int, set[int] | None]] = field(default_factory=dict)
    anything: bool = False

    def add(self, touched: Mapping[str, Values]) -> None:
        self.rules += 1
        for name, values in touched.items():
            count, known = self.fields.get(name, (0, set()))
            if values is None or known is None:
                known = None
            else:
                known |= values
            self.fields[name] = count + 1, known

    def state(self, before: State) -> State:
        """What comes out of a table that ``before`` comes to."""
        if self.anything:
            return {}
        found: State = {}
        for name in before.keys() | self.fields.keys():
            count, values = self.fields.get(name, (0, set()))
            kept = before.get(name) if count < self.rules else frozenset()
            if values is not None and kept is not None and len(values) + len(kept) <= LIMIT:
                found[name] = kept | values
        return found


def reach(tables: Mapping[int, Sequence[Rule]], dead: Collection[int] = ()) -> Reach:
    """Follow packets from table 0 through ``tables``. ``dead`` holds the id() of rules that never act.

    Groups are not known here; where there is one, it might send anything anywhere.
    """
    actions = [action for rules in tables.values() for rule in rules for action in rule.actions]
    if any(isinstance(action, ToGroup) for action in actions):
        return Reach(frozenset(tables), ())
    tracked = dict(_TRACKED)
    if any(isinstance(action, Ct) and action.nat for action in actions):
        tracked.update(dict.fromkeys(_TRANSLATED))
    states: dict[int, State] = {0: dict(_START)}
    pending = {0}
    misfits: dict[int, list[Misfit]] = {}
    while pending:
        table = min(pending)
        pending.remove(table)
        ways, misfits[table] = _pass(tables.get(table, ()), states[table], dead, tracked)
        for target, way in ways.items():
            after = way.state(states[table])
            known = states.get(target)
            joined = after if known is None else _join(known, after)
            if joined != known:
                states[target] = joined
                pending.add(target)
    return Reach(frozenset(states), tuple(misfit for table in sorted(misfits) for misfit in misfits[table]))


def _join(one: State, other: State) -> State:
    both = {name: one[name] | other[name] for name in one.keys() & other.keys()}
    return {name: values for name, values in both.items() if len(values) <= LIMIT}


def _pass(
    rules: Sequence[Rule], state: State, dead: Collection[int], tracked: Mapping[str, Values]
) -> tuple[dict[int, _Way], list[Misfit]]:
    """Where packets in ``state`` go on to from a table of ``rules``, and the rules that none of them matches.

    ``tracked`` is what connection tracking makes of fields.
    """
    ways: dict[int, _Way] = {}
    misfits: list[Misfit] = []
    seen: dict[tuple[str, int, int], Values] = {}
    for rule in rules:
        if id(rule) in dead:
            continue
        touched: dict[str, Values] = {}
        for place, mask in _matched(rule.bits.mask):
            value = rule.bits.value >> place.shift & mask
            key = (place.name, value, mask)
            if key not in seen:
                seen[key] = _narrowed(state.get(place.name), value, mask, place.width)
            values = seen[key]
            if values is not None and not values:
                misfits.append(Misfit(rule, place, Bits(value, mask), state[place.name]))
                break
            touched[place.name] = values
        else:
            for target, change in _sent(rule, state, touched, tracked):
                way = ways.setdefault(target, _Way())
                if change is None:
                    way.anything = True
                else:
                    way.add(change)
    return ways, misfits


@lru_cache(maxsize=4096)
def _matched(mask: int) -> tuple[tuple[Field, int], ...]:
    """The fields in ``mask``, each with its part of it."""
    found = ((place, place.of(mask)) for place in FIELDS.values())
    return tuple((place, part) for place, part in found if part)


def _narrowed(values: Values, value: int, mask: int, width: int) -> Values:
    """Those of ``values`` that are ``value`` under ``mask``."""
    whole = mask == (1 << width) - 1
    if values is None:
        return frozenset((value,)) if whole else None
    if whole:
        return frozenset((value,)) if value in values else frozenset()
    return frozenset(known for known in values if known & mask == value)


def _sent(
    rule: Rule, state: State, touched: dict[str, Values], tracked: Mapping[str, Values]
) -> Iterator[tuple[int, dict[str, Values] | None]]:
    """The tables that ``rule`` sends packets to, each with the fields that differ from ``state``; None is anything."""
    lost = False
    for action in rule.actions:
        if isinstance(action, Goto):
            yield action.table, None if lost else touched
        elif isinstance(action, Resubmit):
            there = {} if action.port is None else {"in_port": frozenset((action.port,))}
            yield rule.table if action.table is None else action.table, None if lost else {**touched, **there}
            lost = True
        elif isinstance(action, Ct):
            if action.table is not None:
                zone = {"ct_zone": frozenset((action.zone,))}
                yield action.table, None if lost else {**touched, **tracked, **zone}
        else:
            touched = {**touched, **_changed(action, state, touched)}


def _changed(action: Action, state: State, touched: Mapping[str, Values]) -> dict[str, Values]:
    """The field that ``action`` changes, with its new values."""
    if isinstance(action, (Output, Back, Normal, Learn)):
        return {}
    if isinstance(action, DecTtl):
        return {"nw_ttl": None}
    if isinstance(action, Move):
        return {action.target.name: _known(action.source.name, state, touched)}
    if isinstance(action, SetField):
        ((target, mask),) = _matched(action.bits.mask)
        value = target.of(action.bits.value)
        if mask == (1 << target.width) - 1:
            return {target.name: frozenset((value,))}
        before = _known(target.name, state, touched)
        return {target.name: None if before is None else frozenset(known & ~mask | value for known in before)}
    return dict.fromkeys(FIELDS)


def _known(name: str, state: State, touched: Mapping[str, Values]) -> Values:
    return touched[name] if name in touched else state.get(name)
