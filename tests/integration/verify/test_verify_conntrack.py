# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulator's connection tracking against the switch's own: real packets, in random orders, through real ports."""

from __future__ import annotations

import contextlib
import os
import random
import struct
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.conntrack import Conntrack, Packet, Tuple
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.fields import (
    ETH_IP,
    FIELDS,
    ICMP,
    TCP,
    UDP,
    flag_bits,
    packed,
)
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.rules import FlowReader
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.simulator import Simulator

from tests.integration.verify.conftest import Laboratory

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
PCAP_HEADER, RECORD_HEADER = 24, 16
"""Bytes of a capture file's header and of the header before each packet, whose third word is the packet's length."""
HOSTS = (0x0A000001, 0x0A000002, 0x0A000003)
SYN, ACK, RST, FIN = (flag_bits("tcp_flags", flag) for flag in ("syn", "ack", "rst", "fin"))
ECHO, ECHO_REPLY, UNREACHABLE = 8, 0, 3


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def frame(packet: Packet) -> bytes:
    """The packet as it is on the wire."""
    ends = struct.pack("!II", packet.value("nw_src"), packet.value("nw_dst"))
    protocol = packet.value("nw_proto")
    body = _icmp(packet) if protocol == ICMP else _transport(packet, ends, protocol)
    macs = bytes.fromhex("0200000000010200000000020800")
    return macs + _ipv4(ends, protocol, len(body)) + body


def _ipv4(ends: bytes, protocol: int, length: int) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 1, 0, 64, protocol, 0) + ends
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:]


def _transport(packet: Packet, ends: bytes, protocol: int) -> bytes:
    ports = packet.value("tp_src"), packet.value("tp_dst")
    if protocol == UDP:
        body, place = struct.pack("!HHHH", *ports, 8, 0), 6
    else:
        flags = packet.value("tcp_flags")
        # Sequence numbers of a connection whose sides have sent nothing but their SYN.
        sequence, answer = (0 if flags & SYN else 1), (1 if flags & ACK else 0)
        body, place = struct.pack("!HHIIBBHHH", *ports, sequence, answer, 5 << 4, flags, 64240, 0, 0), 16
    total = checksum(ends + struct.pack("!BBH", 0, protocol, len(body)) + body)
    return body[:place] + struct.pack("!H", total) + body[place + 2 :]


def _icmp(packet: Packet) -> bytes:
    about = b""
    if packet.about:
        ends = struct.pack("!II", packet.about.source, packet.about.destination)
        start = struct.pack("!HHI", packet.about.source_port, packet.about.destination_port, 0)
        about = _ipv4(ends, packet.about.protocol, 20) + start
    body = struct.pack("!BBHHH", packet.value("tp_src"), packet.value("tp_dst"), 0, 7, 1) + about
    return body[:2] + struct.pack("!H", checksum(body)) + body[4:]


def packet_of(port: int, ends: Tuple, *, flags: int = 0, about: Tuple | None = None, kind: int = 0) -> Packet:
    header = packed(
        in_port=port,
        dl_src=0x020000000002,
        dl_dst=0x020000000001,
        dl_type=ETH_IP,
        nw_src=ends.source,
        nw_dst=ends.destination,
        nw_proto=ends.protocol,
        nw_ttl=64,
        tp_src=kind if ends.protocol == ICMP else ends.source_port,
        tp_dst=0 if ends.protocol == ICMP else ends.destination_port,
        tcp_flags=flags,
    )
    return Packet(header, about)


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


class Wire:
    """Sends packets into the switch and sees by which port they come out, from what the ports record."""

    def __init__(self, lab: Laboratory, bridge: str, directory: Path) -> None:
        self._lab = lab
        self._prefix = bridge.removeprefix("b")
        self._files = {number: directory / f"{number}.pcap" for number in PORTS.values()}
        command: list[str] = []
        for number, path in self._files.items():
            command += ["--", "set", "Interface", self._name(number), f"options:tx_pcap={path}"]
        lab.ovs.vsctl(*command)
        self._ends = dict.fromkeys(self._files, PCAP_HEADER)

    def _name(self, number: int) -> str:
        return f"p{self._prefix}-{number}"

    def _arrived(self) -> list[int]:
        """Ports whose file has a whole new record; one that is still being written counts the next time."""
        arrived = []
        for number, path in self._files.items():
            with contextlib.suppress(FileNotFoundError), path.open("rb") as stream:
                stream.seek(self._ends[number])
                record = stream.read()
                if len(record) < RECORD_HEADER:
                    continue
                whole = RECORD_HEADER + int.from_bytes(record[8:12], sys.byteorder)
                if len(record) >= whole:
                    self._ends[number] += whole
                    arrived.append(number)
        return arrived

    def send(self, packet: Packet) -> int:
        """The number of the port that ``packet`` left by."""
        self._lab.control("netdev-dummy/receive", self._name(packet.value("in_port")), frame(packet).hex())
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            arrived = self._arrived()
            if arrived:
                assert len(arrived) == 1, f"{packet} came out by ports {arrived}"
                return arrived[0]
            os.sched_yield()
        raise AssertionError(f"{packet} came out nowhere")


def told(packet: Packet) -> str:
    names = ("in_port", "nw_src", "nw_dst", "nw_proto", "tp_src", "tp_dst", "tcp_flags")
    return f"{ {name: packet.value(name) for name in names} } about {packet.about}"


@pytest.mark.parametrize("seed", [1, 2])
def test_random_conversations(lab: Laboratory, tmp_path: Path, seed: int) -> None:
    flows = FLOWS.strip().splitlines()
    bridge = lab.load(flows, PORTS)
    wire = Wire(lab, bridge.name, tmp_path)
    lab.control("dpctl/flush-conntrack")
    simulator, connections = Simulator(FlowReader(PORTS).read(flows), PORTS.values()), Conntrack()
    rng = random.Random(seed)
    past: list[str] = []
    ports = set()
    for packet in interleaved(rng, lives(rng)):
        (sent,) = simulator.run(packet, connections).sent
        real = wire.send(packet)
        past.append(f"{told(packet)}: switch {real}, simulator {sent.port}")
        assert real == sent.port, "\n".join(past[-30:])
        assert FIELDS["in_port"].of(sent.header) == packet.value("in_port")
        ports.add(real)
    assert ports >= set(range(20, 37)) - {31}
