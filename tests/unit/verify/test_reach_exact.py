# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reach by values against brute force: every packet of a small space is sent through the tables, one step at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.actions import (
    Ct,
    Goto,
    Move,
    Resubmit,
    SetField,
)
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.checker import check, check_bridge
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.fields import FIELDS, packed
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.reach import reach
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.rules import FlowReader, Rule
from hypothesis import given, settings
from hypothesis import strategies as st

TABLES = 5
TRK, NEW = 1 << 5, 1
STEPS = 30
VALUES = st.integers(0, 2)
UNREACHED = ("unreachable_rule", "unreachable_table")


@st.composite
def a_term(draw: st.DrawFn) -> str:
    value = draw(VALUES)
    kinds = ["in_port={}", "reg0={}", "reg1={}", "reg0={}/1", "ct_mark={}", "ip,nw_src=0.0.0.{}"]
    return draw(st.sampled_from([*kinds, "ct_state=+trk", "ct_state=-trk", "ct_state=+new+trk", ""])).format(value)


@st.composite
def an_action(draw: st.DrawFn) -> str:
    value, table = draw(VALUES), draw(st.integers(0, TABLES))
    kinds = [f"set_field:{value}->reg0", f"set_field:{value}->reg1", f"set_field:{value & 1}/1->reg0"]
    kinds += ["move:NXM_NX_REG0[]->NXM_NX_REG1[]", "move:NXM_NX_CT_MARK[]->NXM_NX_REG0[]", "dec_ttl", "output:1"]
    kinds += [f"ct(table={table},zone=5)", f"resubmit(,{table})", f"resubmit({value},)", "ct(commit,zone=5)"]
    return draw(st.sampled_from(kinds))


@st.composite
def a_line(draw: st.DrawFn) -> str:
    table, priority = draw(st.integers(0, TABLES - 1)), draw(st.integers(1, 3))
    actions = draw(st.lists(an_action(), max_size=3))
    if draw(st.integers(0, 2)):
        actions.append(f"goto_table:{draw(st.integers(table + 1, TABLES))}")
    match = f",{term}" if (term := draw(a_term())) else ""
    return f"table={table},priority={priority}{match},actions={','.join(actions) or 'drop'}"


LINES = st.lists(a_line(), min_size=3, max_size=14)


class Brute:
    """Sends packets through the tables and notes which rules they match. Of equal rules each may be the one."""

    def __init__(self, rules: list[Rule]) -> None:
        self.rules = list({(rule.table, rule.priority, rule.bits): rule for rule in rules}.values())
        self.hit: set[int] = set()
        self.tables: set[int] = set()
        self._done: dict[tuple[int, int], frozenset[int]] = {}
        self.steps = 0
        for port in range(2):
            for source in range(2):
                self.enter(0, packed(in_port=port, dl_type=0x800, nw_src=source, nw_ttl=2), 0)

    def enter(self, table: int, header: int, depth: int) -> frozenset[int]:
        """The headers that a packet may have when the table is done with it."""
        self.tables.add(table)
        if (table, header) in self._done or depth > STEPS:
            return self._done.get((table, header), frozenset({header}))
        self._done[table, header] = frozenset({header})
        matched = [r for r in self.rules if r.table == table and header & r.bits.mask == r.bits.value]
        top = [rule for rule in matched if rule.priority == max(other.priority for other in matched)]
        after = {header} if not top else set()
        for rule in top:
            self.hit.add(rule.line)
            after |= self.act(rule, header, depth)
        self._done[table, header] = frozenset(after)
        return self._done[table, header]

    def act(self, rule: Rule, header: int, depth: int) -> set[int]:
        headers = {header}
        for action in rule.actions:
            headers = {after for before in headers for after in self.step(rule, action, before, depth)}
        return headers

    def step(self, rule: Rule, action: object, header: int, depth: int) -> Iterator[int]:
        if isinstance(action, SetField):
            yield header & ~action.bits.mask | action.bits.value
        elif isinstance(action, Move):
            yield action.target.put(header, action.source.of(header))
        elif isinstance(action, Goto):
            yield from self.enter(action.table, header, depth + 1)
        elif isinstance(action, Resubmit):
            came, place = FIELDS["in_port"].of(header), FIELDS["in_port"]
            there = header if action.port is None else place.put(header, action.port)
            table = rule.table if action.table is None else action.table
            for after in self.enter(table, there, depth + 1):
                yield place.put(after, came)
        else:
            if isinstance(action, Ct) and action.table is not None:
                for state in (TRK, TRK | NEW):
                    for mark in range(2):
                        tracked = FIELDS["ct_state"].put(header, state)
                        tracked = FIELDS["ct_zone"].put(FIELDS["ct_mark"].put(tracked, mark), action.zone)
                        self.enter(action.table, tracked, depth + 1)
            yield header


@settings(max_examples=300, deadline=None)
@given(LINES)
def test_what_is_accused_is_never_matched(lines: list[str]) -> None:
    rules = FlowReader().read(lines)
    brute = Brute(rules)
    for finding in check(rules):
        if finding.kind == "unreachable_rule":
            assert finding.rule.line not in brute.hit
        elif finding.kind == "unreachable_table" and "learns" not in finding.explanation:
            assert finding.rule.table not in brute.tables


@st.composite
def a_plain_list(draw: st.DrawFn) -> list[str]:
    """Rules of one priority that match one register whole: nothing overlaps, so values are all there is to know."""
    lines = []
    for table in range(TABLES):
        for value in draw(st.sets(st.integers(0, 3), min_size=1)):
            to = draw(st.integers(table + 1, TABLES))
            change = draw(st.sampled_from(["", *(f"set_field:{number}->reg0," for number in range(4))]))
            then = draw(st.sampled_from(["drop", f"{change}goto_table:{to}", f"{change}ct(table={to},zone=5)"]))
            lines.append(f"table={table},reg0={value},actions={then}")
    return lines


@settings(max_examples=150, deadline=None)
@given(a_plain_list())
def test_of_one_register_none_is_missed(lines: list[str]) -> None:
    rules = FlowReader().read(lines)
    brute, found = Brute(rules), reach({table: [r for r in rules if r.table == table] for table in range(TABLES)})
    misfits = {misfit.rule.line for misfit in found.misfits}
    told = misfits | {rule.line for rule in rules if rule.table not in found.tables}
    assert told == {rule.line for rule in rules} - brute.hit


def said(*lines: str) -> list[tuple[str, int]]:
    return [(finding.kind, finding.rule.line) for finding in check_bridge(lines)]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["reg0=1,actions=drop"], [("unreachable_rule", 1)]),
        (["reg0=0,actions=drop"], []),
        (["ip,ct_state=+trk,actions=drop"], [("unreachable_rule", 1)]),
        (
            ["ip,ct_state=+trk,actions=drop", "table=3,actions=resubmit(,0)"],
            [("unreachable_rule", 1), ("unreachable_table", 2)],
        ),
        (["priority=2,arp,actions=goto_table:1", "table=1,ip,actions=drop"], [("unreachable_rule", 2)]),
        (["in_port=1,actions=goto_table:1", "table=1,in_port=2,actions=drop"], [("unreachable_rule", 2)]),
        (["in_port=1,actions=resubmit(2,1)", "table=1,in_port=2,actions=drop"], []),
        (["actions=set_field:4/6->reg0,goto_table:1", "table=1,reg0=4,actions=drop"], []),
        (["actions=set_field:4/6->reg0,goto_table:1", "table=1,reg0=5,actions=drop"], [("unreachable_rule", 2)]),
        (
            ["actions=set_field:1->reg0,set_field:4/6->reg0,goto_table:1", "table=1,reg0=5,actions=drop"],
            [],
        ),
        (
            ["actions=resubmit(,1),goto_table:2", "table=1,actions=set_field:5->reg0", "table=2,reg0=5,actions=drop"],
            [],
        ),
        (["ip,actions=ct(table=1,zone=9)", "table=1,ip,ct_mark=77,actions=drop"], []),
        (["ip,actions=ct(table=1,zone=9)", "table=1,ip,ct_zone=8,actions=drop"], [("unreachable_rule", 2)]),
        (
            ["ip,actions=ct(table=1,zone=9)", "table=1,ip,ct_state=-trk,actions=goto_table:2", "table=2,actions=drop"],
            [("unreachable_rule", 2), ("unreachable_table", 3)],
        ),
        (
            [
                "ip,nw_src=10.0.0.1,actions=ct(commit,nat(src=10.0.0.9)),ct(table=1)",
                "table=1,ip,nw_src=10.0.0.9,actions=drop",
            ],
            [],
        ),
        (["ip,nw_src=10.0.0.1,actions=ct(table=1,nat)", "table=1,ip,nw_src=10.0.0.2,actions=drop"], []),
        (
            ["ip,nw_src=10.0.0.1,actions=ct(table=1)", "table=1,ip,nw_src=10.0.0.2,actions=drop"],
            [("unreachable_rule", 2)],
        ),
        (["actions=group:1", "table=7,reg0=3,actions=goto_table:8", "table=8,actions=drop"], []),
    ],
)
def test_reach(lines: list[str], expected: list[tuple[str, int]]) -> None:
    assert said(*lines) == expected


def test_a_misfit_tells_what_there_is_instead() -> None:
    lines = [f"priority={n},in_port={n},actions=set_field:{n}->reg0,goto_table:1" for n in range(1, 8)]
    (finding,) = check_bridge([*lines, "table=1,reg0=9,actions=drop"])
    assert finding.explanation == (
        "Never acts: no packet that comes to table 1 has reg0=0x9; there it is 0x1, 0x2, 0x3, 0x4, 0x5 or one of 2 "
        "more."
    )
    (other,) = check_bridge(["ip,nw_src=10.0.0.1,actions=goto_table:1", "table=1,ip,nw_src=10.0.0.2,actions=drop"])
    assert "has nw_src=10.0.0.2; there it is 10.0.0.1." in other.explanation
    (third,) = check_bridge(["ip,ct_state=+est-new,actions=drop"])
    assert re.search(
        r"no packet that comes to table 0 has been through ct\(table=\.\.\.\), so ct_state is 0", third.explanation
    )
