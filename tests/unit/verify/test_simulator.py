# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulator's parts one by one; what a real switch says about them stands in tests/integration/verify."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.conntrack import (
    ESTABLISHED,
    INVALID,
    NEW,
    NOTHING,
    RELATED,
    REPLY,
    TRACKED,
    Conntrack,
    Packet,
    Request,
    Tuple,
)
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.fields import (
    ETH_ARP,
    ETH_IP,
    FIELDS,
    ICMP,
    LOCAL,
    NORMAL,
    TCP,
    UDP,
    Bits,
    flag_bits,
    packed,
)
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.rules import FlowReader
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.simulator import Result, Simulator

SYN, ACK, RST, FIN, PSH = (flag_bits("tcp_flags", flag) for flag in ("syn", "ack", "rst", "fin", "psh"))
HERE, THERE = 0x0A000066, 0xCB007109


def ip(protocol: int = UDP, *, back: bool = False, flags: int = 0, about: Tuple | None = None, kind: int = 8) -> Packet:
    ends = {"nw_src": HERE, "nw_dst": THERE, "tp_src": 4000, "tp_dst": 443}
    if back:
        ends = {"nw_src": THERE, "nw_dst": HERE, "tp_src": 443, "tp_dst": 4000}
    if protocol == ICMP:
        ends |= {"tp_src": kind, "tp_dst": 0}
    return Packet(packed(in_port=1, dl_type=ETH_IP, nw_proto=protocol, nw_ttl=64, tcp_flags=flags, **ends), about)


def run(flows: str, packet: Packet, connections: Conntrack | None = None, ports: tuple[int, ...] = ()) -> Result:
    rules = FlowReader().read(flows.strip().splitlines())
    return Simulator(rules, ports or None).run(packet, connections or Conntrack())


class Seen(NamedTuple):
    state: int
    mark: int


def seen(connections: Conntrack, packet: Packet, zone: int = 1) -> Seen:
    return Seen(*connections.track(zone, packet)[:2])


def commit(connections: Conntrack, packet: Packet, mark: Bits = NOTHING) -> None:
    connections.track(1, packet, Request(commit=True, mark=mark))


def way(result: Result) -> list[tuple[int, int | None]]:
    """Tables, and the line of the rule that acted there."""
    return [(step.table, step.rule.line if step.rule else None) for step in result.steps]


def test_the_highest_priority_acts_and_a_miss_drops() -> None:
    flows = "priority=1,actions=output:7\npriority=3,udp,actions=goto_table:4\npriority=2,ip,actions=output:8"
    result = run(flows, ip())
    assert way(result) == [(0, 2), (4, None)]
    assert (result.ended, result.sent) == ("dropped", [])
    assert [sent.port for sent in run(flows, ip(TCP)).sent] == [8]


def test_a_later_rule_replaces_an_earlier_one_with_the_same_match() -> None:
    assert way(run("ip,actions=output:7\nip,actions=output:8", ip())) == [(0, 2)]


def test_fields_are_set_and_moved_before_the_packet_leaves() -> None:
    flows = "udp,actions=set_field:0xab/0xff->reg0,move:NXM_NX_REG0[]->NXM_NX_REG1[],dec_ttl,output:7"
    (sent,) = run(flows, ip()).sent
    values = [FIELDS[name].of(sent.header) for name in ("reg0", "reg1", "nw_ttl", "in_port")]
    assert values == [0xAB, 0xAB, 63, 1]


def test_outputs() -> None:
    sent = run("actions=output:1,output:2,IN_PORT,output:LOCAL,NORMAL", ip()).sent
    assert [one.port for one in sent] == [2, 1, LOCAL, NORMAL]
    assert [one.port for one in run("actions=output:2,output:3", ip(), ports=(1, 3)).sent] == [3]


def test_the_last_hop_ends_the_way() -> None:
    packet = Packet(FIELDS["nw_ttl"].put(ip().header, 1))
    result = run("ip,actions=dec_ttl,output:7", packet)
    assert (result.ended, result.sent) == ("ttl", [])
    arp = Packet(packed(dl_type=ETH_ARP, arp_op=1))
    assert run("actions=dec_ttl,output:7", arp).ended == "sent"


def test_recirculation_carries_registers_and_the_answer_of_connection_tracking() -> None:
    flows = """
priority=2,ip,actions=set_field:5->reg0,ct(table=3,zone=9),output:7
table=3,priority=2,ct_state=+new+trk,ct_zone=9,reg0=5,ip,actions=ct(commit,zone=9,exec(set_field:6->ct_mark)),goto_table:4
table=3,priority=1,ct_state=+est+rpl+trk,ct_mark=6,ip,actions=output:8
table=4,ct_state=-trk,actions=output:9
"""
    connections = Conntrack()
    result = run(flows, ip(), connections)
    assert way(result) == [(0, 1), (3, 2), (4, 4)]
    assert [sent.port for sent in result.sent] == [7, 9]
    assert result.commits == [(9, Bits(6, 0xFFFFFFFF))]
    assert [sent.port for sent in run(flows, ip(back=True), connections).sent] == [7, 8]
    connections.forget()
    assert way(run(flows, ip(back=True), connections)) == [(0, 1), (3, 2), (4, 4)]


def test_what_the_sender_says_about_connections_is_not_believed() -> None:
    forged = Packet(ip().header | packed(ct_state=flag_bits("ct_state", "trk", "est"), ct_mark=6))
    flows = "priority=2,ct_state=+trk,actions=output:7\npriority=1,ct_mark=6,actions=output:8"
    assert run(flows, forged).ended == "dropped"


def test_a_packet_that_goes_in_circles_is_lost() -> None:
    assert run("ip,actions=ct(table=0,zone=1)", ip()).ended == "loop"


@pytest.mark.parametrize(
    ("packet", "state"),
    [
        (ip(UDP), NEW),
        (ip(TCP, flags=SYN), NEW),
        (ip(TCP, flags=ACK), NEW),
        (ip(TCP, flags=SYN | ACK), INVALID),
        (ip(TCP, flags=SYN | FIN), INVALID),
        (ip(TCP, flags=SYN | RST), INVALID),
        (ip(TCP, flags=0), INVALID),
        (ip(TCP, flags=FIN), INVALID),
        (ip(TCP, flags=RST), NEW),
        (ip(TCP, flags=RST | PSH), INVALID),
        (ip(ICMP, kind=8), NEW),
        (ip(ICMP, kind=0), INVALID),
        (ip(ICMP, kind=3, about=Tuple(HERE, THERE, UDP, 4000, 443)), INVALID),
        (Packet(packed(dl_type=ETH_ARP)), INVALID),
    ],
)
def test_a_packet_without_connection(packet: Packet, state: int) -> None:
    connections = Conntrack()
    assert seen(connections, packet) == (state | TRACKED, 0)
    commit(connections, packet)
    more_than_a_syn = packet.value("nw_proto") == TCP and state == NEW and not packet.value("tcp_flags") & SYN
    assert seen(connections, packet) == ((ESTABLISHED if more_than_a_syn else state) | TRACKED, 0)


def test_a_connection_is_established_by_its_first_answer() -> None:
    connections = Conntrack()
    commit(connections, ip(), Bits(5, 0xFF))
    assert seen(connections, ip()) == (NEW | TRACKED, 5)
    assert seen(connections, ip(back=True)) == (ESTABLISHED | REPLY | TRACKED, 5)
    assert seen(connections, ip()) == (ESTABLISHED | TRACKED, 5)
    assert seen(connections, ip(back=True), zone=2) == (NEW | TRACKED, 0)


def test_a_mark_is_changed_where_its_mask_says() -> None:
    connections = Conntrack()
    commit(connections, ip(), Bits(0x12, 0xFF))
    commit(connections, ip(), Bits(0x30, 0xF0))
    assert seen(connections, ip()).mark == 0x32


def test_an_error_belongs_to_the_connection_that_it_is_about() -> None:
    connections = Conntrack()
    commit(connections, ip(), Bits(5, 0xFF))
    there = Tuple(HERE, THERE, UDP, 4000, 443)
    assert seen(connections, ip(ICMP, back=True, kind=3, about=there)) == (RELATED | REPLY | TRACKED, 5)
    assert seen(connections, ip(ICMP, kind=3, about=there.reversed)) == (RELATED | TRACKED, 5)
    assert seen(connections, ip(ICMP, kind=3, about=there)) == (INVALID | TRACKED, 0)


def test_pings_are_told_apart_by_their_ids() -> None:
    connections = Conntrack()
    ping, pong = ip(ICMP), ip(ICMP, back=True, kind=0)
    commit(connections, replace(ping, identifier=7))
    assert seen(connections, replace(pong, identifier=7)).state == ESTABLISHED | REPLY | TRACKED
    assert seen(connections, replace(pong, identifier=8)).state == INVALID | TRACKED
    assert seen(connections, replace(ping, identifier=8)).state == NEW | TRACKED
    # The request of the other kind is no answer to it.
    assert seen(connections, ip(ICMP, back=True, kind=14)).state == INVALID | TRACKED


def test_a_copy_of_the_connections_goes_its_own_way() -> None:
    connections = Conntrack()
    commit(connections, ip(), Bits(5, 0xFF))
    twin = connections.copy()
    commit(twin, ip(back=True), Bits(6, 0xFF))
    assert seen(twin, ip()) == (ESTABLISHED | TRACKED, 6)
    assert seen(connections, ip()) == (NEW | TRACKED, 5)
