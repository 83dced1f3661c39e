# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""The vocabulary: what a fleet is made of. Building it from inventory data and checking it is `inventory`'s job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from . import identity

UPLINK_KINDS = ("host", "warp", "wireguard", "netmaker")
"""`host`: the host itself and what it publishes. `warp`: an exit. `wireguard`, `netmaker`: meshes that join nodes."""

MESH_KINDS = ("wireguard", "netmaker")
SOURCES = ("local", "mesh", "vpn", "host", "internet")
"""Where new connections to a service may come from (`exposed_to`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A port that a container serves. ``public_port`` is set when the node publishes it to the internet."""

    name: str
    protocol: str
    port: int
    exposed_to: frozenset[str] = frozenset()
    public_port: int | None = None
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """An LXC container on a bridge. Sizes are in MiB; ``egress`` names the uplink of its new connections outward."""

    id: str
    name: str
    veth: str
    bridge: str
    address: IPv4Interface
    template: str = "debian-13"
    egress: str | None = None
    services: tuple[Service, ...] = ()
    origin: str = ""

    @property
    def ip(self) -> IPv4Address:
        return self.address.ip

    @property
    def mac(self) -> str:
        return identity.container_mac(self.ip)

    @property
    def register(self) -> int:
        return identity.container_register(self.ip)

    @property
    def ofport(self) -> int:
        return identity.container_ofport(self.address)


@dataclass(frozen=True, slots=True, kw_only=True)
class Uplink:
    """A way in and out of a bridge: gateway veth pair, kernel device and routing table of its own.

    ``device`` is None for kind `host`. ``number`` (1-65535) identifies it on its node; it follows from the name.
    ``address`` is the node's overlay address and ``network`` names the mesh, for the mesh kinds.
    ``prefixes`` are destinations behind it beyond those that the fleet itself tells.
    """

    name: str
    kind: str
    bridge: str
    device: str | None
    number: int
    mtu: int
    network: str = ""
    address: IPv4Interface | None = None
    prefixes: tuple[IPv4Network, ...] = ()
    listen_port: int | None = None
    endpoint: str | None = None
    public_key: str | None = None
    relay: bool = False
    keepalive: int = 25
    origin: str = ""

    @property
    def gateway_port(self) -> str:
        """The end in the kernel."""
        return f"gw-{self.name}"

    @property
    def bridge_port(self) -> str:
        """The end on the bridge."""
        return f"ovs-{self.name}"

    @property
    def mac(self) -> str:
        """MAC address of the gateway end."""
        return identity.link_mac(self.gateway_port)

    @property
    def register(self) -> int:
        return identity.UPLINK_CLASS | self.number

    @property
    def ofport(self) -> int:
        return identity.link_ofport(self.bridge_port)

    @property
    def table(self) -> int:
        return identity.routing_table(self.number)

    @property
    def is_mesh(self) -> bool:
        return self.kind in MESH_KINDS

    @property
    def is_exit(self) -> bool:
        """True when a container may name it as its egress."""
        return self.kind == "warp"


@dataclass(frozen=True, slots=True, kw_only=True)
class VethEnd:
    """One end of a veth pair between two bridges."""

    name: str
    bridge: str

    @property
    def ofport(self) -> int:
        return identity.link_ofport(self.name)

    @property
    def mac(self) -> str:
        return identity.link_mac(self.name)

    @property
    def number(self) -> int:
        return identity.digest16(self.name)

    @property
    def register(self) -> int:
        return identity.UPLINK_CLASS | self.number


@dataclass(frozen=True, slots=True, kw_only=True)
class VethPair:
    """Joins a socket bridge (with a subnet) to a transit bridge (without one, carrying one mesh uplink)."""

    peer1: VethEnd
    peer2: VethEnd
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridge:
    """An Open vSwitch bridge. Without ``subnet`` it is a transit bridge and carries no containers."""

    name: str
    subnet: IPv4Network | None = None
    gateway: IPv4Address | None = None
    ct_zone: int = 0
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One host of the fleet."""

    name: str
    bridges: tuple[Bridge, ...] = ()
    uplinks: tuple[Uplink, ...] = ()
    veth_pairs: tuple[VethPair, ...] = ()
    containers: tuple[Container, ...] = ()

    def bridge(self, name: str) -> Bridge:
        return next(bridge for bridge in self.bridges if bridge.name == name)

    def uplink(self, name: str) -> Uplink:
        return next(uplink for uplink in self.uplinks if uplink.name == name)

    def ends(self, bridge: str) -> tuple[tuple[VethEnd, VethEnd], ...]:
        """Inter-bridge ports of ``bridge``, each as (its own end, the other bridge's end)."""
        pairs = [(pair.peer1, pair.peer2) for pair in self.veth_pairs]
        both = pairs + [(second, first) for first, second in pairs]
        return tuple(ends for ends in both if ends[0].bridge == bridge)

    def served_bridge(self, uplink: Uplink) -> Bridge | None:
        """The bridge with a subnet that ``uplink`` serves: its own, or the one behind a transit bridge."""
        own = self.bridge(uplink.bridge)
        if own.subnet is not None:
            return own
        behind = [self.bridge(far.bridge) for _near, far in self.ends(own.name)]
        return next((bridge for bridge in behind if bridge.subnet is not None), None)

    def containers_of(self, bridge: str) -> tuple[Container, ...]:
        return tuple(container for container in self.containers if container.bridge == bridge)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """All nodes by name. Compiled from inventory data of every host, never from a play's host list."""

    nodes: Mapping[str, Node] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def members(self, network: str, kind: str) -> tuple[tuple[Node, Uplink], ...]:
        """Nodes on the mesh ``network`` of ``kind`` with their uplink to it, by node name."""
        return tuple(
            (node, uplink)
            for _name, node in sorted(self.nodes.items())
            for uplink in node.uplinks
            if uplink.kind == kind and uplink.network == network
        )

    def prefixes(self, node: Node, uplink: Uplink) -> tuple[IPv4Network, ...]:
        """Destinations that ``node`` reaches through ``uplink``, sorted: overlay, other nodes' subnets, extras."""
        reached = set(uplink.prefixes)
        if uplink.kind == "warp":
            reached.add(IPv4Network("0.0.0.0/0"))
        if uplink.is_mesh:
            if uplink.address is not None:
                reached.add(uplink.address.network)
            for other, far in self.members(uplink.network, uplink.kind):
                served = other.served_bridge(far) if other.name != node.name else None
                if served is not None and served.subnet is not None:
                    reached.add(served.subnet)
        return tuple(sorted(reached))
