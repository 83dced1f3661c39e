# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Where a bridge lets new connections go: all ways of a set of headers through its tables, first match by first match.

A connection is new when its bridge has none like it in any conntrack zone. TCP packets are those with SYN alone, an
ICMP packet is a request, and a TTL never runs out: every packet here is the first of a connection.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby

from .actions import Action, Back, Ct, DecTtl, Goto, Learn, Move, Normal, Output, SetField
from .conntrack import NEW, TRACKED
from .cube import Budget, intersection, overlap
from .fields import ETH_IP, FIELDS, NORMAL, Bits, FlowTextError, exact, flag_bits, packed
from .matrix_space import NOTHING, Header, Region, remaining
from .rules import Rule
from .tables import L3, POLICY
from .tuples import TupleSpace

MAX_TABLES = 64
"""Tables that a packet may visit, as in Open vSwitch; more is a loop."""

_VISIT = 20
"""What looking into a table costs, in elementary steps."""

_CT_MARK = FIELDS["ct_mark"]
_FRESH = [name for name in FIELDS if name.startswith(("reg", "ct_", "arp_"))]
_BLANK = Bits(0, sum(FIELDS[name].mask for name in _FRESH))
_NO_CT = Bits(0, sum(FIELDS[name].mask for name in ("ct_state", "ct_zone", "ct_mark")))
_FIRST = Bits(
    packed(dl_type=ETH_IP, tcp_flags=flag_bits("tcp_flags", "syn")),
    sum(FIELDS[name].mask for name in ("dl_type", "vlan_tci", "tcp_flags")) | _BLANK.mask,
)
_KNOWN_ACTIONS = (Output, Back, Normal, Goto, SetField, Move, DecTtl, Ct, Learn)


def first_packets(port: int, more: Bits = NOTHING) -> Bits:
    """First packets of connections, of every IP protocol, that come in at ``port`` and are in ``more``."""
    return intersection(intersection(_FIRST, exact("in_port", port)), more)


def entering(header: Header, port: int, more: Bits = NOTHING) -> Header:
    """``header`` as it comes in at ``port`` of the next bridge, where ``more`` is written into it."""
    return header.put(_BLANK).put(exact("in_port", port)).put(more)


@dataclass(frozen=True, slots=True)
class Way:
    """Headers that take one way through the tables, what they are at its end, and the rules on it.

    ``port`` is where they leave the bridge; None when the last rule (or no rule, in the last table) drops them.
    """

    region: Region
    header: Header
    port: int | None
    rules: tuple[Rule, ...]

    @property
    def deciding(self) -> Rule | None:
        """The rule that dropped them or, of those that leave, the one that judged or else routed them."""
        if self.port is not None:
            for table in (POLICY, L3):
                for rule in self.rules:
                    if rule.table == table:
                        return rule
        return self.rules[-1] if self.rules else None


@dataclass(frozen=True, slots=True)
class _State:
    """``marks``: what a zone's connection has as ct_mark, as a header whose field ct_mark holds it."""

    region: Region
    header: Header
    rules: tuple[Rule, ...]
    marks: Mapping[int, Header]
    tables: int


class Switch:
    """A bridge with ``rules`` and ``ports`` (numbers; None: whatever the rules name).

    Of overlapping rules with the same priority each is taken for the one that acts. ``learning`` are tables that rules
    add rules to, which are not looked at. Raises FlowTextError for actions that are not followed here.
    """

    def __init__(self, rules: Iterable[Rule], ports: Collection[int] | None = None) -> None:
        last = {(rule.table, rule.priority, rule.bits): rule for rule in rules}
        tables: dict[int, list[Rule]] = {}
        for rule in last.values():
            if not all(_is_followed(action) for action in rule.actions):
                raise FlowTextError(
                    f"{rule.text}: groups, resubmit and translation of addresses are not followed here."
                )
            tables.setdefault(rule.table, []).append(rule)
        self._tables = {table: TupleSpace(members) for table, members in tables.items()}
        self._ports = ports
        learnt = {each.table for rule in last.values() for each in rule.actions if isinstance(each, Learn)}
        self.learning = tuple(sorted(learnt))

    def ways(self, first: Region, budget: Budget) -> Iterator[Way]:
        """Every way of the headers ``first``, all of which come in at one port. Raises OutOfBudgetError."""
        return _Push(self._tables, self._ports, budget).ways(first)


class _Push:
    """The walk through the tables for one set of headers."""

    def __init__(self, tables: Mapping[int, TupleSpace], ports: Collection[int] | None, budget: Budget) -> None:
        self._tables = tables
        self._ports = ports
        self._budget = budget
        self._waiting: list[tuple[_State, int]] = []

    def ways(self, first: Region) -> Iterator[Way]:
        self._waiting = [(_State(first, Header(), (), {}, 0), 0)]
        while self._waiting:
            state, table = self._waiting.pop()
            yield from self._visit(state, table)

    def _visit(self, state: _State, table: int) -> Iterator[Way]:
        if state.tables == MAX_TABLES:
            return
        space = self._tables.get(table)
        matching = space.overlapping(state.header.now(state.region.cube), -1) if space else []
        matching.sort(key=lambda rule: -rule.priority)
        self._budget.spend(_VISIT + len(matching))
        taken: dict[int, dict[Bits, None]] = {}
        for _priority, group in groupby(matching, key=lambda rule: rule.priority):
            now: list[tuple[int, Bits]] = []
            for rule in group:
                back = state.header.back(rule.bits)
                if back is None or not overlap(back, state.region.cube):
                    continue
                left = self._left(state.region, rule.bits.mask, back, taken)
                if left is not None:
                    yield from self._act(replace(state, region=left, rules=(*state.rules, rule)), rule)
                now.append((rule.bits.mask, back))
            if any(not back.mask & ~state.region.cube.mask for _mask, back in now):
                return
            for mask, back in now:
                taken.setdefault(mask, {})[back] = None
        missed = state.region.without([bits for group in taken.values() for bits in group])
        if missed is not None and not missed.is_empty(self._budget):
            yield Way(missed, state.header, None, state.rules)

    def _left(self, region: Region, mask: int, back: Bits, taken: Mapping[int, Mapping[Bits, None]]) -> Region | None:
        """What of ``region`` a rule with ``mask`` gets that matches ``back``, after ``taken`` by mask of the rules.

        Rules of one mask match the same or share nothing.
        """
        left = None if back in taken.get(mask, ()) else region.narrowed(back)
        if left is None:
            return None
        holes = list(left.holes)
        for other, group in taken.items():
            self._budget.spend(len(group))
            if other != mask:
                more = remaining(left.cube, group)
                if more is None:
                    return None
                holes += more
        left = Region(left.cube, tuple(dict.fromkeys(holes)))
        return None if left.is_empty(self._budget) else left

    def _act(self, state: _State, rule: Rule) -> Iterator[Way]:
        header, table, marks, sent = state.header, None, state.marks, False
        for action in rule.actions:
            if isinstance(action, Goto):
                table = action.table
            elif isinstance(action, Ct):
                if action.commit:
                    marks = {**marks, action.zone: _marked(marks.get(action.zone), header, action)}
                if action.table is not None:
                    sent = True
                    copy = replace(state, header=_tracked(header, marks.get(action.zone), action.zone), marks=marks)
                    self._waiting.append((replace(copy, tables=state.tables + 1), action.table))
                header = header.put(_NO_CT)
            elif isinstance(action, SetField):
                header = header.put(action.bits)
            elif isinstance(action, Move):
                header = header.copied(action.source, action.target)
            else:
                port = self._out(action, state.region.cube)
                if port is not None:
                    sent = True
                    yield Way(state.region, header, port, state.rules)
        if table is not None:
            self._waiting.append((replace(state, header=header, marks=marks, tables=state.tables + 1), table))
        elif not sent:
            yield Way(state.region, header, None, state.rules)

    def _out(self, action: Action, first: Bits) -> int | None:
        """The port that ``action`` sends to, if any."""
        came = FIELDS["in_port"].of(first.value)
        if isinstance(action, Output):
            there = action.port != came and (self._ports is None or action.port in self._ports)
            return action.port if there else None
        if isinstance(action, Back):
            return came
        return NORMAL if isinstance(action, Normal) else None


def _is_followed(action: Action) -> bool:
    """A plain ``nat`` translates what a former connection has asked for, so it does nothing to new ones."""
    if isinstance(action, Ct) and action.nat is not None and action.nat.end:
        return False
    return isinstance(action, _KNOWN_ACTIONS)


def _tracked(header: Header, mark: Header | None, zone: int) -> Header:
    """What connection tracking makes of the first packet of a connection, which may have been committed by now."""
    fresh = header.put(_NO_CT).put(exact("ct_state", NEW | TRACKED)).put(exact("ct_zone", zone))
    return fresh.copied(_CT_MARK, _CT_MARK, of=mark) if mark is not None else fresh


def _marked(before: Header | None, header: Header, action: Ct) -> Header:
    """The mark after ``action`` has committed the connection of a packet with ``header``."""
    mark = before or Header(exact("ct_mark", 0))
    for change in action.exec:
        if isinstance(change, SetField):
            mark = mark.put(change.bits)
        else:
            mark = mark.copied(change.source, _CT_MARK, of=header)
    return mark
