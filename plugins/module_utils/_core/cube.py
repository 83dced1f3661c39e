# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Sets of headers as cubes (value under mask), and the exact question whether some of them cover another."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from .fields import Bits


class OutOfBudgetError(Exception):
    """The exact answer would take longer than allowed."""


class Budget:
    """Elementary steps (one cube held against another) that may still be spent."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def spend(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise OutOfBudgetError


def overlap(one: Bits, other: Bits) -> bool:
    """Whether some header is in both."""
    return not (one.value ^ other.value) & one.mask & other.mask


def intersection(one: Bits, other: Bits) -> Bits:
    """The headers in both; they have to `overlap`."""
    return Bits(one.value | other.value, one.mask | other.mask)


def share(candidate: int, mask: int) -> float:
    """Which part of a cube with ``mask`` an overlapping cube with mask ``candidate`` takes."""
    return 2.0 ** -(candidate & ~mask).bit_count()


ALL = 1 - 1e-9
"""From this sum of shares on, cubes may cover another one; below, they cannot."""


def cover(cube: Bits, others: Sequence[Bits], budget: Budget) -> frozenset[int] | None:
    """Which of ``others`` (by index) cover ``cube`` together; None when a header of it is in none of them.

    Splits the cube along one of the others until each piece lies in one of them, or in none by the sum of the shares.
    """
    used: set[int] = set()
    pending = [(cube.value, cube.mask, list(range(len(others))))]
    while pending:
        value, mask, near = pending.pop()
        budget.spend(len(near) + 1)
        near = [index for index in near if not (others[index].value ^ value) & others[index].mask & mask]
        if sum([share(others[index].mask, mask) for index in near]) < ALL:
            return None
        best = min(near, key=lambda index: (others[index].mask & ~mask).bit_count())
        used.add(best)
        other = others[best]
        free = other.mask & ~mask
        while free:
            bit = free & -free
            free ^= bit
            pending.append((value | ~other.value & bit, mask | bit, near))
            value |= other.value & bit
            mask |= bit
    return frozenset(used)


def smallest_cover(cube: Bits, others: Sequence[Bits], budget: Budget) -> list[int] | None:
    """Like `cover`, without members that the rest can do without (as far as the budget goes), in order."""
    found = cover(cube, others, budget)
    if found is None:
        return None
    kept = sorted(found)
    with suppress(OutOfBudgetError):
        for index in sorted(found, reverse=True):
            fewer = [other for other in kept if other != index]
            if cover(cube, [others[other] for other in fewer], budget) is not None:
                kept = fewer
    return kept
