# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Symbolic packets: a set of headers that a source may send, and what rules have made of them on the way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .cube import Budget, cover, intersection, overlap
from .fields import FIELDS, Bits, Field

NOTHING = Bits(0, 0)


@dataclass(frozen=True, slots=True)
class Region:
    """The headers of ``cube`` that are in none of ``holes``, each of which overlaps it and takes a part of it only."""

    cube: Bits
    holes: tuple[Bits, ...] = ()

    def narrowed(self, bits: Bits) -> Region | None:
        """What of it is in ``bits``; None when that is surely nothing (several holes may still take it all)."""
        if not overlap(self.cube, bits):
            return None
        cube = intersection(self.cube, bits)
        holes = remaining(cube, self.holes)
        return None if holes is None else Region(cube, holes)

    def without(self, taken: Iterable[Bits]) -> Region | None:
        """What of it is in none of ``taken``; None as in `narrowed`."""
        holes = remaining(self.cube, taken)
        if holes == ():
            return self
        return None if holes is None else Region(self.cube, tuple(dict.fromkeys(self.holes + holes)))

    def is_empty(self, budget: Budget) -> bool:
        """Whether the holes take all of it together. Raises OutOfBudgetError."""
        return bool(self.holes) and cover(self.cube, self.holes, budget) is not None


def remaining(cube: Bits, holes: Iterable[Bits]) -> tuple[Bits, ...] | None:
    """The ``holes`` that take a part of ``cube``; None when one of them takes all of it."""
    value, mask = cube
    kept = [hole for hole in holes if not (hole.value ^ value) & hole.mask & mask]
    if any(not hole.mask & ~mask for hole in kept):
        return None
    return tuple(kept)


@dataclass(frozen=True, slots=True)
class Header:
    """What a header has become: bits that are ``known`` now, fields that hold what another field held at first.

    ``moved`` is by the name of the field that holds it; every other bit is as it was at first.
    """

    known: Bits = NOTHING
    moved: Mapping[str, Field] = field(default_factory=dict)

    def back(self, bits: Bits) -> Bits | None:
        """The headers at first that are in ``bits`` by now; None when there is none."""
        known = self.known
        if (known.value ^ bits.value) & known.mask & bits.mask:
            return None
        mask = bits.mask & ~known.mask
        value = bits.value & mask
        for name, source in self.moved.items():
            here = FIELDS[name]
            if not mask & here.mask:
                continue
            there = Bits(here.of(value) << source.shift, here.of(mask) << source.shift)
            value, mask = value & ~here.mask, mask & ~here.mask
            if (value ^ there.value) & mask & there.mask:
                return None
            value, mask = value | there.value, mask | there.mask
        return Bits(value, mask)

    def now(self, first: Bits) -> Bits:
        """What is known of a header by now that was in ``first``."""
        known = self.known
        value, mask = first.value & ~known.mask, first.mask & ~known.mask
        for name, source in self.moved.items():
            here = FIELDS[name]
            rest = here.mask & ~known.mask
            value = value & ~here.mask | source.of(first.value) << here.shift & rest
            mask = mask & ~here.mask | source.of(first.mask) << here.shift & rest
        return Bits(value | known.value, mask | known.mask)

    def put(self, bits: Bits) -> Header:
        """With ``bits`` written."""
        known = Bits(self.known.value & ~bits.mask | bits.value, self.known.mask | bits.mask)
        return Header(known, self.moved)

    def copied(self, source: Field, target: Field, of: Header | None = None) -> Header:
        """With ``target`` as ``source`` is (in ``of``, or in this header)."""
        given = of or self
        value, mask = source.of(given.known.value), source.of(given.known.mask)
        known = Bits(
            self.known.value & ~target.mask | value << target.shift,
            self.known.mask & ~target.mask | mask << target.shift,
        )
        moved = {name: origin for name, origin in self.moved.items() if name != target.name}
        origin = given.moved.get(source.name, source)
        if target.mask & ~known.mask and origin.name != target.name:
            moved[target.name] = origin
        return Header(known, moved)

    def then(self, later: Header) -> Header:
        """After this one ``later``, whose first header is this one's last."""
        result = self
        for name, source in later.moved.items():
            result = result.copied(source, FIELDS[name], of=self)
        return result.put(later.known)
