# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What a bridge with given rules does to a packet: table by table, through connection tracking and back."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from .actions import Action, Back, Ct, DecTtl, Goto, Learn, Move, Normal, Output, Resubmit, SetField, ToGroup
from .conntrack import DESTINATION_NAT, SOURCE_NAT, Conntrack, Packet, Request, Tracker
from .fields import ETH_IP, ETH_IPV6, FIELDS, LATER, NORMAL, Bits, FlowTextError
from .groups import Choose, Group, buckets_for, first
from .learn import Lesson, read_lesson
from .rules import Rule

MAX_DEPTH = 64
"""How often a packet may come back to an earlier table in one pass, and how many passes it may make."""

MAX_LOOKUPS = 4096
"""Tables that a packet may come to in one pass. Both limits are those of Open vSwitch: beyond, it sends nothing."""

_IN_PORT, _DL_TYPE, _TTL, _FRAG = (FIELDS[name] for name in ("in_port", "dl_type", "nw_ttl", "nw_frag"))
_CT_STATE, _CT_ZONE, _CT_MARK = FIELDS["ct_state"], FIELDS["ct_zone"], FIELDS["ct_mark"]
_CT = _CT_STATE.mask | _CT_ZONE.mask | _CT_MARK.mask
_PORTS = FIELDS["tp_src"].mask | FIELDS["tp_dst"].mask
_TRANSPORT = _PORTS | FIELDS["tcp_flags"].mask
_NATTED = (FIELDS["nw_src"], FIELDS["nw_dst"], FIELDS["tp_src"], FIELDS["tp_dst"])


class Classifier:
    """Rules of one table by mask and value, the masks by their highest priority."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        by_mask: dict[int, dict[int, Rule]] = {}
        for rule in rules:
            known = by_mask.setdefault(rule.bits.mask, {})
            if rule.bits.value not in known or known[rule.bits.value].priority <= rule.priority:
                known[rule.bits.value] = rule
        tops = [(max(rule.priority for rule in known.values()), mask, known) for mask, known in by_mask.items()]
        self._groups = sorted(tops, key=lambda group: -group[0])

    def look_up(self, header: int) -> Rule | None:
        """The rule that acts on ``header``. Which of two of the same priority does is as undefined as in the switch."""
        best: Rule | None = None
        for top, mask, known in self._groups:
            if best is not None and best.priority >= top:
                break
            rule = known.get(header & mask)
            if rule is not None and (best is None or rule.priority > best.priority):
                best = rule
        return best


@dataclass(frozen=True, slots=True)
class Step:
    """The table that a packet came to and the rule that acted; None when none matched."""

    table: int
    rule: Rule | None


@dataclass(frozen=True, slots=True)
class Sent:
    """A packet that leaves by ``port``, and the rule that sent it. `NORMAL` is the bridge's MAC learning switch."""

    port: int
    packet: Packet
    rule: Rule

    @property
    def header(self) -> int:
        return self.packet.header


@dataclass(slots=True)
class Result:
    """``steps`` in order, ``sent`` packets, ``commits`` as (zone, mark), ``learned`` rules.

    ``ended``: sent, dropped, ttl or loop. ``chosen`` is what was left to a hash, as (of what, which, among how many).
    """

    steps: list[Step] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    commits: list[tuple[int, Bits]] = field(default_factory=list)
    learned: list[Rule] = field(default_factory=list)
    chosen: list[tuple[str, int, int]] = field(default_factory=list)
    trouble: str = ""

    @property
    def ended(self) -> str:
        return "sent" if self.sent else self.trouble or "dropped"


class Simulator:
    """A bridge with ``rules``, ``groups`` by number and ``ports`` (numbers of those that are up; None: all).

    Raises FlowTextError for rules whose effect is not modelled.
    """

    def __init__(
        self, rules: Iterable[Rule], ports: Collection[int] | None = None, groups: Mapping[int, Group] | None = None
    ) -> None:
        self._rules: dict[int, list[Rule]] = {}
        self._lessons: dict[Learn, Lesson] = {}
        for rule in rules:
            self._rules.setdefault(rule.table, []).append(rule)
            for action in rule.actions:
                if isinstance(action, Learn):
                    self._lessons[action] = _lesson(rule, action)
                elif isinstance(action, ToGroup) and action.number not in (groups or {}):
                    raise FlowTextError(f"{rule.text}: there is no group {action.number}.")
        self._tables = {table: Classifier(members) for table, members in self._rules.items()}
        self.ports = ports
        self.groups = groups or {}

    def look_up(self, table: int, header: int) -> Rule | None:
        """The rule of ``table`` that acts on ``header``. Of fragments the switch pretends to know no ports."""
        classifier = self._tables.get(table)
        if classifier is None:
            return None
        fragment = _FRAG.of(header)
        if fragment:
            header &= ~(_TRANSPORT if fragment & LATER else _PORTS)
        return classifier.look_up(header)

    def lesson(self, action: Learn) -> Lesson:
        """What ``action``, which is one of its rules', teaches."""
        return self._lessons[action]

    def learn(self, rules: Iterable[Rule]) -> None:
        """Take over rules that a packet taught (`Result.learned`). No packet sees those that it taught itself."""
        for rule in rules:
            self._rules.setdefault(rule.table, []).append(rule)
            self._tables[rule.table] = Classifier(self._rules[rule.table])

    def run(self, packet: Packet, tracker: Tracker, choose: Choose = first) -> Result:
        """What happens to ``packet``, whose header names the port that it came from.

        ``choose`` stands for the hashes that pick a bucket of a group of type select, or an address from a range.
        """
        return _Run(self, tracker, packet, choose).result

    def outcomes(self, packet: Packet, connections: Conntrack, limit: int = 1024) -> Iterator[tuple[Result, Conntrack]]:
        """Everything that may happen to ``packet``, choice by choice, with the connections that there are then."""
        scripts: list[tuple[int, ...]] = [()]
        for _outcome in range(limit):
            if not scripts:
                return
            script = scripts.pop()
            after = connections.copy()
            result = self.run(packet, after, _following(script))
            yield result, after
            for place in range(len(script), len(result.chosen)):
                before = tuple(index for _what, index, _among in result.chosen[:place])
                scripts += [(*before, index) for index in range(1, result.chosen[place][2])]
        raise FlowTextError(f"more than {limit} things may happen to this packet.")


def _following(script: Iterable[int]) -> Choose:
    ahead = iter(script)
    return lambda _what, _among: next(ahead, 0)


def _lesson(rule: Rule, action: Learn) -> Lesson:
    try:
        return read_lesson(action)
    except FlowTextError as error:
        raise FlowTextError(f"{rule.text}: {error}") from None


@dataclass(slots=True)
class _Copy:
    """A packet in one pass through the tables.

    The rules see ``header``. When connection tracking translates the packet under way, they go on seeing what it was;
    ``real`` is what it is, and ``written`` what they saw then: only fields that they change afterwards are written.
    ``translated`` is the zone of the last translation and its bit of ct_state.
    """

    header: int
    packet: Packet
    translated: tuple[int, int] = (0, 0)
    written: int = 0
    real: int = 0

    def leaving(self) -> Packet:
        """The packet as it would be sent now."""
        if self.written != self.real:
            for part in _NATTED:
                if (self.header ^ self.written) & part.mask:
                    self.real = part.put(self.real, part.of(self.header))
            self.written = self.header
        return Packet(self._merged(), self.packet.about, self.packet.identifier)

    def _merged(self) -> int:
        header = self.header
        if self.written != self.real:
            for part in _NATTED:
                header = part.put(header, part.of(self.real))
        return header


class _Run:
    """One packet on its way, with the copies that connection tracking makes of it."""

    def __init__(self, bridge: Simulator, tracker: Tracker, packet: Packet, choose: Choose) -> None:
        self._bridge = bridge
        self._tracker = tracker
        self._decide = choose
        self._table = self._depth = self._lookups = 0
        self._lost = False
        self._waiting = [(_Copy(packet.header & ~_CT, packet), 0)]
        self.result = Result()
        for _pass in range(MAX_DEPTH):
            if not self._waiting:
                return
            self._pass(*self._waiting.pop(0))
        self.result.trouble = "loop"

    def _pass(self, copy: _Copy, table: int) -> None:
        sent, commits, waiting = len(self.result.sent), len(self.result.commits), len(self._waiting)
        self._lookups = self._depth = 0
        self._table, self._lost = table, False
        self._visit(copy, table, copy.header)
        if self._lost:
            self.result.trouble = "loop"
            del self.result.sent[sent:], self.result.commits[commits:], self._waiting[waiting:]

    def _visit(self, copy: _Copy, table: int, header: int) -> None:
        """What ``table`` does to ``copy``, which it takes for ``header``."""
        if self._depth >= MAX_DEPTH or self._lookups >= MAX_LOOKUPS:
            self._lost = True
            return
        self._lookups += 1
        rule = self._bridge.look_up(table, header)
        self.result.steps.append(Step(table, rule))
        if rule is None:
            return
        back, came_from = table <= self._table and self._lookups > 1, self._table
        self._depth += back
        self._table = table
        self._do(copy, rule.actions, rule)
        self._table = came_from
        self._depth -= back

    def _do(self, copy: _Copy, actions: Iterable[Action], rule: Rule) -> None:
        for action in actions:
            if self._lost:
                return
            if isinstance(action, Goto):
                self._visit(copy, action.table, copy.header)
            elif isinstance(action, Resubmit):
                header = copy.header if action.port is None else _IN_PORT.put(copy.header, action.port)
                self._visit(copy, self._table if action.table is None else action.table, header)
            elif isinstance(action, DecTtl) and _last_hop(copy.header):
                self.result.trouble = "ttl"
                return
            elif isinstance(action, ToGroup):
                self._group(copy, action.number, rule)
            else:
                self._act(copy, action, rule)

    def _act(self, copy: _Copy, action: Action, rule: Rule) -> None:
        header = copy.header
        if isinstance(action, SetField):
            if not (action.bits.mask & _PORTS and _FRAG.of(header) & LATER):
                copy.header = header & ~action.bits.mask | action.bits.value
        elif isinstance(action, Move):
            copy.header = action.target.put(header, action.source.of(header))
        elif isinstance(action, DecTtl):
            copy.header = _TTL.put(header, _TTL.of(header) - 1) if _is_ip(header) else header
        elif isinstance(action, Ct):
            self._track(copy, action)
        elif isinstance(action, Learn):
            self.result.learned.append(self._bridge.lesson(action).rule(header))
        elif isinstance(action, Output):
            if action.port != _IN_PORT.of(header) and (self._bridge.ports is None or action.port in self._bridge.ports):
                self.result.sent.append(Sent(action.port, copy.leaving(), rule))
        elif isinstance(action, Back):
            self.result.sent.append(Sent(_IN_PORT.of(header), copy.leaving(), rule))
        elif isinstance(action, Normal):
            self.result.sent.append(Sent(NORMAL, copy.leaving(), rule))

    def _group(self, copy: _Copy, number: int, rule: Rule) -> None:
        if self._depth >= MAX_DEPTH:
            self._lost = True
            return
        group, header = self._bridge.groups[number], copy.header
        self._depth += 1
        for bucket in buckets_for(group, self._bridge.groups, self._bridge.ports, self._choose):
            self._do(copy, bucket.actions, rule)
            copy.header = header
        self._depth -= 1

    def _choose(self, what: str, among: int) -> int:
        index = self._decide(what, among)
        self.result.chosen.append((what, index, among))
        return index

    def _track(self, copy: _Copy, action: Ct) -> None:
        header = copy.header
        leaving = copy.leaving()
        packet = Packet(leaving.header & ~_CT, leaving.about, leaving.identifier)
        mark = _mark(header, action) if action.commit else Bits(0, 0)
        zone, bits = copy.translated
        before = bits if zone == action.zone else 0
        answer = self._tracker.track(
            action.zone, packet, Request(action.commit, mark, action.nat, before, self._choose)
        )
        if action.commit:
            self.result.commits.append((action.zone, mark))
        copy.translated = action.zone, answer.state & (SOURCE_NAT | DESTINATION_NAT)
        if answer.packet is not packet:
            copy.packet, copy.written, copy.real = answer.packet, header, answer.packet.header
        if action.table is not None:
            tracked = _CT_MARK.put(_CT_STATE.put(answer.packet.header, answer.state), answer.mark)
            tracked = _CT_ZONE.put(tracked, action.zone)
            self._waiting.append((_Copy(tracked, answer.packet, copy.translated), action.table))
        copy.header = header & ~_CT


def _mark(header: int, action: Ct) -> Bits:
    """The bits of the mark that ``action`` sets."""
    mask = 0
    for change in action.exec:
        if isinstance(change, Move):
            header = change.target.put(header, change.source.of(header))
            mask |= change.target.mask
        else:
            header = header & ~change.bits.mask | change.bits.value
            mask |= change.bits.mask
    return Bits(_CT_MARK.of(header & mask), _CT_MARK.of(mask))


def _is_ip(header: int) -> bool:
    return _DL_TYPE.of(header) in (ETH_IP, ETH_IPV6)


def _last_hop(header: int) -> bool:
    return _is_ip(header) and _TTL.of(header) <= 1
