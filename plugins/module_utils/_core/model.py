# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""The vocabulary: what a fleet is made of. Building it from inventory data and checking it is `inventory`'s job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from . import identity

UPLINK_KINDS = ("host", "warp", "wireguard", "netmaker")
"""`host`: the host itself and what it publishes. `warp`: an exit. `wireguard`, `netmaker`: meshes that join nodes."""

MESH_KINDS = ("wireguard", "netmaker")
SOURCES = ("local", "mesh", "vpn", "host", "internet")
"""Where new connections to a service may come from (`exposed_to`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How to see that a service works. ``kind``: `tcp`, `http` (``argument``: the path) or `command`."""

    kind: str
    argument: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A root file system archive on the host, pinned by the SHA-256 of the file (64 hexadecimal digits)."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A port that a container serves. ``public_port`` is set when the node publishes it to the internet."""

    name: str
    protocol: str
    port: int
    exposed_to: frozenset[str] = frozenset()
    public_port: int | None = None
    health: Health | None = None
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """An LXC container on a bridge; ``egress`` names the uplink of its new connections outward.

    ``memory`` and ``swap`` are in MiB, ``cpus`` in processors; None means no limit. ``mtu`` None means derived from
    the uplinks. Its root file system comes from ``image`` or from ``tree`` (a directory on the host).
    """

    id: str
    name: str
    veth: str
    bridge: str
    address: IPv4Interface
    template: str = "debian-13"
    egress: str | None = None
    services: tuple[Service, ...] = ()
    memory: int | None = None
    swap: int | None = None
    cpus: float | None = None
    nesting: bool = False
    mtu: int | None = None
    running: bool = True
    autostart: bool = True
    unprivileged: bool = True
    image: Image | None = None
    tree: str | None = None
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
class LiteralRule:
    """A rule that somebody wrote, with the names that it was written with, at ``line`` (from 1) of its list."""

    line: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One host of the fleet. ``literal``: the rules by bridge, where they are written and not compiled."""

    name: str
    bridges: tuple[Bridge, ...] = ()
    uplinks: tuple[Uplink, ...] = ()
    veth_pairs: tuple[VethPair, ...] = ()
    containers: tuple[Container, ...] = ()
    literal: tuple[tuple[str, tuple[LiteralRule, ...]], ...] | None = None

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
        by_name = {bridge.name: bridge for bridge in self.bridges}
        own = by_name.get(uplink.bridge)
        if own is None or own.subnet is not None:
            return own
        behind = [by_name[far.bridge] for _near, far in self.ends(own.name) if far.bridge in by_name]
        return next((bridge for bridge in behind if bridge.subnet is not None), None)

    def uplinks_of(self, bridge: str) -> tuple[Uplink, ...]:
        return tuple(uplink for uplink in self.uplinks if uplink.bridge == bridge)

    def containers_of(self, bridge: str) -> tuple[Container, ...]:
        return tuple(container for container in self.containers if container.bridge == bridge)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A destination behind an uplink and the inventory line that put it there."""

    prefix: IPv4Network
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A node on a mesh, its uplink to it, and the bridge that this uplink serves."""

    node: Node
    uplink: Uplink
    bridge: Bridge | None

    @property
    def subnet(self) -> IPv4Network | None:
        return self.bridge.subnet if self.bridge is not None else None


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """All nodes by name. Compiled from inventory data of every host, never from a play's host list."""

    nodes: Mapping[str, Node] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @cached_property
    def meshes(self) -> Mapping[tuple[str, str], tuple[Member, ...]]:
        """Members of each mesh by (kind, network), in the order of their node names."""
        meshes: dict[tuple[str, str], list[Member]] = {}
        for _name, node in sorted(self.nodes.items()):
            for uplink in node.uplinks:
                if uplink.is_mesh:
                    member = Member(node=node, uplink=uplink, bridge=node.served_bridge(uplink))
                    meshes.setdefault((uplink.kind, uplink.network), []).append(member)
        return {mesh: tuple(members) for mesh, members in meshes.items()}

    def members(self, network: str, kind: str) -> tuple[Member, ...]:
        """Nodes on the mesh ``network`` of ``kind``, by node name."""
        return self.meshes.get((kind, network), ())

    def routes(self, node: Node, uplink: Uplink) -> tuple[Route, ...]:
        """Destinations that ``node`` reaches through ``uplink``, sorted: overlay, other nodes' subnets, extras."""
        reached = dict.fromkeys(uplink.prefixes, f"{uplink.origin}.prefixes")
        if uplink.kind == "warp":
            reached[IPv4Network("0.0.0.0/0")] = uplink.origin
        if uplink.is_mesh:
            if uplink.address is not None:
                reached[uplink.address.network] = f"{uplink.origin}.address"
            for member in self.members(uplink.network, uplink.kind):
                if member.node is not node and member.bridge is not None and member.bridge.subnet is not None:
                    reached[member.bridge.subnet] = f"{member.bridge.origin}.subnet"
        in_order = sorted(reached.items(), key=lambda item: (int(item[0].network_address), item[0].prefixlen))
        return tuple(Route(prefix=prefix, origin=origin) for prefix, origin in in_order)

    def prefixes(self, node: Node, uplink: Uplink) -> tuple[IPv4Network, ...]:
        """The prefixes of `routes`."""
        return tuple(route.prefix for route in self.routes(node, uplink))
