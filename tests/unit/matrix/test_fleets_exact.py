# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The matrix of whole fleets against packets: it says that a connection opens where the simulator delivers it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from ipaddress import IPv4Address

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.inventory import fleet_from_inventory
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.matrix import matrix_of
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.matrix_area import Area, minus, union
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.matrix_bridges import beyond, container_end
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.matrix_model import Endpoint, Matrix
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.model import Container, Fleet
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.packet import (
    Place,
    Question,
    container_place,
    uplink_place,
)
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.trace import FLOODED, Tracer
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lib.fleets import FLEETS
from tests.unit.matrix.fleets import three_hosts, written

ALL = {**FLEETS, "three-hosts": three_hosts(), "written": written()}
AMBIGUOUS = ("written",)
"""Has rules of one priority for the same packets: the simulator takes one of them, the matrix what each may do."""

FLEET = {name: fleet_from_inventory(inventory) for name, inventory in ALL.items()}
MATRIX = {name: matrix_of(fleet) for name, fleet in FLEET.items()}


def has(area: Area, protocol: str, address: int, port: int) -> bool:
    return any(
        any(low <= address <= high for low, high in addresses)
        and (protocol == "icmp" or any(low <= port <= high for low, high in ports))
        for addresses, ports in area.get(protocol, ())
    )


def bridge(place: Place) -> str:
    return f"{place.host}/{place.bridge}"


def areas(matrix: Matrix, source: Endpoint, first: str) -> dict[Endpoint, Area]:
    """By destination, for packets that come to the bridge ``first``.

    What a host publishes has packets of the same kind as the host's own and is left out.
    """
    found: dict[Endpoint, list[Area]] = {}
    for reach in matrix.reaches:
        if reach.source == source and reach.path[0] == first and not reach.published:
            found.setdefault(reach.destination, []).append(reach.area)
    return {destination: union(parts) for destination, parts in found.items()}


def sources(fleet: Fleet) -> Iterator[tuple[Place, Endpoint, list[IPv4Address]]]:
    """Every place where connections begin, with addresses that they may come from: outside of every bridge's subnet."""
    strange = [IPv4Address("198.51.100.7"), IPv4Address("10.100.0.77"), IPv4Address("192.168.3.4")]
    for node in fleet.nodes.values():
        for container in node.containers:
            yield container_place(node, container), container_end(node, container), [container.ip]
        for uplink in node.uplinks:
            yield uplink_place(node, uplink), beyond(node, uplink), strange


def destinations(fleet: Fleet, matrix: Matrix) -> list[IPv4Address]:
    """Every container, and the edges of everything that the matrix speaks of."""
    found = {int(container.ip) for node in fleet.nodes.values() for container in node.containers}
    for reach in matrix.reaches:
        for blocks in reach.area.values():
            edges = {edge for addresses, _ports in blocks for low, high in addresses for edge in (low, high)}
            found |= {each for edge in edges for each in (edge - 1, edge, edge + 1) if 0 <= each < 1 << 32}
    found |= {int(IPv4Address(text)) for text in ("203.0.113.9", "224.0.0.1", "127.0.0.1", "10.100.0.1", "8.8.8.8")}
    return [IPv4Address(number) for number in sorted(found)]


def ports(matrix: Matrix) -> list[int]:
    edges = {
        edge
        for reach in matrix.reaches
        for blocks in reach.area.values()
        for _addresses, ranges in blocks
        for low, high in ranges
        for edge in (low - 1, low, high, high + 1)
    }
    return sorted(edge for edge in edges if 0 < edge < 65536)


SOURCES = {name: list(sources(fleet)) for name, fleet in FLEET.items()}
DESTINATIONS = {name: destinations(fleet, MATRIX[name]) for name, fleet in FLEET.items()}
EDGES = {name: ports(matrix) for name, matrix in MATRIX.items()}
REACHED = {
    name: {(end, bridge(place)): areas(MATRIX[name], end, bridge(place)) for place, end, _addresses in SOURCES[name]}
    for name in FLEET
}


EVERY = {
    name: [("icmp", 0), *((kind, port) for kind in ("tcp", "udp") for port in edges)] for name, edges in EDGES.items()
}
TRACERS = {name: partial(Tracer, fleet) for name, fleet in FLEET.items()}


@st.composite
def connections(draw: st.DrawFn, name: str) -> tuple[Endpoint, Question]:
    place, end, addresses = draw(st.sampled_from(SOURCES[name]))
    address = draw(st.one_of(st.sampled_from(DESTINATIONS[name]), st.integers(0, (1 << 32) - 1).map(IPv4Address)))
    protocol = draw(st.sampled_from(["tcp", "udp", "icmp"]))
    port = draw(st.one_of(st.sampled_from(EDGES[name]), st.integers(1, 65535)))
    source = draw(st.sampled_from(addresses))
    return end, Question(place, source, address, protocol, draw(st.integers(1024, 65535)), port)


def agree(name: str, end: Endpoint, asked: Question, tracer: Tracer) -> bool:
    """Whether the matrix says about ``asked`` what the simulator says; tells whether it arrives.

    What a container sends to its own address never comes to a bridge.
    """
    if asked.source == asked.destination:
        return False
    path, _reply = tracer.follow(asked)
    arrived = None
    if path.end is not None and path.end.owner is not None:
        node, owner = FLEET[name].nodes[path.end.host], path.end.owner
        arrived = container_end(node, owner) if isinstance(owner, Container) else beyond(node, owner)
    elif path.why == FLOODED:
        arrived = Endpoint("switch", path.hops[-1].host, path.hops[-1].bridge)
    told = {
        destination
        for destination, area in REACHED[name][end, bridge(asked.start)].items()
        if has(area, asked.protocol, int(asked.destination), asked.port)
    }
    expected = {arrived} if arrived else set()
    if name in AMBIGUOUS:
        assert expected <= told, f"{asked}: {path.deciding}"
    else:
        assert told == expected, f"{asked}: {path.deciding}"
    return bool(arrived)


@pytest.mark.parametrize("name", FLEET)
def test_every_source_to_every_edge(name: str) -> None:
    """Exhaustive over sources, destinations and some ports of services, in both directions."""
    tracer = Tracer(FLEET[name])
    count = 0
    number = 1024
    for place, end, addresses in SOURCES[name]:
        for address in DESTINATIONS[name]:
            for protocol, port in EVERY[name]:
                number += 1
                asked = Question(place, addresses[number % len(addresses)], address, protocol, number, port)
                count += agree(name, end, asked, tracer)
    assert count > len(MATRIX[name].reaches) / 2


@pytest.mark.parametrize("name", FLEET)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_random_connections(name: str, data: st.DataObject) -> None:
    end, asked = data.draw(connections(name))
    agree(name, end, asked, TRACERS[name]())


@pytest.mark.parametrize("name", FLEET)
def test_what_is_published_is_what_the_host_may_open(name: str) -> None:
    """Packets to a published port enter a bridge where the host's own do."""
    published = [reach for reach in MATRIX[name].reaches if reach.published]
    declared = [
        (node.name, container.name, service.public_port, {service.protocol: service.port})
        for node in FLEET[name].nodes.values()
        for container in node.containers
        for service in container.services
        if service.public_port
    ]
    found = []
    for reach in published:
        ports = {protocol: low for protocol, ((_addresses, ((low, _high),)),) in reach.area.items()}
        found.append((reach.destination.host, reach.destination.name, reach.published, ports))
        host = Endpoint("host", reach.destination.host, "")
        assert not minus(reach.area, REACHED[name][host, reach.path[0]][reach.destination])
    assert sorted(found, key=str) == sorted(declared, key=str)


@pytest.mark.parametrize("name", FLEET)
def test_what_is_stopped_is_let_out_and_lost_where_the_matrix_says(name: str) -> None:
    ends = {end: (place, addresses) for place, end, addresses in SOURCES[name]}
    containers = {container_end(node, each): each for node in FLEET[name].nodes.values() for each in node.containers}
    tracer = Tracer(FLEET[name])
    for number, stop in enumerate(MATRIX[name].stops, 1024):
        place, (address, *_more) = ends[stop.source]
        asked = Question(place, address, containers[stop.destination].ip, "tcp", number, 9)
        path, _reply = tracer.follow(asked)
        last = path.hops[-1]
        assert path.end is None
        assert (f"{last.host}/{last.bridge}", last.rule and last.rule.origin) == (stop.bridge, stop.origin)
        assert last.bridge != place.bridge or last.host != place.host
