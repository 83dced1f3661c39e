# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What a change opens and what it closes: the difference of two matrices, exactly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .matrix_area import Area, minus, union
from .matrix_rows import Pair, Row, area_rows, parts_of, row_area
from .matrix_text import entries

Parts = Mapping[Pair, Sequence[tuple[Area, str]]]
"""What each pair may open, in parts, each with the inventory line that lets it."""


def difference(before: Sequence[Row], after: Sequence[Row]) -> dict[str, list[Row]]:
    """`changes` between rows as the filters have them. Raises RefusedError for what is no row."""
    return changes(parts_of(before), parts_of(after))


def changes(old: Parts, new: Parts) -> dict[str, list[Row]]:
    """``opens`` and ``closes``: rows without path. ``deciding`` names the lines that let (or did let) them through."""
    return {"opens": list(_more(new, old)), "closes": list(_more(old, new))}


def _more(these: Parts, others: Parts) -> Iterator[Row]:
    """What is in the first and not in the second."""
    for pair, parts in sorted(these.items()):
        before = others.get(pair, ())
        if parts == before:
            continue
        added = minus(union([area for area, _origin in parts]), union([area for area, _origin in before]))
        for part in area_rows(added):
            own = row_area(part)
            causes = [origin for area, origin in parts if minus(own, area) != own]
            source, destination, published = pair
            yield {
                "source": source,
                "destination": destination,
                **part,
                "published": published,
                "deciding": list(dict.fromkeys(causes)),
            }


def difference_report(changes: Mapping[str, Sequence[Row]], containers: Sequence[str]) -> Iterator[str]:
    """Lines that tell ``changes``."""
    for verb, words in (("opens", "This change opens:"), ("closes", "This change closes:")):
        by_destination: dict[str, list[dict[str, Any]]] = {}
        for row in changes[verb]:
            by_destination.setdefault(row["destination"], []).append(row)
        if by_destination:
            yield words
        for destination, rows in sorted(by_destination.items()):
            yield f"  {destination}"
            yield from (f"    {line}" for line in entries(rows, containers))
    if not changes["opens"] and not changes["closes"]:
        yield "This change opens and closes nothing."
