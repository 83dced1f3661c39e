# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real packets: as bytes, into a port of the private switch, and as they come out of its ports."""

from __future__ import annotations

import contextlib
import os
import struct
import sys
import time
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.conntrack import Packet, Tuple
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.fields import (
    ETH_IP,
    ICMP,
    UDP,
    flag_bits,
    packed,
)

from tests.integration.verify.conftest import Laboratory

PCAP_HEADER, RECORD_HEADER = 24, 16
"""Bytes of a capture file's header and of the header before each packet, whose third word is the packet's length."""
MORE_FRAGMENTS = 0x2000
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
    return _ethernet(packet) + _ipv4(ends, protocol, len(body)) + body


def _ethernet(packet: Packet) -> bytes:
    return b"".join(packet.value(name).to_bytes(6, "big") for name in ("dl_dst", "dl_src")) + ETH_IP.to_bytes(2, "big")


def _ipv4(ends: bytes, protocol: int, length: int) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 1, 0, 64, protocol, 0) + ends
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:]


def fragments(packet: Packet, first: int) -> list[bytes]:
    """A UDP packet in two parts, the first with ``first`` bytes of it (a multiple of 8), the other with 200."""
    ends = struct.pack("!II", packet.value("nw_src"), packet.value("nw_dst"))
    head = struct.pack("!HHHH", packet.value("tp_src"), packet.value("tp_dst"), first + 200, 0)
    whole, made = head.ljust(first + 200, b"x"), []
    for offset, body in ((0, whole[:first]), (first, whole[first:])):
        place = offset // 8 | (0 if offset else MORE_FRAGMENTS)
        header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 99, place, 64, UDP, 0) + ends
        made.append(_ethernet(packet) + header[:10] + struct.pack("!H", checksum(header)) + header[12:] + body)
    return made


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
    about, identifier = b"", packet.identifier
    if packet.about:
        ends = struct.pack("!II", packet.about.source, packet.about.destination)
        start = struct.pack("!HHI", packet.about.source_port, packet.about.destination_port, 0)
        if packet.about.protocol == ICMP:
            start = struct.pack("!BBHHH", packet.about.source_port, 0, 0, packet.about.identifier, 1)
        # Open vSwitch 3.1 writes to a checksum behind the eight bytes that routers quote of a TCP header.
        about = _ipv4(ends, packet.about.protocol, 20) + start.ljust(20, b"\0")
    body = struct.pack("!BBHHH", packet.value("tp_src"), packet.value("tp_dst"), 0, identifier, 1) + about
    return body[:2] + struct.pack("!H", checksum(body)) + body[4:]


def packet_of(port: int, ends: Tuple, *, flags: int = 0, about: Tuple | None = None, kind: int = 0) -> Packet:
    """A packet that comes in by ``port``. ``kind`` is the type of an ICMP packet."""
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
    return Packet(header, about, ends.identifier)


class Seen(NamedTuple):
    """A packet that came out, less what no rule changes."""

    port: int
    source: int
    destination: int
    protocol: int
    ports: tuple[int, int]
    about: Tuple | None
    identifier: int


def seen(port: int, packet: Packet) -> Seen:
    """``packet`` as it would be seen."""
    ends = packet.value("nw_src"), packet.value("nw_dst"), packet.value("nw_proto")
    return Seen(port, *ends, (packet.value("tp_src"), packet.value("tp_dst")), packet.about, packet.identifier)


def _read(port: int, data: bytes) -> Seen:
    source, destination, protocol, rest = _read_ip(data[14:])
    if protocol != ICMP:
        return Seen(port, source, destination, protocol, struct.unpack("!HH", rest[:4]), None, 0)
    kind, code, _sum, identifier = struct.unpack("!BBHH", rest[:6])
    about = None
    if kind == UNREACHABLE:
        *ends, inner = _read_ip(rest[8:])
        if ends[2] == ICMP:
            asked, _code, _sum, number = struct.unpack("!BBHH", inner[:6])
            about = Tuple(*ends, asked, ECHO_REPLY if asked == ECHO else ECHO, number)
        else:
            about = Tuple(*ends, *struct.unpack("!HH", inner[:4]))
    return Seen(port, source, destination, protocol, (kind, code), about, identifier)


def _read_ip(data: bytes) -> tuple[int, int, int, bytes]:
    source, destination = struct.unpack("!II", data[12:20])
    return source, destination, data[9], data[20:]


class Wire:
    """Sends packets into the switch and sees by which port they come out, from what the ports record."""

    def __init__(self, lab: Laboratory, bridge: str, ports: Collection[int], directory: Path) -> None:
        self._lab = lab
        self._prefix = bridge.removeprefix("b")
        self._files = {number: directory / f"{number}.pcap" for number in ports}
        command: list[str] = []
        for number, path in self._files.items():
            command += ["--", "set", "Interface", self._name(number), f"options:tx_pcap={path}"]
        lab.ovs.vsctl(*command)
        self._ends = dict.fromkeys(self._files, PCAP_HEADER)

    def _name(self, number: int) -> str:
        return f"p{self._prefix}-{number}"

    def _arrived(self) -> list[tuple[int, bytes]]:
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
                    arrived.append((number, record[RECORD_HEADER:whole]))
        return arrived

    def send(self, packet: Packet) -> Seen:
        """What came out for ``packet``, which is one packet at one port."""
        (sent,) = self.send_to_many(packet, 1)
        return sent

    def send_to_many(self, packet: Packet, count: int) -> list[Seen]:
        """What came out for ``packet``, which is ``count`` packets."""
        return [_read(*sent) for sent in self.exchange(packet.value("in_port"), [frame(packet)], count)]

    def exchange(self, port: int, frames: Iterable[bytes], answers: int) -> list[tuple[int, bytes]]:
        """What comes out when ``frames`` go into ``port``: as many as ``answers``, each with its port."""
        for data in frames:
            self._lab.control("netdev-dummy/receive", self._name(port), data.hex())
        deadline, arrived = time.monotonic() + 10, self._arrived()
        while len(arrived) < answers and time.monotonic() < deadline:
            os.sched_yield()
            arrived += self._arrived()
        assert len(arrived) == answers, f"{arrived} came out"
        return arrived
