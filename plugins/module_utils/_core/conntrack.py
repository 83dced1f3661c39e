# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Connection tracking as the rules see it: zones, marks, and which packet is new, a reply, related or invalid.

A model without time: a committed connection stays until `Conntrack.forget`. It follows the userspace datapath of Open
vSwitch, whose rules for TCP flags are those of the kernel where the pipeline can tell the difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from .fields import ETH_IP, FIELDS, ICMP, TCP, Bits, flag_bits

NEW, ESTABLISHED, RELATED, REPLY, INVALID, TRACKED = (
    flag_bits("ct_state", flag) for flag in ("new", "est", "rel", "rpl", "inv", "trk")
)
_FIN, _SYN, _RST, _PSH, _ACK, _URG = (
    flag_bits("tcp_flags", flag) for flag in ("fin", "syn", "rst", "psh", "ack", "urg")
)

_ICMP_REQUESTS = frozenset({8, 13, 15})


class Tuple(NamedTuple):
    """What tells connections apart: both ends and the protocol. ICMP has no ports."""

    source: int
    destination: int
    protocol: int
    source_port: int = 0
    destination_port: int = 0

    @property
    def reversed(self) -> Tuple:
        return Tuple(self.destination, self.source, self.protocol, self.destination_port, self.source_port)


@dataclass(frozen=True, slots=True)
class Packet:
    """A header, packed as in `fields`. ``about`` is the packet that an ICMP error speaks of.

    As in Open vSwitch, an ICMP packet has its type in tp_src and its code in tp_dst.
    """

    header: int
    about: Tuple | None = None

    def value(self, field: str) -> int:
        return FIELDS[field].of(self.header)


def tuple_of(packet: Packet) -> Tuple:
    protocol = packet.value("nw_proto")
    ends = packet.value("nw_src"), packet.value("nw_dst"), protocol
    return Tuple(*ends) if protocol == ICMP else Tuple(*ends, packet.value("tp_src"), packet.value("tp_dst"))


class Tracked(NamedTuple):
    """What the rules see of a tracked packet: values of ct_state and ct_mark."""

    state: int
    mark: int


class Tracker(Protocol):
    """What the simulator asks about connections."""

    def look_up(self, zone: int, packet: Packet) -> Tracked:
        """State and mark of ``packet`` in ``zone``."""

    def commit(self, zone: int, packet: Packet, mark: Bits) -> None:
        """Remember the connection of ``packet`` and change its mark."""


@dataclass(slots=True)
class Connection:
    """``first`` is the tuple of the packet that opened it."""

    first: Tuple
    mark: int = 0
    answered: bool = False


class Conntrack:
    """The connections of all zones."""

    def __init__(self) -> None:
        self._zones: dict[int, dict[Tuple, Connection]] = {}

    def look_up(self, zone: int, packet: Packet) -> Tracked:
        """Like the switch, it takes a reply for the proof that the connection is established."""
        if packet.value("dl_type") != ETH_IP:
            return Tracked(TRACKED | INVALID, 0)
        subject = packet.about or tuple_of(packet)
        connection = self._find(zone, subject)
        if connection is None:
            return Tracked(TRACKED | (NEW if _may_open(packet) else INVALID), 0)
        reply = subject != connection.first
        if packet.about:
            # The error travels against the packet that it speaks of.
            return Tracked(TRACKED | RELATED | (0 if reply else REPLY), connection.mark)
        connection.answered |= reply
        state = (ESTABLISHED if connection.answered else NEW) | (REPLY if reply else 0)
        return Tracked(TRACKED | state, connection.mark)

    def commit(self, zone: int, packet: Packet, mark: Bits) -> None:
        connection = self._find(zone, tuple_of(packet))
        if connection is None:
            if packet.value("dl_type") != ETH_IP or not _may_open(packet):
                return
            connection = Connection(tuple_of(packet))
            self._zones.setdefault(zone, {})[connection.first] = connection
        connection.mark = connection.mark & ~mark.mask | mark.value

    def forget(self) -> None:
        """Lose every connection, as a restart of the datapath does."""
        self._zones.clear()

    def _find(self, zone: int, subject: Tuple) -> Connection | None:
        connections = self._zones.get(zone, {})
        return connections.get(subject) or connections.get(subject.reversed)


def _may_open(packet: Packet) -> bool:
    """Whether a packet without connection counts as new.

    A TCP packet from the middle of a connection does, an answer (SYN and ACK) does not; of ICMP only requests do.
    """
    protocol, flags = packet.value("nw_proto"), packet.value("tcp_flags")
    if packet.about:
        return False
    if protocol == ICMP:
        return packet.value("tp_src") in _ICMP_REQUESTS
    if protocol != TCP:
        return True
    if flags & _SYN:
        return not flags & (_ACK | _RST | _FIN)
    return bool(flags & _ACK or (flags & _RST and not flags & (_FIN | _PSH | _URG)))
