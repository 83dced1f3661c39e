# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""The bridges of a fleet for symbolic packets: compiled once, and how packets get from one to the next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from ipaddress import IPv4Network

from .compile import compile_node
from .cube import Budget, intersection
from .fields import FIELDS, Bits, exact, read_mac
from .identity import ROUTER_MAC
from .matrix_model import Endpoint
from .matrix_push import Switch, Way, entering, first_packets
from .matrix_space import NOTHING, Header, Region
from .model import Container, Fleet, Member, Node, Uplink
from .packet import Place, container_place, uplink_place
from .rules import FlowReader


@dataclass(frozen=True, slots=True)
class Carried:
    """Headers on their way: which of the source's first headers, what they are now, and the bridges behind them."""

    region: Region
    header: Header
    path: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()

    def along(self, way: Way, here: Place, budget: Budget) -> Carried | None:
        """Those that take ``way`` through the bridge of ``here``; None when there are none."""
        budget.spend(1 + len(way.region.holes))
        back = self.header.back(way.region.cube)
        region = self.region.narrowed(back) if back is not None else None
        if region is None:
            return None
        holes = [self.header.back(hole) for hole in way.region.holes]
        region = region.without([hole for hole in holes if hole is not None])
        if region is None or region.is_empty(budget):
            return None
        origin = way.deciding.origin if way.deciding else "no rule matches"
        path = (*self.path, f"{here.host}/{here.bridge}")
        return Carried(region, self.header.then(way.header), path, (*self.origins, origin))


@dataclass(frozen=True, slots=True)
class _Bridge:
    switch: Switch
    places: Mapping[int, Place]


def container_end(node: Node, container: Container) -> Endpoint:
    return Endpoint("container", node.name, container.name)


def beyond(node: Node, uplink: Uplink) -> Endpoint:
    """What is on the other side of ``uplink``."""
    if uplink.is_mesh:
        return Endpoint("mesh", "", uplink.network)
    return Endpoint("host", node.name, "") if uplink.kind == "host" else Endpoint("internet", node.name, uplink.name)


def prefix_bits(name: str, network: IPv4Network) -> Bits:
    """The field ``name`` is an address of ``network``."""
    shift = FIELDS[name].shift
    return Bits(int(network.network_address) << shift, int(network.netmask) << shift)


class BridgesOf:
    """The bridges of a fleet, and what its hosts' kernels and meshes do between them."""

    def __init__(self, fleet: Fleet, budget: Budget) -> None:
        self._fleet = fleet
        self._budget = budget
        self._of_host = cache(self._compile)
        self._entry_ways: dict[tuple[str, str, str], Sequence[Way]] = {}
        self.notes: list[str] = []

    def others(self, node: Node, uplink: Uplink) -> list[Member]:
        """The other members of the mesh of ``uplink``; none when it is no mesh."""
        members = self._fleet.members(uplink.network, uplink.kind) if uplink.is_mesh else ()
        return [member for member in members if member.node.name != node.name]

    def ways(self, place: Place, first: Region) -> Iterator[Way]:
        """The ways of ``first``, which comes in at ``place``."""
        return self._bridge(place).switch.ways(first, self._budget)

    def entry(self, place: Place) -> Region:
        """Every first packet that may come in at ``place``, an uplink's or a veth pair's end."""
        return Region(first_packets(place.ofport, _written(place)))

    def entry_ways(self, place: Place) -> Sequence[Way]:
        """The ways of all of them: found once, and shared by everybody whose packets come in there."""
        key = (place.host, place.bridge, place.port)
        if key not in self._entry_ways:
            self._entry_ways[key] = tuple(self.ways(place, self.entry(place)))
        return self._entry_ways[key]

    def onward(self, here: Place, port: int, after: Carried) -> Iterator[tuple[Place | None, Endpoint | None, Carried]]:
        """Where packets that leave the bridge of ``here`` by ``port`` come in next, or else what they have reached."""
        node = self._fleet.nodes[here.host]
        out = self._bridge(here).places.get(port)
        if out is None:
            yield from self._switched(node, here, after)
        elif isinstance(out.owner, Container):
            yield None, container_end(node, out.owner), after
        elif isinstance(out.owner, Uplink):
            yield from self._through(node, out.owner, after)
        else:
            place = _far_end(node, out)
            yield place, None, replace(after, header=entering(after.header, place.ofport))

    def _switched(
        self, node: Node, here: Place, after: Carried
    ) -> Iterator[tuple[Place | None, Endpoint | None, Carried]]:
        """The bridge's own MAC learning knows the containers; everything else goes to every port."""
        rest: Region | None = after.region
        for container in node.containers_of(here.bridge):
            meant = after.header.back(exact("nw_dst", int(container.ip))) if container.veth != here.port else None
            if meant is None or rest is None:
                continue
            share = rest.narrowed(meant)
            if share is None or share.is_empty(self._budget):
                continue
            rest = rest.without([meant])
            yield None, container_end(node, container), replace(after, region=share)
        if rest is not None and not rest.is_empty(self._budget):
            yield None, Endpoint("switch", here.host, here.bridge), replace(after, region=rest)

    def _through(
        self, node: Node, uplink: Uplink, after: Carried
    ) -> Iterator[tuple[Place | None, Endpoint | None, Carried]]:
        """A mesh carries packets to the member whose subnet they are for; the rest has left our bridges."""
        rest: Region | None = after.region
        for member in self.others(node, uplink):
            meant = after.header.back(prefix_bits("nw_dst", member.subnet)) if member.subnet else None
            if meant is None or rest is None:
                continue
            share = rest.narrowed(meant)
            if share is None or share.is_empty(self._budget):
                continue
            rest = rest.without([meant])
            place = uplink_place(member.node, member.uplink)
            yield (
                place,
                None,
                replace(after, region=share, header=entering(after.header, place.ofport, _written(place))),
            )
        if rest is not None and not rest.is_empty(self._budget):
            yield None, beyond(node, uplink), replace(after, region=rest)

    def _bridge(self, place: Place) -> _Bridge:
        return self._of_host(place.host)[place.bridge]

    def _compile(self, host: str) -> Mapping[str, _Bridge]:
        node = self._fleet.nodes[host]
        places = [container_place(node, container) for container in node.containers]
        places += [uplink_place(node, uplink) for uplink in node.uplinks]
        for bridge in node.bridges:
            places += [Place(host, bridge.name, near.name, near.ofport) for near, _far in node.ends(bridge.name)]
        made = {}
        for name, flows in compile_node(self._fleet, host).items():
            rules = FlowReader(flows.ports).read([flow.text() for flow in flows.flows], flows.origins)
            by_number = {place.ofport: place for place in places if place.bridge == name}
            switch = Switch(rules, flows.ports.values())
            made[name] = _Bridge(switch, by_number)
            self.notes += [f"{host}/{name}: rules that learn() adds to table {table}" for table in switch.learning]
        return made


def _far_end(node: Node, near: Place) -> Place:
    """The other end of the veth pair of ``near``."""
    far = next(far for end, far in node.ends(near.bridge) if end.name == near.port)
    return Place(near.host, far.bridge, far.name, far.ofport)


def _written(place: Place) -> Bits:
    """What the kernel's end of an uplink writes into packets; a veth pair leaves them as they are."""
    if place.owner is None:
        return NOTHING
    return intersection(exact("dl_src", place.mac), exact("dl_dst", read_mac(ROUTER_MAC)))
