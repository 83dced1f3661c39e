# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Stateful connection tracking: which connection a packet belongs to, what the rules may know and change of it.

A model without time: a committed connection stays until `Conntrack.forget`. It follows the userspace datapath of Open
vSwitch, whose rules for TCP flags are those of the kernel where the pipeline can tell the difference. Fragments are
tracked as the packet that they are part of, whose ports their headers have here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from .actions import Nat
from .fields import ETH_IP, FIELDS, ICMP, TCP, UDP, Bits, flag_bits
from .groups import Choose, first

NEW, ESTABLISHED, RELATED, REPLY, INVALID, TRACKED, SOURCE_NAT, DESTINATION_NAT = (
    flag_bits("ct_state", flag) for flag in ("new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat")
)
_FIN, _SYN, _RST, _PSH, _ACK, _URG = (
    flag_bits("tcp_flags", flag) for flag in ("fin", "syn", "rst", "psh", "ack", "urg")
)

_ICMP_REQUESTS = {8: 0, 13: 14, 15: 16}
_ICMP_ANSWERS = {**_ICMP_REQUESTS, **{answer: request for request, answer in _ICMP_REQUESTS.items()}}
_PORTS = (TCP, UDP)


class Tuple(NamedTuple):
    """What tells connections apart: both ends and the protocol. ICMP has types (its own, the answer's) and an id."""

    source: int
    destination: int
    protocol: int
    source_port: int = 0
    destination_port: int = 0
    identifier: int = 0

    @property
    def reversed(self) -> Tuple:
        ports = self.destination_port, self.source_port
        return Tuple(self.destination, self.source, self.protocol, *ports, self.identifier)


@dataclass(frozen=True, slots=True)
class Packet:
    """A header, packed as in `fields`. ``about`` is the packet that an ICMP error speaks of.

    As in Open vSwitch, an ICMP packet has its type in tp_src and its code in tp_dst. ``identifier`` is a ping's.
    """

    header: int
    about: Tuple | None = None
    identifier: int = 0

    def value(self, field: str) -> int:
        return FIELDS[field].of(self.header)


def tuple_of(packet: Packet) -> Tuple | None:
    """The connection that ``packet`` would belong to, in its direction; None when it can belong to none."""
    protocol, source, destination = (packet.value(name) for name in ("nw_proto", "nw_src", "nw_dst"))
    if packet.value("dl_type") != ETH_IP:
        return None
    if packet.about:
        # The error travels against the packet that it speaks of.
        return packet.about.reversed if packet.about.source == destination else None
    if protocol == ICMP:
        kind, code = packet.value("tp_src"), packet.value("tp_dst")
        if kind not in _ICMP_ANSWERS or code:
            return None
        return Tuple(source, destination, protocol, kind, _ICMP_ANSWERS[kind], packet.identifier)
    ports = (packet.value("tp_src"), packet.value("tp_dst")) if protocol in _PORTS else (0, 0)
    return Tuple(source, destination, protocol, *ports)


NOTHING = Bits(0, 0)


@dataclass(frozen=True, slots=True)
class Request:
    """What a rule asks of connection tracking. ``before``: the state bits of a translation in the same zone before."""

    commit: bool = False
    mark: Bits = NOTHING
    nat: Nat | None = None
    before: int = 0
    choose: Choose = first


LOOK = Request()
"""Asks what a packet is, and changes nothing."""


class Tracked(NamedTuple):
    """What the rules see of a tracked packet: values of ct_state and ct_mark, and the packet as it is now."""

    state: int
    mark: int
    packet: Packet


class Tracker(Protocol):
    """What the simulator asks about connections."""

    def track(self, zone: int, packet: Packet, request: Request) -> Tracked:
        """Let ``packet`` through ``zone``."""


@dataclass(slots=True)
class Connection:
    """``first`` is the tuple of the packet that opened it, ``answer`` that of answers: its reverse, unless translated.

    ``end`` is the one that is translated, `src` or `dst`; empty for none.
    """

    first: Tuple
    answer: Tuple
    mark: int = 0
    end: str = ""
    answered: bool = False


class Conntrack:
    """The connections of all zones."""

    def __init__(self) -> None:
        self._zones: dict[int, dict[Tuple, Connection]] = {}

    def track(self, zone: int, packet: Packet, request: Request = LOOK) -> Tracked:
        """A connection is established by its first answer; of TCP, also by what is more than a SYN."""
        subject = tuple_of(packet)
        if subject is None:
            return Tracked(TRACKED | INVALID, 0, packet)
        connection, reply = self._find(zone, subject, translated_before=bool(request.before))
        if connection is None:
            return self._unknown(zone, subject, packet, request)
        state = TRACKED | request.before | (REPLY if reply else 0)
        if packet.about:
            state |= RELATED
        else:
            opening = _opens(packet) if subject.protocol == TCP else not reply
            connection.answered |= reply and not opening
            state |= NEW if opening and not connection.answered else ESTABLISHED
        if request.nat is not None and connection.end and not request.before:
            packet, flag = _translated(packet, connection, reply)
            state |= flag
        if request.commit:
            connection.mark = connection.mark & ~request.mark.mask | request.mark.value
        return Tracked(state, connection.mark, packet)

    def forget(self) -> None:
        """Lose every connection, as a restart of the datapath does."""
        self._zones.clear()

    def copy(self) -> Conntrack:
        """The same connections, to go on with in another way."""
        other = Conntrack()
        for zone, known in self._zones.items():
            twins = {id(connection): replace(connection) for connection in known.values()}
            other._zones[zone] = {ends: twins[id(connection)] for ends, connection in known.items()}
        return other

    def _unknown(self, zone: int, subject: Tuple, packet: Packet, request: Request) -> Tracked:
        if packet.about or not _may_open(packet):
            return Tracked(TRACKED | INVALID, 0, packet)
        if not request.commit:
            return Tracked(TRACKED | NEW, 0, packet)
        known = self._zones.setdefault(zone, {})
        end = request.nat.end if request.nat else ""
        answer = subject.reversed
        if request.nat and end:
            free = next((ends for ends in _answers(subject, request.nat, request.choose) if ends not in known), None)
            if free is None:
                return Tracked(TRACKED | INVALID, 0, packet)
            answer = free
        connection = Connection(subject, answer, request.mark.value, end)
        known[answer] = known[subject] = connection
        flag = 0
        if end:
            packet, flag = _translated(packet, connection, reply=False)
        return Tracked(TRACKED | NEW | flag, connection.mark, packet)

    def _find(self, zone: int, subject: Tuple, *, translated_before: bool) -> tuple[Connection | None, bool]:
        """The connection of ``subject``, and whether it is an answer. One that was translated is found in reverse."""
        known = self._zones.get(zone, {})
        asked = subject.reversed if translated_before else subject
        connection = known.get(asked)
        return connection, connection is not None and (asked != connection.first) != translated_before


def _answers(subject: Tuple, nat: Nat, choose: Choose) -> Iterator[Tuple]:
    """What answers to a connection that ``nat`` translates may look like, in the order in which they are tried."""
    low, high = nat.addresses
    pick = choose("address of nat", high - low + 1) if high > low else 0
    address = (low + pick) or (subject.source if nat.end == "src" else subject.destination)
    port, peer = subject.source_port, subject.destination_port
    if nat.end == "src":
        answer = subject.reversed._replace(destination=address)
        ports = _round(nat.ports, choose) if nat.ports else _near(port)
    else:
        answer = subject.reversed._replace(source=address)
        ports = _near(port)
    if subject.protocol not in _PORTS:
        yield answer
        return
    if nat.end == "dst" and nat.ports:
        for peer in _round(nat.ports, choose):
            yield answer._replace(source_port=peer)
    yield from (answer._replace(source_port=peer, destination_port=port) for port in ports)


def _round(ports: tuple[int, int], choose: Choose) -> Iterator[int]:
    """All of ``ports``, from the chosen one on."""
    low, high = ports
    count = high - low + 1
    start = choose("port of nat", count) if count > 1 else 0
    yield from (low + (start + step) % count for step in range(count))


def _near(port: int) -> Iterator[int]:
    """``port`` and then the others of its kind."""
    low, high = (1, 511) if port < 512 else (600, 1023) if port < 1024 else (1024, 65535)
    yield port
    yield from (low + (port - low + step) % (high - low + 1) for step in range(1, high - low + 1))


def _translated(packet: Packet, connection: Connection, reply: bool) -> tuple[Packet, int]:
    """``packet`` as ``connection`` says, with the bit of ct_state that tells so."""
    ends = connection.first if reply else connection.answer
    source = (connection.end == "src") != reply
    header, about = packet.header, packet.about
    address = ends.destination if source else ends.source
    header = FIELDS["nw_src" if source else "nw_dst"].put(header, address)
    if about:
        about = about._replace(source=about.source if source else ends.source)
        about = about._replace(destination=ends.destination if source else about.destination)
        if about.protocol in _PORTS:
            about = about._replace(source_port=ends.source_port, destination_port=ends.destination_port)
    elif ends.protocol in _PORTS:
        header = FIELDS["tp_src"].put(header, ends.destination_port)
        header = FIELDS["tp_dst"].put(header, ends.source_port)
    flag = SOURCE_NAT if source else DESTINATION_NAT
    return Packet(header, about, packet.identifier), flag


def _opens(packet: Packet) -> bool:
    return packet.value("tcp_flags") & (_SYN | _ACK) == _SYN


def _may_open(packet: Packet) -> bool:
    """Whether a packet without connection counts as new.

    A TCP packet from the middle of a connection does, an answer (SYN and ACK) does not; of ICMP only requests do.
    """
    protocol, flags = packet.value("nw_proto"), packet.value("tcp_flags")
    if protocol == ICMP:
        return packet.value("tp_src") in _ICMP_REQUESTS
    if protocol != TCP:
        return True
    if flags & _SYN:
        return not flags & (_ACK | _RST | _FIN)
    return bool(flags & _ACK or (flags & _RST and not flags & (_FIN | _PSH | _URG)))
