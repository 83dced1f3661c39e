# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What a set of headers means to people: protocols, destination addresses and ports, as exact and unique ranges."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TypeAlias

from .cube import Budget, cover, intersection
from .fields import FIELDS, ICMP, TCP, UDP, Bits
from .matrix_space import Region

Ranges: TypeAlias = tuple[tuple[int, int], ...]
"""Numbers from .. to, both included; sorted, apart from each other."""

Blocks: TypeAlias = tuple[tuple[Ranges, Ranges], ...]
"""(addresses, ports), the addresses of one apart from those of another; sorted."""

Area: TypeAlias = Mapping[str, Blocks]
"""By protocol: tcp, udp, icmp, a number, or `other` for all that are not named."""

OTHER = "other"
ADDRESSES: Ranges = ((0, 0xFFFFFFFF),)
PORTS: Ranges = ((0, 0xFFFF),)
NAMES: Mapping[int, str] = {ICMP: "icmp", TCP: "tcp", UDP: "udp"}

_PROTO, _DST, _PORT = FIELDS["nw_proto"], FIELDS["nw_dst"], FIELDS["tp_dst"]
_SEEN = _PROTO.mask | _DST.mask | _PORT.mask
_WITH_PORTS = (TCP, UDP)


def ranges_of(value: int, mask: int, width: int, budget: Budget) -> Ranges:
    """The numbers of ``width`` bits that are ``value`` under ``mask``."""
    free = ~mask & (1 << width) - 1
    low = (free + 1 & ~free).bit_length() - 1
    span = (1 << low) - 1
    spread = free & ~span
    budget.spend(1 << spread.bit_count())
    found, part = [], 0
    while True:
        found.append((value | part, value | part | span))
        part = (part | ~spread) + 1 & spread
        if not part:
            return tuple(found)


def combined(one: Ranges, other: Ranges, keep: Callable[[bool, bool], bool]) -> Ranges:
    """The numbers that ``keep`` wants by whether they are in ``one`` and in ``other``."""
    points = sorted({point for low, high in (*one, *other) for point in (low, high + 1)})
    found: list[tuple[int, int]] = []
    for low, end in pairwise(points):
        if keep(_has(one, low), _has(other, low)):
            if found and found[-1][1] + 1 == low:
                found[-1] = (found[-1][0], end - 1)
            else:
                found.append((low, end - 1))
    return tuple(found)


def _has(ranges: Ranges, number: int) -> bool:
    return any(low <= number <= high for low, high in ranges)


def either(one: bool, other: bool) -> bool:
    return one or other


def first_only(one: bool, other: bool) -> bool:
    return one and not other


def blocks_of(plus: Sequence[tuple[Ranges, Ranges]], minus: Sequence[tuple[Ranges, Ranges]] = ()) -> Blocks:
    """What is in one of ``plus`` and in none of ``minus``."""
    if len(plus) == 1 and not minus:
        return tuple(plus)
    points = sorted({point for block in (*plus, *minus) for low, high in block[0] for point in (low, high + 1)})
    by_ports: dict[Ranges, list[tuple[int, int]]] = {}
    for low, end in pairwise(points):
        ports = combined(_ports_at(plus, low), _ports_at(minus, low), first_only)
        if ports:
            known = by_ports.setdefault(ports, [])
            if known and known[-1][1] + 1 == low:
                known[-1] = (known[-1][0], end - 1)
            else:
                known.append((low, end - 1))
    return tuple(sorted((tuple(addresses), ports) for ports, addresses in by_ports.items()))


def _ports_at(blocks: Iterable[tuple[Ranges, Ranges]], address: int) -> Ranges:
    found: Ranges = ()
    for addresses, ports in blocks:
        if _has(addresses, address):
            found = combined(found, ports, either) if found else ports
    return found


def union(areas: Iterable[Area]) -> Area:
    """All of ``areas`` together."""
    given = list(areas)
    if len(given) < 2:
        return given[0] if given else {}
    names = {name for area in given for name in area}
    return _tidy({name: blocks_of([block for area in given for block in _of(area, name)]) for name in names})


def minus(one: Area, other: Area) -> Area:
    """What of ``one`` is not in ``other``."""
    names = {*one, *other}
    return _tidy({name: blocks_of(_of(one, name), _of(other, name)) for name in names})


def _of(area: Area, name: str) -> Blocks:
    """A protocol without blocks of its own in ``area`` is one of the others."""
    if name in area:
        return area[name]
    return () if name in NAMES.values() else area.get(OTHER, ())


def _tidy(area: dict[str, Blocks]) -> Area:
    """Without numbers that are as the others are; empty protocols stay only where the others are not empty."""
    rest = area.get(OTHER, ())
    kept = {}
    for name, blocks in area.items():
        numbered = name != OTHER and name not in NAMES.values()
        if blocks != rest if numbered else blocks:
            kept[name] = blocks
    return kept


def area_of(region: Region, budget: Budget) -> Area:
    """Protocols, addresses and ports for which some header is in ``region``. Raises OutOfBudgetError."""
    cube = region.cube
    if cube.mask & _PROTO.mask:
        numbers: list[int | None] = [_PROTO.of(cube.value)]
    else:
        named = {_PROTO.of(hole.value) for hole in region.holes if hole.mask & _PROTO.mask}
        numbers = [*sorted(named | set(NAMES)), None]
    found = {}
    for number in numbers:
        name = OTHER if number is None else NAMES.get(number, str(number))
        found[name] = _blocks(cube, [hole for hole in region.holes if _applies(hole, number)], number, budget)
    return _tidy(found)


class Areas:
    """`area_of` for many regions, where what tells sources apart has no part in it."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._known: dict[Region, Area] = {}

    def of(self, region: Region) -> Area:
        cube = Bits(region.cube.value & _SEEN, region.cube.mask & _SEEN)
        free = ~region.cube.mask
        bare = Region(cube, tuple(Bits(hole.value & free, hole.mask & free) for hole in region.holes))
        if bare not in self._known:
            self._known[bare] = area_of(bare, self._budget)
        return self._known[bare]


def _applies(hole: Bits, number: int | None) -> bool:
    return not hole.mask & _PROTO.mask or _PROTO.of(hole.value) == number


def _blocks(cube: Bits, holes: list[Bits], number: int | None, budget: Budget) -> Blocks:
    """One protocol of ``cube`` without ``holes``.

    Holes in what is not seen here matter only where they are holes in what is seen as well, or take all together.
    """
    plain = Bits(cube.value & ~_PROTO.mask, cube.mask & ~_PROTO.mask)
    bare = [Bits(hole.value & ~_PROTO.mask, hole.mask & ~_PROTO.mask) for hole in holes]
    seen = [hole for hole in bare if not hole.mask & ~plain.mask & ~_SEEN]
    mixed = any(hole.mask & ~plain.mask & ~_SEEN and hole.mask & _SEEN & ~plain.mask for hole in bare)

    def block(bits: Bits) -> tuple[Ranges, Ranges]:
        addresses = ranges_of(_DST.of(bits.value), _DST.of(bits.mask), 32, budget)
        if number not in _WITH_PORTS:
            return addresses, PORTS
        return addresses, ranges_of(_PORT.of(bits.value), _PORT.of(bits.mask), 16, budget)

    if mixed:
        return blocks_of([block(piece) for piece in _pieces(plain, bare, budget)])
    hidden = [hole for hole in bare if hole.mask & ~plain.mask & ~_SEEN]
    if hidden and cover(plain, hidden, budget) is not None:
        return ()
    return blocks_of([block(plain)], [block(intersection(plain, hole)) for hole in seen])


def _pieces(cube: Bits, holes: list[Bits], budget: Budget) -> Iterator[Bits]:
    """Cubes that together are ``cube`` without ``holes``."""
    pending = [(cube.value, cube.mask, 0)]
    while pending:
        value, mask, index = pending.pop()
        budget.spend(1)
        while index < len(holes) and (holes[index].value ^ value) & holes[index].mask & mask:
            index += 1
        if index == len(holes):
            yield Bits(value, mask)
            continue
        free = holes[index].mask & ~mask
        while free:
            bit = free & -free
            free ^= bit
            pending.append((value | ~holes[index].value & bit, mask | bit, index + 1))
            value |= holes[index].value & bit
            mask |= bit
