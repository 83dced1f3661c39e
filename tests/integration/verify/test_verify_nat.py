# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Translation as the switch's own connection tracking does it: real packets, their answers and errors about them."""

from __future__ import annotations

import random
from collections.abc import Generator
from pathlib import Path

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.conntrack import Conntrack, Packet, Tuple
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.fields import ICMP, TCP, UDP, ipv4_text
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.groups import read_groups
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.rules import FlowReader
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.simulator import Simulator

from tests.integration.verify.conftest import Laboratory
from tests.integration.verify.wire import ACK, ECHO, ECHO_REPLY, SYN, UNREACHABLE, Seen, Wire, packet_of, seen

# What connection tracking says of a packet decides the port that it leaves by; the destination port of a new
# connection decides how it is translated. Port 3 leads through a zone in which nothing is translated.
FLOWS = """
table=0,priority=2,ip,in_port=1,actions=ct(table=1,zone=7,nat)
table=0,priority=2,ip,in_port=2,actions=ct(table=1,zone=7,nat)
table=0,priority=2,ip,in_port=3,actions=ct(table=1,zone=7)
table=1,priority=90,ip,ct_state=+inv+trk,actions=output:20
table=1,priority=80,ip,ct_state=+rel+rpl+snat+trk,actions=output:21
table=1,priority=80,ip,ct_state=+rel+dnat+trk,actions=output:22
table=1,priority=79,ip,ct_state=+rel+trk,actions=output:23
table=1,priority=70,ip,ct_state=+est+rpl+snat+trk,actions=output:24
table=1,priority=70,ip,ct_state=+est+rpl+dnat+trk,actions=output:25
table=1,priority=69,ip,ct_state=+est+rpl+trk,actions=output:26
table=1,priority=70,ip,ct_state=+est-rpl+dnat+trk,actions=output:27
table=1,priority=70,ip,ct_state=+est-rpl+snat+trk,actions=output:28
table=1,priority=69,ip,ct_state=+est-rpl+trk,actions=output:29
table=1,priority=60,ip,ct_state=+new+dnat+trk,actions=output:30
table=1,priority=60,ip,ct_state=+new+snat+trk,actions=output:31
table=1,priority=50,PROTOCOL,ct_state=+new+trk,tp_dst=1,actions=ct(commit,zone=7,nat(dst=10.0.0.9:77)),output:32
table=1,priority=50,PROTOCOL,ct_state=+new+trk,tp_dst=2,actions=ct(commit,zone=7,nat(src=10.0.0.8)),output:32
table=1,priority=50,PROTOCOL,ct_state=+new+trk,tp_dst=3,actions=ct(commit,zone=7,nat(src=10.0.0.8:2000-2003)),output:33
table=1,priority=50,PROTOCOL,ct_state=+new+trk,tp_dst=4,actions=ct(commit,zone=7,nat(dst=10.0.0.9-10.0.0.11),table=2)
table=1,priority=50,PROTOCOL,ct_state=+new+trk,tp_dst=5,actions=ct(commit,zone=7),output:34
table=1,priority=50,PROTOCOL,ct_state=+new+trk,tp_dst=6,actions=\
ct(commit,zone=7,nat(dst=10.0.0.9),exec(set_field:5->ct_mark)),set_field:66->PROTOCOL_dst,output:35
table=1,priority=50,PROTOCOL,ct_state=+new+trk,tp_dst=7,actions=group:1
table=1,priority=50,PROTOCOL,ct_state=+new+trk,tp_dst=8,actions=ct(commit,zone=7,nat(dst=10.0.0.12)),ct(table=3,zone=7)
table=1,priority=40,icmp,ct_state=+new+trk,actions=ct(commit,zone=7,nat(src=10.0.0.8)),output:36
table=1,priority=0,actions=output:37
table=2,priority=2,ip,ct_state=+new+dnat-snat+trk,actions=ct(commit,zone=9,nat(src=10.0.0.7),table=3)
table=2,priority=0,actions=output:38
table=3,priority=2,ip,ct_state=+new-dnat+snat+trk,actions=output:39
table=3,priority=1,ip,ct_state=+new+dnat-snat+trk,actions=output:40
table=3,priority=0,actions=output:41
"""
GROUPS = """
group_id=1,type=select,selection_method=hash,bucket=ct(commit,zone=7,nat(dst=10.0.0.13:80),table=4),\
bucket=ct(commit,zone=7,nat(dst=10.0.0.14:80),table=4)
"""
LAST = "table=4,priority=0,actions=output:42"
PORTS = {f"port{number}": number for number in (1, 2, 3, *range(20, 43))}
SERVICES = range(1, 10)
CHOSEN = frozenset({3, 4, 7})
"""Services whose translation the switch picks by a hash."""

CLIENTS, SERVERS = (0x0A000001, 0x0A000002, 0x0A000003), (0x0A000021, 0x0A000022)
ROUTER = 0x0A0000FE
CONVERSATIONS = 350
AT_A_TIME = 6

Conversation = Generator[Packet, Seen, None]


def flows() -> list[str]:
    found = []
    for line in [*FLOWS.strip().splitlines(), LAST]:
        both = ("tcp", "udp") if "PROTOCOL" in line else ("",)
        found += [line.replace("PROTOCOL", protocol) for protocol in both]
    return found


def ends_of(sent: Seen, kind: int = 0) -> Tuple:
    """The connection of a packet that came out; ``kind`` is the ICMP type of what answers to it."""
    ports = sent.ports if sent.protocol != ICMP else (sent.ports[0], kind)
    return Tuple(sent.source, sent.destination, sent.protocol, *ports, sent.identifier)


def conversation(rng: random.Random, number: int) -> Conversation:
    """A client speaks, twice; who it reached answers what came out; there are errors about either."""
    protocol = rng.choice((TCP, UDP, UDP, ICMP))
    client, server = rng.choice(CLIENTS), rng.choice(SERVERS)
    near = rng.choice((1, 1, 1, 3))
    if protocol == ICMP:
        ends = Tuple(client, server, ICMP, ECHO, ECHO_REPLY, rng.randrange(12))
    else:
        ends = Tuple(client, server, protocol, rng.choice((1024 + number, 5000 + number % 5)), rng.choice(SERVICES))
    for _time in range(rng.choice((1, 2))):
        there = yield packet_of(near, ends, flags=SYN, kind=ECHO)
    asked = ends_of(there, ECHO_REPLY)
    if rng.random() < 0.4:
        sender = rng.choice((there.destination, ROUTER))
        yield packet_of(2, Tuple(sender, there.source, ICMP), about=asked, kind=UNREACHABLE)
    if rng.random() < 0.2:
        # Nobody was asked under this address.
        yield packet_of(2, asked.reversed._replace(source=ROUTER), flags=SYN | ACK, kind=ECHO_REPLY)
    back = yield packet_of(2, asked.reversed, flags=SYN | ACK, kind=ECHO_REPLY)
    if rng.random() < 0.4:
        heard = ends_of(back, ECHO)
        yield packet_of(near, Tuple(rng.choice((back.destination, ROUTER)), back.source, ICMP), about=heard, kind=3)
    yield packet_of(near, ends, flags=ACK, kind=ECHO)
    yield packet_of(2, asked.reversed, flags=ACK, kind=ECHO_REPLY)


def told(packet: Packet) -> str:
    come = seen(packet.value("in_port"), packet)
    return f"{come.port}: {ipv4_text(come.source)} > {ipv4_text(come.destination)} {come[3:]}"


class Comparison:
    """Sends each packet into the switch and into the simulator, and tells the simulator what the switch chose."""

    def __init__(self, wire: Wire, simulator: Simulator) -> None:
        self._wire = wire
        self._simulator = simulator
        self._connections = Conntrack()
        self._past: list[str] = []
        self.choices: set[tuple[int, int]] = set()

    def send(self, packet: Packet) -> Seen:
        real = self._wire.send(packet)
        if packet.value("tp_dst") in CHOSEN:
            outcomes = list(self._simulator.outcomes(packet, self._connections))
        else:
            outcomes = [(self._simulator.run(packet, self._connections), self._connections)]
        ours = [([seen(sent.port, sent.packet) for sent in result.sent], after) for result, after in outcomes]
        self._past.append(f"{told(packet)}\n  switch {real}\n  simulator {[sent for sent, _after in ours]}")
        alike = [after for sent, after in ours if sent == [real]]
        assert alike, "\n".join(self._past[-12:])
        if len(ours) > 1:
            self.choices.add((packet.value("tp_dst"), len(ours)))
        self._connections = alike[0]
        return real


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_conversations(lab: Laboratory, tmp_path: Path, seed: int) -> None:
    lines, groups = flows(), GROUPS.strip().splitlines()
    bridge = lab.load(lines, PORTS, groups)
    lab.control("dpctl/flush-conntrack")
    reader = FlowReader(PORTS)
    simulator = Simulator(reader.read(lines), PORTS.values(), read_groups(groups, reader.port))
    compare = Comparison(Wire(lab, bridge.name, PORTS.values(), tmp_path), simulator)
    rng = random.Random(seed)
    waiting = [conversation(rng, number) for number in range(CONVERSATIONS)]
    open_ones: list[tuple[Conversation, Packet]] = []
    ports: set[int] = set()
    count = 0
    while waiting or open_ones:
        while waiting and len(open_ones) < AT_A_TIME:
            starting = waiting.pop()
            open_ones.append((starting, next(starting)))
        talk, packet = open_ones.pop(rng.randrange(len(open_ones)))
        real = compare.send(packet)
        ports.add(real.port)
        count += 1
        try:
            open_ones.append((talk, talk.send(real)))
        except StopIteration:
            continue
    assert count > 4 * CONVERSATIONS
    assert {service for service, _among in compare.choices} == CHOSEN
    assert ports >= set(range(20, 43)) - {38, 41}, sorted(set(range(20, 43)) - ports)
