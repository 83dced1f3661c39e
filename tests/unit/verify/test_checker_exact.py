# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checker against brute force: every header of a small space is held against every rule."""

from __future__ import annotations

import random

from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.checker import check
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.cube import Budget, cover
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.fields import FIELDS, Bits
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.findings import Finding
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.rules import FlowReader, Rule
from hypothesis import given, settings
from hypothesis import strategies as st

WIDTH = 3
"""Bits of each of reg0 and reg1 that the rules match, so 64 headers differ."""

HEADERS = [
    one << FIELDS["reg0"].shift | other << FIELDS["reg1"].shift
    for one in range(1 << WIDTH)
    for other in range(1 << WIDTH)
]


@st.composite
def a_match(draw: st.DrawFn) -> str:
    values = st.integers(0, (1 << WIDTH) - 1)
    return ",".join(f"{name}={draw(values):#x}/{draw(values):#x}" for name in ("reg0", "reg1"))


@st.composite
def a_line(draw: st.DrawFn) -> str:
    actions = draw(st.sampled_from(["drop", "output:1", "output:2"]))
    return f"priority={draw(st.integers(1, 4))},{draw(a_match())},actions={actions}"


LINES = st.lists(a_line(), min_size=1, max_size=14)


def matched(rule: Rule) -> set[int]:
    return {header for header in HEADERS if header & rule.bits.mask == rule.bits.value}


def kept(rules: list[Rule]) -> list[Rule]:
    """Without those that a later one replaces."""
    return list({(rule.priority, rule.bits): rule for rule in rules}.values())


def left_to(rules: list[Rule], priority: int) -> set[int]:
    """Headers that no rule above ``priority`` matches."""
    higher = [matched(rule) for rule in rules if rule.priority > priority]
    return set(HEADERS).difference(*higher)


def lines_of(findings: list[Finding], *kinds: str) -> set[int]:
    return {finding.rule.line for finding in findings if finding.kind in kinds}


@settings(max_examples=400, deadline=None)
@given(LINES)
def test_dead_rules_are_those_that_no_header_is_left_to(lines: list[str]) -> None:
    rules = FlowReader().read(lines)
    findings = check(rules)
    live = kept(rules)
    dead = {rule.line for rule in live if not matched(rule) & left_to(live, rule.priority)}
    alone = {
        rule.line
        for rule in live
        if any(matched(rule) <= matched(other) for other in live if other.priority > rule.priority)
    }
    assert lines_of(findings, "dead", "dead_union") == dead
    assert lines_of(findings, "dead") == alone
    assert lines_of(findings, "undecided") == set()


@settings(max_examples=400, deadline=None)
@given(LINES)
def test_duplicates_are_replaced_rules(lines: list[str]) -> None:
    rules = FlowReader().read(lines)
    assert lines_of(check(rules), "duplicate") == {rule.line for rule in rules} - {rule.line for rule in kept(rules)}


@settings(max_examples=400, deadline=None)
@given(LINES)
def test_ambiguous_rules_share_a_header_that_is_left_to_both(lines: list[str]) -> None:
    rules = FlowReader().read(lines)
    live = kept(rules)
    expected = {
        (rule.line, other.line)
        for rule in live
        for other in live
        if rule.line > other.line and rule.priority == other.priority and rule.actions != other.actions
        if matched(rule) & matched(other) & left_to(live, rule.priority)
    }
    told = {
        (finding.rule.line, other.line)
        for finding in check(rules)
        if finding.kind == "ambiguous"
        for other in finding.by
    }
    assert told == expected


@settings(max_examples=400, deadline=None)
@given(LINES)
def test_the_cause_of_a_dead_rule_covers_it_and_no_part_of_it_is_idle(lines: list[str]) -> None:
    for finding in check(FlowReader().read(lines)):
        if finding.kind in ("dead", "dead_union"):
            parts = [matched(other) & matched(finding.rule) for other in finding.by]
            assert set().union(*parts) == matched(finding.rule)
            assert all(other.priority > finding.rule.priority for other in finding.by)
            for index in range(len(parts)):
                assert set().union(*parts[:index], *parts[index + 1 :]) != matched(finding.rule)


def members(bits: Bits) -> frozenset[int]:
    return frozenset(number for number in range(64) if number & bits.mask == bits.value)


def test_cover_is_what_counting_says() -> None:
    """Random cubes of 6 bits, as many as nearly fill it: hypothesis would rather have few and large ones."""
    rng = random.Random(1)
    kinds = set()
    for _each in range(4_000):
        masks = [rng.getrandbits(6) | rng.getrandbits(6) for _each in range(rng.randrange(1, 24))]
        cube, *others = [Bits(rng.getrandbits(6) & mask, mask) for mask in [rng.getrandbits(6) & 7, *masks]]
        whole = members(cube) <= frozenset().union(*map(members, others))
        found = cover(cube, others, Budget(10**6))
        assert (found is not None) == whole
        kinds.add(whole)
        if found is not None:
            assert members(cube) <= frozenset().union(*[members(others[index]) for index in found])
    assert kinds == {True, False}


def test_a_question_beyond_the_budget_is_undecided() -> None:
    halves = [f"priority=9,reg0={1 << bit:#x}/{1 << bit:#x},actions=drop" for bit in range(12)]
    halves += [f"priority=9,reg0=0/{1 << bit | 2 << bit:#x},actions=drop" for bit in range(12)]
    rules = FlowReader().read([*halves, "priority=1,actions=output:1"])
    assert lines_of(check(rules, budget=10), "undecided") == {25}
    assert lines_of(check(rules), "dead_union") == {25}
