# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulator's connection tracking against the switch's own: real packets, in random orders, through real ports."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.conntrack import Conntrack, Packet, Tuple
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.fields import (
    FIELDS,
    FRAGMENT,
    ICMP,
    LATER,
    TCP,
    UDP,
)
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.rules import FlowReader
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.simulator import Simulator

from tests.integration.verify.conftest import Laboratory
from tests.integration.verify.wire import ACK, ECHO, ECHO_REPLY, SYN, UNREACHABLE, Wire, fragments, packet_of

# Every state that the pipeline could tell apart leaves by a port of its own. New connections to odd ports are
# committed with mark 5, those to ports that 4 divides with the port they came from, the others not at all.
FLOWS = """
table=0,priority=2,ip,in_port=1,actions=set_field:0x11->reg0,ct(table=1,zone=7)
table=0,priority=2,ip,in_port=2,actions=set_field:0x22->reg0,ct(table=1,zone=8)
table=1,priority=9,ip,ct_state=+inv+trk,actions=output:20
table=1,priority=8,ip,ct_state=+rel+rpl+trk,ct_mark=5,actions=output:21
table=1,priority=8,ip,ct_state=+rel-rpl+trk,ct_mark=5,actions=output:22
table=1,priority=7,ip,ct_state=+rel+trk,actions=output:23
table=1,priority=6,ip,ct_state=-new+est+rpl+trk,ct_mark=5,actions=output:24
table=1,priority=6,ip,ct_state=-new+est+rpl+trk,ct_mark=0x11,actions=output:25
table=1,priority=6,ip,ct_state=-new+est+rpl+trk,ct_mark=0x22,actions=output:26
table=1,priority=6,ip,ct_state=-new+est-rpl+trk,ct_mark=5,actions=output:27
table=1,priority=5,ip,ct_state=-new+est-rpl+trk,actions=output:28
table=1,priority=4,ip,ct_state=+new-est+trk,ct_mark=5,actions=output:29
table=1,priority=4,ip,ct_state=+new-est+trk,ct_mark=0x11,actions=output:30
table=1,priority=3,ip,ct_state=+new-est+trk,actions=goto_table:2
table=1,priority=0,actions=output:31
table=2,priority=2,tcp,tp_dst=1/1,actions=ct(commit,zone=7,exec(set_field:5->ct_mark)),output:32
table=2,priority=1,tcp,tp_dst=0/3,in_port=1,actions=ct(commit,zone=7,exec(move:NXM_NX_REG0[]->NXM_NX_CT_MARK[])),output:33
table=2,priority=1,tcp,tp_dst=0/3,in_port=2,actions=ct(commit,zone=8,exec(move:NXM_NX_REG0[]->NXM_NX_CT_MARK[])),output:34
table=2,priority=2,udp,tp_dst=1/1,actions=ct(commit,zone=7,exec(set_field:5->ct_mark)),output:32
table=2,priority=2,icmp,actions=ct(commit,zone=7,exec(set_field:5->ct_mark)),output:35
table=2,priority=0,actions=output:36
"""
PORTS = {f"port{number}": number for number in (1, 2, *range(20, 37))}
PACKETS = 1_500
HOSTS = (0x0A000001, 0x0A000002, 0x0A000003)


def tcp_life(rng: random.Random, ends: Tuple, port: int) -> list[Packet]:
    """A connection as a client and a server would have it; it may begin in the middle, or with the answer."""
    away, back = ends, ends.reversed
    life = [
        packet_of(port, away, flags=SYN),
        packet_of(port, away, flags=SYN),
        packet_of(port, back, flags=SYN | ACK),
        packet_of(port, away, flags=ACK),
        packet_of(port, back, flags=ACK),
        packet_of(port, away, flags=ACK),
    ]
    return life[rng.choice((0, 0, 0, 1, 2, 3)) :]


def lives(rng: random.Random) -> list[list[Packet]]:
    """What goes on in parallel: connections of each protocol, pings, errors about connections and about none."""
    found = []
    for number in range(PACKETS // 5):
        source, target = rng.sample(HOSTS, 2)
        port = rng.choice((1, 2))
        ends = Tuple(source, target, rng.choice((TCP, UDP)), 1024 + number, rng.randrange(1, 9))
        if ends.protocol == TCP:
            life = tcp_life(rng, ends, port)
        else:
            life = [packet_of(port, rng.choice((ends, ends, ends.reversed))) for _packet in range(4)]
        error = rng.choice((ends, ends.reversed))
        outer = Tuple(error.destination, error.source, ICMP)
        life.insert(rng.randrange(len(life) + 1), packet_of(port, outer, about=error, kind=UNREACHABLE))
        found.append(life)
    for source, target in ((HOSTS[0], HOSTS[1]), (HOSTS[2], HOSTS[0])):
        ping, pong = Tuple(source, target, ICMP), Tuple(target, source, ICMP)
        kinds = [(pong, ECHO_REPLY), (ping, ECHO), (ping, ECHO), (pong, ECHO_REPLY), (ping, ECHO)]
        found.append([packet_of(1, ends, kind=kind) for ends, kind in kinds])
    return found


def interleaved(rng: random.Random, threads: list[list[Packet]]) -> list[Packet]:
    """All packets, those of each thread in their order, with a few threads at a time."""
    order, open_threads = [], []
    waiting = [list(thread) for thread in threads]
    while waiting or open_threads:
        while waiting and len(open_threads) < 6:
            open_threads.append(waiting.pop(rng.randrange(len(waiting))))
        thread = rng.choice(open_threads)
        order.append(thread.pop(0))
        if not thread:
            open_threads.remove(thread)
    return order


def told(packet: Packet) -> str:
    names = ("in_port", "nw_src", "nw_dst", "nw_proto", "tp_src", "tp_dst", "tcp_flags")
    return f"{ {name: packet.value(name) for name in names} } about {packet.about}"


@pytest.mark.parametrize("seed", [1, 2])
def test_random_conversations(lab: Laboratory, tmp_path: Path, seed: int) -> None:
    flows = FLOWS.strip().splitlines()
    bridge = lab.load(flows, PORTS)
    wire = Wire(lab, bridge.name, PORTS.values(), tmp_path)
    lab.control("dpctl/flush-conntrack")
    simulator, connections = Simulator(FlowReader(PORTS).read(flows), PORTS.values()), Conntrack()
    rng = random.Random(seed)
    past: list[str] = []
    ports = set()
    for packet in interleaved(rng, lives(rng)):
        (sent,) = simulator.run(packet, connections).sent
        real = wire.send(packet).port
        past.append(f"{told(packet)}: switch {real}, simulator {sent.port}")
        assert real == sent.port, "\n".join(past[-30:])
        assert FIELDS["in_port"].of(sent.header) == packet.value("in_port")
        ports.add(real)
    assert ports >= set(range(20, 37)) - {31}


FRAGMENTS = """
table=0,priority=9,in_port=1,ip,actions=ct(table=1,zone=7)
table=0,priority=8,in_port=2,ip,actions=goto_table:1
table=1,priority=9,udp,ip_frag=yes,tp_dst=53,actions=output:20
table=1,priority=8,ip,ip_frag=first,ct_state=+new,actions=output:21
table=1,priority=7,ip,ip_frag=later,ct_state=+new,actions=output:22
table=1,priority=6,ip,ip_frag=no,actions=output:23
table=1,priority=5,ip,ip_frag=first,actions=output:24
table=1,priority=4,ip,ip_frag=later,actions=output:25
"""


@pytest.mark.parametrize(("port", "expected"), [(1, [21, 22]), (2, [24, 25])])
def test_fragments_are_tracked_as_one_packet_and_stay_fragments(
    lab: Laboratory, tmp_path: Path, port: int, expected: list[int]
) -> None:
    flows = FRAGMENTS.strip().splitlines()
    bridge = lab.load(flows, PORTS)
    wire = Wire(lab, bridge.name, PORTS.values(), tmp_path)
    simulator = Simulator(bridge.rules, PORTS.values())
    whole = packet_of(port, Tuple(HOSTS[0], HOSTS[1], UDP, 4000 + port, 53))
    parts = [Packet(FIELDS["nw_frag"].put(whole.header, part)) for part in (FRAGMENT, FRAGMENT | LATER)]
    simulated = [sent.port for part in parts for sent in simulator.run(part, Conntrack()).sent]
    # Open vSwitch takes first parts below 1200 bytes for an attack.
    real = sorted(number for number, _data in wire.exchange(port, fragments(whole, 1400), 2))
    assert real == simulated == expected
