# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Who may open which connection to whom: the compiled rules of all hosts, put together bridge by bridge.

Between bridges, packets are carried as `trace` carries them: a mesh takes them to the member whose subnet they are for,
a veth pair to its other end. What a host publishes comes in at its host uplink, its address translated already.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address

from .cube import Budget, intersection
from .fields import exact
from .links import link_layer
from .matrix_area import Area, Areas, union
from .matrix_bridges import BridgesOf, Carried, beyond, container_end, prefix_bits
from .matrix_model import INTERNET, Endpoint, Matrix, Reach, Stop
from .matrix_push import Way, first_packets
from .matrix_space import Header, Region
from .model import Container, Fleet, Node, Uplink
from .packet import PROTOCOLS, Place, container_place, uplink_place

MAX_BRIDGES = 8
"""Bridges that a packet may pass."""

BUDGET = 200_000_000
"""Elementary steps for a whole fleet; 20 hosts with 10 containers each take a small part of them."""

_Key = tuple[Endpoint, Endpoint, tuple[str, ...], tuple[str, ...], int]


def matrix_of(fleet: Fleet, budget: int = BUDGET) -> Matrix:
    """The reachability of ``fleet``. Raises OutOfBudgetError."""
    return _Walk(fleet, Budget(budget)).matrix()


class _Walk:
    """Follows every source through the bridges, and collects where it gets."""

    def __init__(self, fleet: Fleet, budget: Budget) -> None:
        self._fleet = fleet
        self._budget = budget
        self._bridges = BridgesOf(fleet, budget)
        self._areas = Areas(budget)
        self._reached: dict[_Key, list[Area]] = {}
        self._stopped: dict[tuple[Endpoint, Endpoint], Stop] = {}

    def matrix(self) -> Matrix:
        nodes = [self._fleet.nodes[host] for host in sorted(self._fleet.nodes)]
        for node in nodes:
            for container in node.containers:
                self._follow_container(node, container)
            for uplink in node.uplinks:
                self._follow_uplink(node, uplink)
            self._follow_published(node)
        pairs = {key[:2] for key in self._reached}
        return Matrix(
            tuple(
                Reach(source, end, union(areas), path, origins, published)
                for (source, end, path, origins, published), areas in sorted(self._reached.items())
            ),
            tuple(stop for pair, stop in sorted(self._stopped.items()) if pair not in pairs),
            tuple(container_end(node, container) for node in nodes for container in node.containers),
            tuple(self._bridges.notes),
        )

    def _follow_container(self, node: Node, container: Container) -> None:
        """A container opens connections from its own addresses."""
        place = container_place(node, container)
        sender = intersection(exact("dl_src", place.mac), exact("nw_src", int(container.ip)))
        own = Region(first_packets(place.ofport, sender))
        self._follow(container_end(node, container), place, own, self._bridges.ways(place, own))

    def _follow_uplink(self, node: Node, uplink: Uplink) -> None:
        """From an uplink comes what is on its other side; members' containers are followed from where they are."""
        place = uplink_place(node, uplink)
        subnets = [member.subnet for member in self._bridges.others(node, uplink) if member.subnet is not None]
        every = self._bridges.entry(place).without([prefix_bits("nw_src", subnet) for subnet in subnets])
        if every is not None:
            self._follow(beyond(node, uplink), place, every, self._bridges.entry_ways(place))

    def _follow_published(self, node: Node) -> None:
        gateways = {uplink.gateway_port: uplink for uplink in node.uplinks}
        for item in link_layer(self._fleet, node.name)["published"]:
            place = uplink_place(node, gateways[item["gateway_port"]])
            target = exact("nw_dst", int(IPv4Address(item["address"])))
            target = intersection(target, exact("nw_proto", PROTOCOLS[item["protocol"]]))
            public = self._bridges.entry(place).narrowed(intersection(target, exact("tp_dst", item["port"])))
            if public is not None:
                self._follow(INTERNET, place, public, self._bridges.entry_ways(place), item["public_port"])

    def _follow(self, source: Endpoint, place: Place, start: Region, ways: Iterable[Way], published: int = 0) -> None:
        """Record where ``start`` gets, which comes in at ``place``, whose bridge has ``ways`` for it."""
        pending = [(place, Carried(start, Header()), ways)]
        while pending:
            here, carried, ways = pending.pop()
            for way in ways:
                after = carried.along(way, here, self._budget)
                if after is None:
                    continue
                if way.port is None:
                    self._lost(source, here, after)
                    continue
                for onward, end, share in self._bridges.onward(here, way.port, after):
                    if end is not None:
                        self._arrived(source, end, share, published)
                    elif onward is not None and len(share.path) < MAX_BRIDGES:
                        pending.append((onward, share, self._bridges.entry_ways(onward)))

    def _arrived(self, source: Endpoint, end: Endpoint, share: Carried, published: int) -> None:
        area = self._areas.of(share.region)
        if area:
            self._reached.setdefault((source, end, share.path, share.origins, published), []).append(area)

    def _lost(self, source: Endpoint, here: Place, after: Carried) -> None:
        """Remember for which containers beyond its own bridge a container was let out in vain."""
        if len(after.path) == 1 or source.kind != "container":
            return
        node = self._fleet.nodes[here.host]
        for container in node.containers:
            pair = (source, container_end(node, container))
            meant = after.region.narrowed(exact("nw_dst", int(container.ip))) if pair not in self._stopped else None
            if meant is not None and not meant.is_empty(self._budget):
                self._stopped[pair] = Stop(*pair, after.path[-1], after.origins[-1])
