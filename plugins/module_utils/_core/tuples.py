# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Rules of one table, found by what they match: tuple space search, the way Open vSwitch classifies packets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from .cube import ALL, share
from .fields import Bits
from .rules import Rule

_Group = dict[int, list[Rule]]


class TupleSpace:
    """Rules by mask, and by value under every part of their mask that a question is asked with."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._by_mask: dict[int, list[Rule]] = {}
        for rule in rules:
            self._by_mask.setdefault(rule.bits.mask, []).append(rule)
        self._indexes: dict[tuple[int, int], _Group] = {}

    @property
    def groups(self) -> Sequence[tuple[int, Sequence[Rule]]]:
        """Rules by mask."""
        return list(self._by_mask.items())

    def _index(self, mask: int, common: int) -> _Group:
        """Rules of ``mask`` by their value under ``common``, a part of it; highest priority first."""
        known = self._indexes.get((mask, common))
        if known is None:
            known = {}
            for rule in self._by_mask[mask]:
                known.setdefault(rule.bits.value & common, []).append(rule)
            for rules in known.values():
                rules.sort(key=lambda rule: -rule.priority)
            self._indexes[mask, common] = known
        return known

    def overlapping(self, bits: Bits, above: int) -> list[Rule]:
        """Rules with a priority above ``above`` that share headers with ``bits``."""
        found = []
        for mask in self._by_mask:
            common = mask & bits.mask
            for rule in self._index(mask, common).get(bits.value & common, ()):
                if rule.priority <= above:
                    break
                found.append(rule)
        return found

    def suspects(self, mask: int, rules: Sequence[Rule]) -> Iterator[tuple[Rule, Rule | None]]:
        """Those of ``rules`` (all of ``mask``) that rules of higher priority may cover.

        With the one that covers it alone, or None: then the shares of the overlapping ones reach the whole.
        """
        views = [
            (mask & other, self._index(other, mask & other), share(other, mask), not other & ~mask)
            for other in self._by_mask
        ]
        for rule in rules:
            value, total, cause = rule.bits.value, 0.0, None
            for common, index, part, whole in views:
                near = index.get(value & common)
                if near is None or near[0].priority <= rule.priority:
                    continue
                if whole:
                    cause = near[0] if cause is None or cause.priority < near[0].priority else cause
                else:
                    total += part * len(near)
            if cause is not None or total >= ALL:
                yield rule, cause
