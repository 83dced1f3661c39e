# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""A bridge as its pipeline sees it: containers, and links with the prefixes behind them."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network

from .identity import ROUTER_MAC
from .model import Bridge, Container, Fleet, Node, Route, Uplink, VethEnd


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A port of the bridge that is no container: the end of an uplink or of a veth pair to another bridge.

    ``source_mac`` is written into packets that go out, ``far_mac`` is the only sender that may come in.
    """

    port: str
    ofport: int
    register: int
    source_mac: str
    far_mac: str
    name: str
    is_mesh: bool
    is_host: bool
    is_end: bool
    routes: tuple[Route, ...]
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """``subnet`` is the bridge's own or, of a transit bridge, that of the bridge behind it."""

    node: Node
    bridge: Bridge
    subnet: IPv4Network
    subnet_origin: str
    containers: tuple[Container, ...]
    links: tuple[Link, ...]

    @property
    def ports(self) -> dict[str, int]:
        """OpenFlow port number of every port, by name."""
        numbers = {container.veth: container.ofport for container in self.containers}
        numbers.update((link.port, link.ofport) for link in self.links)
        return dict(sorted(numbers.items()))


def view_of(fleet: Fleet, node: Node, bridge: Bridge) -> View:
    """``bridge`` of ``node`` in a checked ``fleet``."""
    uplinks, ends = node.uplinks_of(bridge.name), node.ends(bridge.name)
    links = [_uplink_link(fleet, node, uplink) for uplink in uplinks]
    links += [_end_link(fleet, node, near, far) for near, far in ends]
    served = bridge if bridge.subnet is not None else node.bridge(ends[0][1].bridge)
    if served.subnet is None:
        raise ValueError(f"{bridge.origin}: no bridge with a subnet behind it")
    return View(
        node=node,
        bridge=bridge,
        subnet=served.subnet,
        subnet_origin=f"{served.origin}.subnet",
        containers=node.containers_of(bridge.name),
        links=tuple(sorted(links, key=lambda link: link.port)),
    )


def _uplink_link(fleet: Fleet, node: Node, uplink: Uplink) -> Link:
    return Link(
        port=uplink.bridge_port,
        ofport=uplink.ofport,
        register=uplink.register,
        source_mac=ROUTER_MAC,
        far_mac=uplink.mac,
        name=uplink.name,
        is_mesh=uplink.is_mesh,
        is_host=uplink.kind == "host",
        is_end=False,
        routes=fleet.routes(node, uplink) if uplink.is_mesh else (),
        origin=uplink.origin,
    )


def _end_link(fleet: Fleet, node: Node, near: VethEnd, far: VethEnd) -> Link:
    """A socket bridge reaches through ``near`` what the mesh uplink of the transit bridge reaches."""
    pair = next(pair for pair in node.veth_pairs if near in (pair.peer1, pair.peer2))
    beyond = [uplink for uplink in node.uplinks_of(far.bridge) if uplink.is_mesh]
    transit = node.bridge(far.bridge).subnet is None
    return Link(
        port=near.name,
        ofport=near.ofport,
        register=near.register,
        source_mac=near.mac,
        far_mac=far.mac,
        name=near.name,
        is_mesh=transit,
        is_host=False,
        is_end=True,
        routes=fleet.routes(node, beyond[0]) if transit else (),
        origin=pair.origin,
    )
