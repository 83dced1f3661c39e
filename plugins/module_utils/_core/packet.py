# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""From words to a packet: who sends what to whom, in the names of the inventory."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from typing import Any

from .._errors import RefusedError
from .conntrack import Packet
from .fields import ETH_IP, ICMP, TCP, UDP, flag_bits, packed, read_mac
from .identity import ROUTER_MAC
from .model import Bridge, Container, Fleet, Node, Uplink

_WORDS = re.compile(
    r"\s*(?:(?P<key>from|to|on|source)\s+(?P<name>\S+)|(?P<protocol>[a-z]+)(?:/(?P<port>\d+))?)(?=\s|$)"
)
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


def read_words(text: str) -> dict[str, Any]:
    """``from xray-client to 203.0.113.9 tcp/443 [on HOST] [source ADDRESS]`` as a packet; ``on`` is the key of HOST."""
    packet: dict[str, Any] = {}
    place = 0
    while text[place:].strip():
        found = _WORDS.match(text, place)
        keys = {found["key"]: found["name"]} if found and found["key"] else {}
        if found and found["protocol"]:
            keys = {"protocol": found["protocol"]} | ({"port": found["port"]} if found["port"] else {})
        if found is None or packet.keys() & keys.keys():
            fix = "write it like: from xray-client to 203.0.113.9 tcp/443."
            raise RefusedError(f"{text[place:].strip()!r} of {text!r} is not understood.", fix=fix)
        packet |= keys
        place = found.end()
    return packet


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
    target = _destination(fleet, str(packet["to"]))
    start, usual = _start(fleet, str(packet["from"]), host, target)
    protocol = str(packet.get("protocol") or "tcp")
    if protocol not in PROTOCOLS:
        raise RefusedError(f"The protocol {protocol} is not traced.", fix=f"say {', '.join(PROTOCOLS)}.")
    source = packet.get("source") or usual
    if source is None:
        raise RefusedError(f"{start} sends for many addresses.", fix="say which one as source.")
    return Question(
        start,
        _address(source, "source"),
        target,
        protocol,
        0 if protocol == "icmp" else _port(packet.get("source_port") or _SOURCE_PORT, "source_port"),
        0 if protocol == "icmp" else _port(packet.get("port"), "port"),
    )


def _start(fleet: Fleet, name: str, host: str | None, target: IPv4Address) -> tuple[Place, IPv4Address | None]:
    """Where what ``name`` sends to ``target`` enters a bridge, and the address that it usually sends from."""
    if host is not None and host not in fleet.nodes:
        raise RefusedError(f"{host} is not in the fleet.", fix=f"name one of {', '.join(sorted(fleet.nodes))}.")
    nodes = [fleet.nodes[host]] if host is not None else list(fleet.nodes.values())
    found = [place for node in nodes for place in _places(node, name)]
    if not found:
        return _outside(fleet, nodes, name, target)
    if len(found) > 1:
        places = ", ".join(f"{place} of {place.host}" for place in found)
        raise RefusedError(f"{name} names {places}.", fix="say on which host, or use a name that only one has.")
    return found[0], _usual(fleet.nodes[found[0].host], found[0])


def _usual(node: Node, place: Place) -> IPv4Address | None:
    if isinstance(place.owner, Container):
        return place.owner.ip
    if isinstance(place.owner, Uplink) and place.owner.kind == "host":
        return node.bridge(place.bridge).gateway
    return None


def _outside(fleet: Fleet, nodes: Sequence[Node], name: str, target: IPv4Address) -> tuple[Place, IPv4Address | None]:
    """Where a host of the fleet or an address comes in that is no port of a bridge."""
    behind = [(node, bridge) for node in nodes for bridge in node.bridges if bridge.subnet and target in bridge.subnet]
    if name in fleet.nodes:
        return _from_host(fleet.nodes[name], behind, target)
    with suppress(AddressValueError):
        return _from_address(fleet, nodes, IPv4Address(name), behind)
    known = {container.name for node in nodes for container in node.containers}
    known |= {uplink.name for node in nodes for uplink in node.uplinks} | set(fleet.nodes)
    one_of = ", ".join(sorted(known))
    raise RefusedError(f"No container, uplink or host is called {name}.", fix=f"name one of {one_of}.")


def _from_host(
    peer: Node, behind: Sequence[tuple[Node, Bridge]], target: IPv4Address
) -> tuple[Place, IPv4Address | None]:
    """By the host's uplink into its own bridge, by the mesh into those of others."""
    for node, bridge in behind:
        own = [uplink for uplink in node.uplinks_of(bridge.name) if uplink.kind == "host"]
        if node is peer and own:
            return uplink_place(node, own[0]), bridge.gateway
    addresses = {(uplink.kind, uplink.network): uplink.address for uplink in peer.uplinks if uplink.is_mesh}
    for node, bridge in behind:
        for uplink in _meshes_of(node, bridge):
            address = addresses.get((uplink.kind, uplink.network))
            if address is not None and node is not peer:
                return uplink_place(node, uplink), address.ip
    raise RefusedError(f"{peer.name} reaches {target} over no mesh.", fix="name a container or an uplink.")


def _from_address(
    fleet: Fleet, nodes: Sequence[Node], source: IPv4Address, behind: Sequence[tuple[Node, Bridge]]
) -> tuple[Place, IPv4Address | None]:
    for node in nodes:
        for container in node.containers:
            if container.ip == source:
                return container_place(node, container), source
    for node, bridge in behind:
        for uplink in _meshes_of(node, bridge):
            if any(source in prefix for prefix in fleet.prefixes(node, uplink)):
                return uplink_place(node, uplink), source
    raise RefusedError(f"No mesh leads to {source}.", fix="say which uplink it comes in by, and the address as source.")


def _meshes_of(node: Node, bridge: Bridge) -> list[Uplink]:
    return [uplink for uplink in node.uplinks if uplink.is_mesh and node.served_bridge(uplink) is bridge]


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
