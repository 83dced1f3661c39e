# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""From words to a packet: who sends what to whom, in the names of the inventory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from typing import Any

from .._errors import RefusedError
from .conntrack import Packet
from .fields import ETH_IP, ICMP, TCP, UDP, flag_bits, packed, read_mac
from .identity import ROUTER_MAC
from .model import Container, Fleet, Node, Uplink

KEYS = ("from", "to", "protocol", "port", "source", "source_port")
PROTOCOLS = {"tcp": TCP, "udp": UDP, "icmp": ICMP}
_SOURCE_PORT = 40000
_TTL = 64
_ECHO_REQUEST, _ECHO_REPLY = 8, 0


@dataclass(frozen=True, slots=True)
class Place:
    """A port of a bridge of a host, and the container or uplink behind it (None between two bridges)."""

    host: str
    bridge: str
    port: str
    ofport: int
    owner: Container | Uplink | None = None

    @property
    def mac(self) -> int:
        """The Ethernet address behind it."""
        return read_mac(self.owner.mac) if self.owner else 0

    def __str__(self) -> str:
        if self.owner is None:
            return f"port {self.port} of bridge {self.bridge}"
        return f"{'container' if isinstance(self.owner, Container) else 'uplink'} {self.owner.name}"


@dataclass(frozen=True, slots=True)
class Question:
    """The first packet of a connection: where it enters, both ends, protocol and ports (0 without)."""

    start: Place
    source: IPv4Address
    destination: IPv4Address
    protocol: str
    source_port: int
    port: int

    def packet(self) -> Packet:
        """A connection's first packet."""
        return self._packet(self.start, self.source, self.destination, self.source_port, self.port, reply=False)

    def reply(self, place: Place) -> Packet:
        """The answer to it, which enters at ``place``."""
        return self._packet(place, self.destination, self.source, self.port, self.source_port, reply=True)

    def _packet(
        self, place: Place, source: IPv4Address, destination: IPv4Address, sender: int, receiver: int, *, reply: bool
    ) -> Packet:
        flags = flag_bits("tcp_flags", "syn", "ack") if reply else flag_bits("tcp_flags", "syn")
        if self.protocol == "icmp":
            sender, receiver = (_ECHO_REPLY if reply else _ECHO_REQUEST), 0
        header = packed(
            in_port=place.ofport,
            dl_src=place.mac,
            dl_dst=read_mac(ROUTER_MAC),
            dl_type=ETH_IP,
            nw_src=int(source),
            nw_dst=int(destination),
            nw_proto=PROTOCOLS[self.protocol],
            nw_ttl=_TTL,
            tp_src=sender,
            tp_dst=receiver,
            tcp_flags=flags if self.protocol == "tcp" else 0,
        )
        return Packet(header)

    def __str__(self) -> str:
        port = f"/{self.port}" if self.port else ""
        return f"{self.protocol}{port} from {self.source} ({self.start} of {self.start.host}) to {self.destination}"


def container_place(node: Node, container: Container) -> Place:
    return Place(node.name, container.bridge, container.veth, container.ofport, container)


def uplink_place(node: Node, uplink: Uplink) -> Place:
    return Place(node.name, uplink.bridge, uplink.bridge_port, uplink.ofport, uplink)


def read_question(fleet: Fleet, packet: Mapping[str, Any], host: str | None = None) -> Question:
    """``packet`` (keys `KEYS`) in the names of ``fleet``; ``host`` is needed where a name is on several hosts.

    Raises RefusedError when it is incomplete or names what is not there.
    """
    strange = sorted(set(packet) - set(KEYS))
    if strange:
        raise RefusedError(f"A packet has no {', '.join(strange)}.", fix=f"say {', '.join(KEYS)}.")
    missing = [key for key in ("from", "to") if not packet.get(key)]
    if missing:
        raise RefusedError(f"A packet needs {' and '.join(missing)}.", fix="name a container, an uplink or an address.")
    start = _start(fleet, str(packet["from"]), host)
    protocol = str(packet.get("protocol") or "tcp")
    if protocol not in PROTOCOLS:
        raise RefusedError(f"The protocol {protocol} is not traced.", fix=f"say {', '.join(PROTOCOLS)}.")
    source = packet.get("source") or (start.owner.ip if isinstance(start.owner, Container) else None)
    if source is None:
        raise RefusedError(f"{start} sends for many addresses.", fix="say which one as source.")
    return Question(
        start,
        _address(source, "source"),
        _destination(fleet, str(packet["to"])),
        protocol,
        0 if protocol == "icmp" else _port(packet.get("source_port") or _SOURCE_PORT, "source_port"),
        0 if protocol == "icmp" else _port(packet.get("port"), "port"),
    )


def _start(fleet: Fleet, name: str, host: str | None) -> Place:
    if host is not None and host not in fleet.nodes:
        raise RefusedError(f"{host} is not in the fleet.", fix=f"name one of {', '.join(sorted(fleet.nodes))}.")
    nodes = [fleet.nodes[host]] if host is not None else list(fleet.nodes.values())
    found = [place for node in nodes for place in _places(node, name)]
    if not found:
        known = {container.name for node in nodes for container in node.containers}
        known |= {uplink.name for node in nodes for uplink in node.uplinks}
        one_of = ", ".join(sorted(known))
        raise RefusedError(f"No container and no uplink is called {name}.", fix=f"name one of {one_of}.")
    if len(found) > 1:
        places = ", ".join(f"{place} of {place.host}" for place in found)
        raise RefusedError(f"{name} names {places}.", fix="say on which host, or use a name that only one has.")
    return found[0]


def _places(node: Node, name: str) -> Iterator[Place]:
    yield from (container_place(node, container) for container in node.containers if container.name == name)
    yield from (uplink_place(node, uplink) for uplink in node.uplinks if uplink.name == name)


def _destination(fleet: Fleet, name: str) -> IPv4Address:
    found = [container.ip for node in fleet.nodes.values() for container in node.containers if container.name == name]
    if len(found) > 1:
        addresses = ", ".join(map(str, found))
        raise RefusedError(f"Several containers are called {name}.", fix=f"say which address: {addresses}.")
    return found[0] if found else _address(name, "to")


def _address(value: object, key: str) -> IPv4Address:
    try:
        return IPv4Address(str(value))
    except AddressValueError as exc:
        meant = "a container or an IPv4 address" if key == "to" else "an IPv4 address"
        raise RefusedError(f"{key} = {value} is not {meant}.", fix=f"name {meant}.") from exc


def _port(value: object, key: str) -> int:
    text = str(value)
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise RefusedError(f"{key} = {value} is not a port.", fix="say a number from 1 to 65535.")
    return int(text)
