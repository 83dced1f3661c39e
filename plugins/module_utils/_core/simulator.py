# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What a switch with given rules does to a packet: tables, registers, connection tracking with recirculation."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from .actions import Action, Back, Ct, DecTtl, Goto, Learn, Move, Normal, Output, SetField
from .conntrack import Packet, Tracker
from .fields import ETH_IP, ETH_IPV6, FIELDS, NORMAL, Bits, FlowTextError
from .rules import Rule

MAX_TABLES = 64
"""Tables that one packet may visit; more is a loop. Open vSwitch gives up after as many recursions."""

_IN_PORT, _DL_TYPE, _TTL = FIELDS["in_port"], FIELDS["dl_type"], FIELDS["nw_ttl"]
_CT_STATE, _CT_ZONE, _CT_MARK = FIELDS["ct_state"], FIELDS["ct_zone"], FIELDS["ct_mark"]
_CT = _CT_STATE.mask | _CT_ZONE.mask | _CT_MARK.mask


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
    header: int
    rule: Rule


@dataclass(slots=True)
class Result:
    """``steps`` in order, ``sent`` packets, ``commits`` as (zone, mark). ``ended``: sent, dropped, ttl or loop."""

    steps: list[Step] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    commits: list[tuple[int, Bits]] = field(default_factory=list)
    trouble: str = ""

    @property
    def ended(self) -> str:
        return "sent" if self.sent else self.trouble or "dropped"


class Simulator:
    """A bridge with ``rules`` and ``ports`` (numbers; None: whatever the rules name).

    Raises FlowTextError for rules that learn, whose effect is not modelled.
    """

    def __init__(self, rules: Iterable[Rule], ports: Collection[int] | None = None) -> None:
        tables: dict[int, list[Rule]] = {}
        for rule in rules:
            if any(isinstance(action, Learn) for action in rule.actions):
                raise FlowTextError(f"{rule.text}: learn() is not simulated.")
            tables.setdefault(rule.table, []).append(rule)
        self._tables = {table: Classifier(members) for table, members in tables.items()}
        self._ports = ports

    def run(self, packet: Packet, tracker: Tracker) -> Result:
        """What happens to ``packet``, whose header names the port that it came from."""
        return _Run(self._tables, self._ports, tracker, packet).result


class _Run:
    """One packet on its way, with the copies that connection tracking makes of it."""

    def __init__(
        self, tables: dict[int, Classifier], ports: Collection[int] | None, tracker: Tracker, packet: Packet
    ) -> None:
        self._tables = tables
        self._ports = ports
        self._tracker = tracker
        self._about = packet.about
        self._waiting = [(packet.header & ~_CT, 0)]
        self.result = Result()
        while self._waiting and self.result.trouble != "loop":
            header, table = self._waiting.pop(0)
            self._visit(header, table)

    def _visit(self, header: int, table: int | None) -> None:
        while table is not None:
            if len(self.result.steps) == MAX_TABLES:
                self.result.trouble = "loop"
                return
            classifier = self._tables.get(table)
            rule = classifier.look_up(header) if classifier else None
            self.result.steps.append(Step(table, rule))
            if rule is None:
                return
            table = None
            for action in rule.actions:
                if isinstance(action, Goto):
                    table = action.table
                elif isinstance(action, DecTtl) and _last_hop(header):
                    self.result.trouble = "ttl"
                    return
                else:
                    header = self._act(header, action, rule)

    def _act(self, header: int, action: Action, rule: Rule) -> int:
        """The header after ``action``."""
        if isinstance(action, SetField):
            return header & ~action.bits.mask | action.bits.value
        if isinstance(action, Move):
            return action.target.put(header, action.source.of(header))
        if isinstance(action, DecTtl):
            return _TTL.put(header, _TTL.of(header) - 1) if _is_ip(header) else header
        if isinstance(action, Ct):
            return self._track(header, action)
        if isinstance(action, Output):
            if action.port != _IN_PORT.of(header) and (self._ports is None or action.port in self._ports):
                self.result.sent.append(Sent(action.port, header, rule))
        elif isinstance(action, Back):
            self.result.sent.append(Sent(_IN_PORT.of(header), header, rule))
        elif isinstance(action, Normal):
            self.result.sent.append(Sent(NORMAL, header, rule))
        return header

    def _track(self, header: int, action: Ct) -> int:
        packet = Packet(header & ~_CT, self._about)
        if action.commit:
            mark = _mark(header, action)
            self._tracker.commit(action.zone, packet, mark)
            self.result.commits.append((action.zone, mark))
        if action.table is not None:
            state, mark_value = self._tracker.look_up(action.zone, packet)
            tracked = _CT_MARK.put(_CT_STATE.put(packet.header, state), mark_value)
            self._waiting.append((_CT_ZONE.put(tracked, action.zone), action.table))
        return header & ~_CT


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
