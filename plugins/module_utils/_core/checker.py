# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Finds rules that cannot do what they say, before a switch sees them.

Exact for the header space as `fields` has it: a rule called dead matches no packet that is left to it, and a rule not
called dead matches some header. Facts about real packets (a port that does not exist, flags that never come together)
are not used, so they never make it accuse a rule wrongly. Which values come to a table is told by `reach`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from . import findings
from .cube import Budget, OutOfBudgetError, cover, intersection, overlap, smallest_cover
from .findings import Finding
from .rules import FlowReader, Rule
from .structure import port_findings, table_findings
from .tuples import TupleSpace

BUDGET = 200_000
"""Elementary steps for one question; a table of a pipeline needs some dozens."""

PAIRS = 100_000
"""Pairs of overlapping rules of the same priority that are looked at in one table."""


def check_bridge(
    lines: Iterable[str],
    *,
    ports: Mapping[str, int] | None = None,
    names: Collection[str] = (),
    origins: Mapping[str, str] | None = None,
    elsewhere: Mapping[str, Collection[str]] | None = None,
    given: Sequence[tuple[int, str]] = (),
) -> list[Finding]:
    """Findings about the flow ``lines`` of one bridge.

    ``ports``: its port numbers by name; ``names``: its ports where only names are known; with neither, ports are not
    checked. ``origins`` as in `FlowReader.read`; ``elsewhere``: the ports of other bridges. ``given``: line and
    text of each as somebody wrote it, to be told instead. Raises FlowTextError.
    """
    reader = FlowReader(ports)
    rules = reader.read(lines, origins)
    if given:
        rules = [replace(rule, line=given[rule.line - 1][0], text=given[rule.line - 1][1]) for rule in rules]
    found = check(rules)
    known = {*(ports or {}), *names}
    if known:
        found += port_findings(rules, reader, known, elsewhere or {})
    return sorted(found, key=lambda finding: finding.rule.line)


def check(rules: Sequence[Rule], budget: int = BUDGET, unread: Collection[tuple[int, int]] = ()) -> list[Finding]:
    """Findings that need nothing but the rules: what is dead, ambiguous or leads nowhere.

    ``unread`` are further rules, as (table, priority), that nobody understands. As they may match and do anything,
    nothing is said that one of them could make wrong.
    """
    tables: dict[int, list[Rule]] = {}
    for rule in rules:
        tables.setdefault(rule.table, []).append(rule)
    found = [finding for table in sorted(tables) for finding in _check_table(tables[table], budget)]
    if unread:
        return [finding for finding in found if not _in_doubt(finding, unread)]
    dead = {id(finding.rule) for finding in found if finding.kind in ("dead", "dead_union", "duplicate")}
    return found + list(table_findings(tables, dead))


def _in_doubt(finding: Finding, unread: Collection[tuple[int, int]]) -> bool:
    """Whether a rule that is not understood may take the packets that ``finding`` calls ambiguous."""
    rule = finding.rule
    higher = (table == rule.table and priority > rule.priority for table, priority in unread)
    return finding.kind == "ambiguous" and any(higher)


def _check_table(rules: Sequence[Rule], budget: int) -> Iterator[Finding]:
    last = {(rule.priority, rule.bits): rule for rule in rules}
    for rule in rules:
        if last[rule.priority, rule.bits] is not rule:
            yield findings.duplicate(rule, last[rule.priority, rule.bits])
    space = TupleSpace(last.values())
    for mask, group in space.groups:
        for rule, cause in space.suspects(mask, group):
            finding = findings.dead(rule, cause) if cause else _dead_by_union(space, rule, budget)
            if finding:
                yield finding
    yield from _ambiguous(space, list(last.values()), budget)


def _dead_by_union(space: TupleSpace, rule: Rule, budget: int) -> Finding | None:
    higher = space.overlapping(rule.bits, rule.priority)
    try:
        causes = smallest_cover(rule.bits, [other.bits for other in higher], Budget(budget))
    except OutOfBudgetError:
        return findings.undecided(rule, "whether this rule ever acts")
    return findings.dead_by_union(rule, [higher[index] for index in causes]) if causes else None


def _ambiguous(space: TupleSpace, rules: Sequence[Rule], budget: int) -> Iterator[Finding]:
    by_priority: dict[int, list[Rule]] = {}
    for rule in rules:
        by_priority.setdefault(rule.priority, []).append(rule)
    left = Budget(PAIRS)
    for group in by_priority.values():
        partners: dict[Rule, list[Rule]] = {}
        try:
            for one, other in _overlapping_pairs(group, left):
                if one.actions != other.actions and _meet(space, one, other, budget):
                    first, second = sorted((one, other), key=lambda rule: rule.line)
                    partners.setdefault(second, []).append(first)
        except OutOfBudgetError:
            yield findings.undecided(group[0], f"which rules of priority {group[0].priority} contradict each other")
        for rule, others in partners.items():
            yield findings.ambiguous(rule, sorted(others, key=lambda other: other.line))


def _overlapping_pairs(rules: Sequence[Rule], left: Budget) -> Iterator[tuple[Rule, Rule]]:
    """Pairs that share headers. Rules of one mask differ in value here, so they share none."""
    for (_mask, few), (_other_mask, many) in combinations(TupleSpace(rules).groups, 2):
        fewer, more = sorted((few, many), key=len)
        common = fewer[0].bits.mask & more[0].bits.mask
        index: dict[int, list[Rule]] = {}
        for rule in fewer:
            index.setdefault(rule.bits.value & common, []).append(rule)
        for rule in more:
            for other in index.get(rule.bits.value & common, ()):
                left.spend(1)
                yield other, rule


def _meet(space: TupleSpace, one: Rule, other: Rule, budget: int) -> bool:
    """Whether some header of both is left to them by the rules of higher priority."""
    if not overlap(one.bits, other.bits):
        return False
    both = intersection(one.bits, other.bits)
    higher = [rule.bits for rule in space.overlapping(both, one.priority)]
    return cover(both, higher, Budget(budget)) is None
