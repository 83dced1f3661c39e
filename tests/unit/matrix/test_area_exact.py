# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Areas against brute force: they hold what some header of the region has, add and subtract exactly."""

from __future__ import annotations

import json

from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.cube import Budget
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.fields import FIELDS, Bits
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.matrix_area import (
    Area,
    area_of,
    minus,
    ranges_of,
    union,
)
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.matrix_rows import area_rows, row_area
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.matrix_space import Region
from hypothesis import assume, given, settings
from hypothesis import strategies as st

NAMES = {1: "icmp", 6: "tcp", 17: "udp", 47: "47", 50: "other"}
SMALL = range(8)
FREE = {"nw_dst": 7, "tp_dst": 7, "nw_src": 3}
"""Bits of each field that may differ; all others are fixed at zero."""

POINTS = [(protocol, address, port) for protocol in NAMES for address in SMALL for port in SMALL]


@st.composite
def bits(draw: st.DrawFn) -> Bits:
    value = mask = 0
    protocol = draw(st.sampled_from([None, None, 6, 17, 1, 47]))
    for name, free in FREE.items():
        if name == "tp_dst" and protocol not in (6, 17):
            continue
        part = draw(st.sampled_from([0, 0, free, free & ~1, 1, 2]))
        mask |= part << FIELDS[name].shift
        value |= (draw(st.integers(0, free)) & part) << FIELDS[name].shift
    if protocol is not None:
        mask |= FIELDS["nw_proto"].mask
        value |= protocol << FIELDS["nw_proto"].shift
    return Bits(value, mask)


FIXED = Bits(
    0,
    sum((FIELDS[name].mask & ~(free << FIELDS[name].shift)) for name, free in FREE.items()),
)


@st.composite
def regions(draw: st.DrawFn) -> Region:
    """Non-empty, with holes that overlap the cube."""
    cube = draw(bits())
    region: Region | None = Region(Bits(cube.value, cube.mask | FIXED.mask))
    assert region is not None
    region = region.without(draw(st.lists(bits(), max_size=5)))
    assume(region is not None and not region.is_empty(Budget(100_000)))
    assert region is not None
    return region


def held(region: Region) -> set[tuple[int, int, int]]:
    """Points that some header of ``region`` has."""

    def inside(header: int) -> bool:
        cube = region.cube
        return header & cube.mask == cube.value and not any(header & hole.mask == hole.value for hole in region.holes)

    def header(protocol: int, address: int, port: int, source: int) -> int:
        values = {"nw_proto": protocol, "nw_dst": address, "tp_dst": port, "nw_src": source}
        return sum(value << FIELDS[name].shift for name, value in values.items())

    return {point for point in POINTS if any(inside(header(*point, source)) for source in range(4))}


def told(area: Area) -> set[tuple[int, int, int]]:
    """Points of ``area``. A protocol without ports has all of them."""

    def inside(protocol: int, address: int, port: int) -> bool:
        blocks = area.get(NAMES[protocol], area.get("other", ()) if protocol == 47 else ())
        return any(
            any(low <= address <= high for low, high in addresses) and any(low <= port <= high for low, high in ports)
            for addresses, ports in blocks
        )

    return {point for point in POINTS if inside(*point)}


def with_all_ports(points: set[tuple[int, int, int]]) -> set[tuple[int, int, int]]:
    """Where a protocol has no ports, one stands for all."""
    return {
        (protocol, address, port)
        for protocol, address, each in points
        for port in (SMALL if protocol not in (6, 17) else (each,))
    }


@settings(max_examples=100, deadline=None)
@given(regions())
def test_an_area_is_what_some_header_has(region: Region) -> None:
    assert told(area_of(region, Budget(1_000_000))) == with_all_ports(held(region))


AREAS = regions().map(lambda region: area_of(region, Budget(1_000_000)))


@settings(max_examples=80, deadline=None)
@given(AREAS, AREAS)
def test_areas_add_and_subtract(one: Area, other: Area) -> None:
    assert told(union([one, other])) == told(one) | told(other)
    assert told(minus(one, other)) == told(one) - told(other)
    assert union([one, other]) == union([other, one])
    assert minus(union([one, other]), other) == minus(one, other)
    assert not minus(one, one)


@settings(max_examples=60, deadline=None)
@given(AREAS, AREAS)
def test_rows_hold_the_whole_area(one: Area, other: Area) -> None:
    for area in (one, union([one, other]), minus(one, other)):
        if area:
            rows = json.loads(json.dumps(list(area_rows(area))))
            assert told(union([row_area(row) for row in rows])) == told(area)


def test_holes_in_what_is_not_seen_may_take_a_protocol_together() -> None:
    source, protocol = FIELDS["nw_src"], FIELDS["nw_proto"]
    even = Bits(0, 1 << source.shift)
    odd_ping = Bits(1 << source.shift | 1 << protocol.shift, 1 << source.shift | protocol.mask)
    region = Region(FIXED, (even, odd_ping))
    assert told(area_of(region, Budget(1_000))) == with_all_ports(held(region)) != set()


def test_ranges_of_a_mask_with_gaps() -> None:
    assert ranges_of(0b0100, 0b0101, 4, Budget(100)) == ((4, 4), (6, 6), (12, 12), (14, 14))
    assert ranges_of(0b0100, 0b1100, 4, Budget(100)) == ((4, 7),)
    assert ranges_of(0, 0, 16, Budget(100)) == ((0, 65535),)
