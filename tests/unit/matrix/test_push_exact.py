# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Symbolic packets against real ones: every header of a small space goes through the simulator too."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.conntrack import Conntrack, Packet
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.cube import Budget
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.fields import (
    ETH_IP,
    FIELDS,
    NORMAL,
    Bits,
    FlowTextError,
    flag_bits,
    packed,
)
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.matrix_bridges import Carried
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.matrix_push import (
    Switch,
    Way,
    entering,
    first_packets,
)
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.matrix_space import Header, Region
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.packet import Place
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.rules import FlowReader, Rule
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.simulator import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

PORTS = (1, 2, 3)
SYN = flag_bits("tcp_flags", "syn")
SMALL = range(4)
"""Values of every field that rules match: addresses, ports."""

HEADERS = [
    packed(
        in_port=1,
        dl_type=ETH_IP,
        nw_proto=protocol,
        nw_src=source,
        nw_dst=destination,
        nw_ttl=64,
        tp_src=8 if protocol == 1 else 0,
        tp_dst=port,
        tcp_flags=SYN if protocol == 6 else 0,
    )
    for protocol in (1, 6, 17)
    for source in (0, 1)
    for destination in SMALL
    for port in (SMALL if protocol != 1 else (0,))
]

MARKED = "ct(commit,zone=7,exec(move:NXM_NX_REG1[]->NXM_NX_CT_MARK[]))"
CHANGES = (
    "set_field:1->reg0",
    "set_field:2/2->reg0",
    "set_field:3->reg1",
    "set_field:0.0.0.2->nw_dst",
    "move:NXM_OF_IP_DST[]->NXM_NX_REG0[]",
    "move:NXM_OF_IP_SRC[]->NXM_NX_REG1[]",
    "move:NXM_NX_REG0[]->NXM_NX_REG1[]",
    "move:NXM_NX_REG1[]->NXM_OF_IP_DST[]",
    "move:NXM_OF_IP_SRC[]->NXM_OF_IP_DST[]",
    "dec_ttl",
    "ct(commit,zone=7,exec(set_field:1->ct_mark))",
    MARKED,
)


@st.composite
def a_match(draw: st.DrawFn, table: int) -> str:
    protocol = draw(st.sampled_from(["ip", "ip", "tcp", "udp", "icmp"]))
    words = [protocol]
    for name, mask in (("nw_dst", 3), ("nw_src", 1), ("reg0", 3), ("reg1", 3)):
        if draw(st.booleans()):
            bits = draw(st.integers(1, mask))
            value = draw(st.integers(0, mask)) & bits
            text = f"{value:#x}/{bits:#x}" if name.startswith("reg") else f"0.0.0.{value}/0.0.0.{bits}"
            words.append(f"{name}={text}")
    if protocol in ("tcp", "udp") and draw(st.booleans()):
        bits = draw(st.integers(1, 3))
        words.append(f"tp_dst={draw(st.integers(0, 3)) & bits:#x}/{bits:#x}")
    if protocol == "tcp" and draw(st.booleans()):
        words.append(f"tcp_flags={draw(st.sampled_from(['+syn', '-syn', '+syn-ack']))}")
    if table and draw(st.booleans()):
        words.append(f"ct_state={draw(st.sampled_from(['+new+trk', '-trk', '+trk', '-new+trk']))}")
    if table and draw(st.booleans()):
        words.append(f"ct_mark={draw(st.integers(0, 3)):#x}/3")
    return ",".join(words)


@st.composite
def a_rule(draw: st.DrawFn, table: int, priority: int) -> str:
    actions = draw(st.lists(st.sampled_from(CHANGES), max_size=2))
    actions += draw(st.lists(st.sampled_from(["output:2", "output:3", "output:1", "output:9", "IN_PORT"]), max_size=1))
    if table < 3:
        ends = ["", f"goto_table:{table + 1}", f"ct(table={table + 1},zone=7)", f"ct(table={table + 1},zone=8)"]
        actions += filter(None, [draw(st.sampled_from(ends))])
    if draw(st.integers(0, 9)) == 0:
        actions = []
    return f"table={table},priority={priority},{draw(a_match(table))},actions={','.join(actions) or 'drop'}"


@st.composite
def some_rules(draw: st.DrawFn) -> list[str]:
    """No two of a table have the same priority, which would leave the choice to the switch."""
    lines = ["table=0,priority=0,actions=goto_table:1", f"table=1,priority=0,actions={MARKED},ct(table=2,zone=7)"]
    for table in range(4):
        for priority in range(1, draw(st.integers(1, 5))):
            lines.append(draw(a_rule(table, priority)))
    return lines


def ways(rules: list[Rule], ports: tuple[int, ...] | None = PORTS) -> list[Way]:
    return list(Switch(rules, ports).ways(Region(first_packets(1)), Budget(1_000_000)))


def has(region: Region, header: int) -> bool:
    def inside(bits: Bits) -> bool:
        return header & bits.mask == bits.value

    return inside(region.cube) and not any(inside(hole) for hole in region.holes)


def symbolic(header: int) -> int:
    """As the symbolic packets have it: they all have the flags of a TCP packet, whatever they are."""
    return header | SYN << FIELDS["tcp_flags"].shift


def agree(lines: list[str]) -> None:
    """Every header leaves by the ports, and as the header, that the simulator says."""
    rules = FlowReader().read(lines)
    found = ways(rules)
    simulator = Simulator(rules, PORTS)
    for header in HEADERS:
        result = simulator.run(Packet(header), Conntrack())
        mine = [way for way in found if has(way.region, symbolic(header))]
        sent = sorted(way.port for way in mine if way.port is not None)
        assert sent == sorted(each.port for each in result.sent), lines
        assert mine, "every header takes some way, if only that of a drop"
        now = {(way.port, way.header.now(Bits(symbolic(header), ~0)).value & SHOWN) for way in mine if way.port}
        assert now == {(each.port, each.header & SHOWN) for each in result.sent}


@settings(max_examples=100, deadline=None)
@given(some_rules())
def test_every_header_leaves_where_the_simulator_sends_it(lines: list[str]) -> None:
    agree(lines)


OUT = ["table=2,priority=2,ip,reg1=1/3,actions=output:2", "table=2,priority=1,ip,reg1=2/3,actions=output:3"]


@pytest.mark.parametrize(
    "lines",
    [
        ["actions=move:NXM_OF_IP_DST[]->NXM_NX_REG0[],move:NXM_NX_REG0[]->NXM_NX_REG1[],goto_table:2", *OUT],
        [
            "actions=move:NXM_OF_IP_DST[]->NXM_NX_REG0[],move:NXM_OF_IP_DST[]->NXM_NX_REG1[],goto_table:1",
            "table=1,ip,reg0=1/3,actions=goto_table:2",
            *OUT,
        ],
        [
            "actions=move:NXM_OF_IP_DST[]->NXM_NX_REG0[],move:NXM_OF_IP_DST[]->NXM_NX_REG1[],goto_table:2",
            "table=2,priority=2,ip,reg0=1/3,reg1=2/3,actions=output:2",
            "table=2,priority=1,ip,reg0=2/3,reg1=2/3,actions=output:3",
        ],
        ["actions=move:NXM_OF_IP_DST[]->NXM_NX_REG1[],set_field:0/2->reg1,goto_table:2", *OUT],
        [
            "actions=move:NXM_OF_IP_DST[]->NXM_NX_REG1[],set_field:1/1->reg1,goto_table:1",
            "table=1,ip,nw_dst=0.0.0.2,actions=goto_table:2",
            *OUT,
        ],
        [
            "actions=set_field:0/2->reg0,move:NXM_OF_IP_DST[]->NXM_NX_REG1[],move:NXM_NX_REG1[]->NXM_OF_IP_SRC[],"
            "move:NXM_OF_IP_SRC[]->NXM_NX_REG0[],goto_table:1",
            "table=1,ip,reg0=1/1,actions=goto_table:2",
            *OUT,
        ],
        [
            "ip,nw_dst=0.0.0.2/0.0.0.2,actions=move:NXM_OF_IP_DST[]->NXM_NX_REG1[],set_field:0/2->reg1,goto_table:2",
            *OUT,
        ],
        [
            f"actions=move:NXM_OF_IP_DST[]->NXM_NX_REG1[],{MARKED},ct(table=1,zone=7)",
            "table=1,priority=2,ip,ct_mark=1,actions=output:2",
            "table=1,priority=1,ip,ct_mark=2/2,actions=output:3",
        ],
        [
            f"actions=set_field:3->reg1,{MARKED},ct(commit,zone=7,exec(set_field:0/1->ct_mark)),ct(table=1,zone=7)",
            "table=1,priority=2,ip,ct_mark=2,actions=output:2",
            "table=1,priority=1,ip,actions=output:3",
        ],
        [f"actions=set_field:3->reg1,{MARKED},ct(table=1,zone=8)", "table=1,ip,ct_mark=0,ct_zone=8,actions=output:2"],
        [
            "actions=ct(table=1,zone=7)",
            "table=1,ip,ct_state=+new+trk,actions=ct(commit,zone=7),goto_table:2",
            "table=2,priority=2,ip,ct_state=+trk,actions=output:2",
            "table=2,priority=1,ip,actions=output:3",
        ],
        [
            "actions=output:2,set_field:0.0.0.1->nw_dst,output:3,goto_table:1",
            "table=1,ip,nw_dst=0.0.0.1,actions=IN_PORT",
        ],
        ["actions=ct(table=1,zone=7),output:2", "table=1,udp,actions=output:3"],
    ],
)
def test_every_header_leaves_where_it_should_with_rules_made_for_that(lines: list[str]) -> None:
    agree(lines)


SHOWN = sum(FIELDS[name].mask for name in ("nw_src", "nw_dst", "nw_proto", "tp_dst", "reg0", "reg1"))


@settings(max_examples=60, deadline=None)
@given(some_rules())
def test_the_rules_of_a_way_are_those_that_the_simulator_applies(lines: list[str]) -> None:
    rules = FlowReader().read(lines)
    found = ways(rules)
    for header in HEADERS[::5]:
        result = Simulator(rules, PORTS).run(Packet(header), Conntrack())
        steps = {step.rule for step in result.steps if step.rule}
        mine = [way for way in found if has(way.region, symbolic(header))]
        assert {rule for way in mine for rule in way.rules} == steps


@settings(max_examples=25, deadline=None)
@given(some_rules(), some_rules())
def test_bridges_in_a_row_are_the_simulator_twice(near: list[str], far: list[str]) -> None:
    """What the first bridge sends to port 2 comes in at port 1 of the next."""
    here, there = FlowReader().read(near), FlowReader().read(far)
    place, budget = Place("host", "bridge", "port", 1), Budget(1_000_000)
    start = Carried(Region(first_packets(1)), Header())
    arrived: list[tuple[int, Carried]] = []
    for way in ways(here):
        after = start.along(way, place, budget) if way.port == 2 else None
        if after is None:
            continue
        inside = replace(after, header=entering(after.header, 1))
        for onward in ways(there):
            end = inside.along(onward, place, budget) if onward.port else None
            if end is not None:
                arrived.append((onward.port or 0, end))
    first, second = Simulator(here, PORTS), Simulator(there, PORTS)
    fields = sum(FIELDS[name].mask for name in ("nw_src", "nw_dst", "nw_proto", "tp_dst"))
    for header in HEADERS[::3]:
        crossed = [each.header for each in first.run(Packet(header), Conntrack()).sent if each.port == 2]
        ends = [
            (each.port, each.header & fields)
            for inner in crossed
            for each in second.run(Packet(possible_again(inner)), Conntrack()).sent
        ]
        told = [
            (port, end.header.now(Bits(symbolic(header), ~0)).value & fields)
            for port, end in arrived
            if has(end.region, symbolic(header))
        ]
        assert sorted(told) == sorted(ends)


def possible_again(header: int) -> int:
    """As it comes in at port 1 of the next bridge: without registers."""
    kept = ("dl_type", "nw_proto", "nw_src", "nw_dst", "nw_ttl", "tp_src", "tp_dst", "tcp_flags")
    return FIELDS["in_port"].put(sum(header & FIELDS[name].mask for name in kept), 1)


def texts(found: list[Way]) -> list[tuple[int | None, list[int]]]:
    return sorted(((way.port, [rule.line for rule in way.rules]) for way in found), key=str)


def read(text: str) -> list[Rule]:
    return FlowReader().read(text.splitlines())


def test_a_rule_below_one_that_takes_everything_gets_nothing() -> None:
    rules = read("priority=3,ip,actions=output:2\npriority=2,tcp,actions=output:3\npriority=1,actions=output:3")
    assert texts(ways(rules)) == [(2, [1])]


def test_rules_that_take_everything_together_leave_nothing() -> None:
    halves = "priority=3,ip,nw_dst=0.0.0.0/1,actions=output:2\npriority=2,ip,nw_dst=128.0.0.0/1,actions=output:2\n"
    assert texts(ways(read(halves + "priority=1,actions=output:3"))) == [(2, [1]), (2, [2])]


def test_of_rules_with_one_priority_each_may_act() -> None:
    rules = read("priority=3,tcp,actions=output:2\npriority=3,ip,nw_dst=0.0.0.1,actions=output:3")
    assert [port for port, _lines in texts(ways(rules)) if port] == [2, 3]


def test_the_later_of_two_equal_rules_acts() -> None:
    assert texts(ways(read("priority=3,ip,actions=output:2\npriority=3,ip,actions=output:3"))) == [(3, [2])]


def test_a_connection_is_new_and_starts_with_syn() -> None:
    text = "table=0,ip,actions=ct(table=1,zone=7)\ntable=1,priority=2,ct_state=+est+trk,ip,actions=output:2\n"
    text += "table=1,priority=1,tcp,tcp_flags=+ack,actions=output:2"
    assert [way.port for way in ways(read(text))] == [None]


def test_normal_is_a_port_of_its_own_and_a_port_without_number_none() -> None:
    assert [way.port for way in ways(read("ip,actions=normal"))] == [NORMAL]
    assert [way.port for way in ways(read("ip,actions=output:9"))] == [None]
    assert [way.port for way in ways(read("ip,actions=output:9"), None)] == [9]


def test_a_loop_ends() -> None:
    assert ways(read("ip,actions=ct(table=0,zone=7)")) == []


@pytest.mark.parametrize("actions", ["group:1", "resubmit(,5)", "ct(commit,zone=1,nat(dst=10.0.0.1))"])
def test_what_is_not_followed_is_refused(actions: str) -> None:
    with pytest.raises(FlowTextError, match="not followed here"):
        Switch(read(f"ip,actions={actions}"))


def test_tables_that_rules_learn_into_are_told() -> None:
    rules = read("ip,actions=learn(table=4,priority=2),learn(table=1,priority=2),output:2")
    assert Switch(rules).learning == (1, 4)
    assert [way.port for way in ways(rules)] == [2]


def test_a_plain_nat_changes_no_new_connection() -> None:
    assert [way.port for way in ways(read("ip,actions=ct(table=1,zone=7,nat)\ntable=1,ip,actions=output:2"))] == [2]
