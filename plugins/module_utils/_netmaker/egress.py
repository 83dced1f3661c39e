# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Egress rows: ranges beyond a node. What has to be made, changed or deleted. Nothing is sent here.

The server checks neither that a row is new nor that its range is free, and keeps rows whose node is gone. So a row is
told apart by range (or domain) within its network, several for one are reduced to one, and one without a living node
is taken over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .errors import NetmakerRefusedError
from .values import Range, overlap, range_or_none, wanted_range

METRIC = range(1, 999)
"""Metrics that clients use; they take 256 for any other."""
_FQDN = re.compile(r"(?!-)([a-z0-9-]{1,63}\.)+[a-z][a-z0-9-]{1,62}")


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it is. ``nodes`` has the metric by node id; ``tagged`` rows belong to whole groups of nodes."""

    id: str
    range: Range | None
    domain: str | None
    nat: bool
    enabled: bool
    name: str
    description: str
    nodes: Mapping[str, int]
    tagged: bool
    created: str
    raw: Mapping[str, Any] = field(repr=False, compare=False)

    @property
    def key(self) -> str:
        return key_of(self.range, self.domain) or f"row {self.id}"

    def holders(self, living: Iterable[str]) -> frozenset[str]:
        """Nodes of the row that still exist."""
        return frozenset(self.nodes) & frozenset(living)


@dataclass(frozen=True, slots=True)
class WantedRow:
    """A row as it should be; None leaves a text as it is."""

    range: Range | None
    domain: str | None = None
    nat: bool = False
    metric: int = 256
    enabled: bool = True
    name: str | None = None
    description: str | None = None

    @property
    def key(self) -> str:
        return key_of(self.range, self.domain)


@dataclass(frozen=True, slots=True)
class Changes:
    """What to do about rows. ``create`` and ``update`` hold bodies; ``update`` also what is different, in words."""

    create: tuple[dict[str, Any], ...] = ()
    update: tuple[tuple[Row, WantedRow, str], ...] = ()
    delete: tuple[tuple[Row, str], ...] = ()


def key_of(network: Range | None, domain: str | None) -> str:
    return str(network) if network is not None else (domain or "").lower().rstrip(".")


def row_of(raw: Mapping[str, Any]) -> Row:
    """A row out of the server's JSON."""
    nodes = raw.get("nodes") or {}
    return Row(
        id=str(raw.get("id")),
        range=range_or_none(raw.get("range")),
        domain=raw.get("domain") or None,
        nat=bool(raw.get("nat")),
        enabled=bool(raw.get("status")),
        name=str(raw.get("name") or ""),
        description=str(raw.get("description") or ""),
        nodes={str(node): int(metric or 0) for node, metric in nodes.items()},
        tagged=bool(raw.get("tags")),
        created=str(raw.get("created_at") or ""),
        raw=raw,
    )


def wanted_rows(items: Sequence[Mapping[str, Any]] | None) -> tuple[WantedRow, ...] | None:
    """Rows that the module's option ``egress`` asks for; None for none given."""
    if items is None:
        return None
    rows = tuple(_wanted_row(item) for item in items)
    for number, row in enumerate(rows):
        for other in rows[:number]:
            if row.key == other.key or overlap(row.range, other.range):
                raise _refused("cidr_overlap", f"{row.key} and {other.key} in egress overlap.", "leave one out.")
    return rows


def _wanted_row(item: Mapping[str, Any]) -> WantedRow:
    domain = item["domain"]
    if domain is not None and not _FQDN.fullmatch(key_of(None, domain)):
        raise _refused("invalid_value", f"egress domain {domain} is no full domain name.", "write example.org.")
    if item["metric"] not in METRIC:
        said = f"egress metric {item['metric']} is out of bounds; clients would use 256."
        raise _refused("invalid_value", said, f"use {METRIC.start} to {METRIC.stop - 1}.")
    return WantedRow(
        range=wanted_range(item["range"], "egress range") if item["range"] else None,
        domain=domain,
        nat=item["nat"],
        metric=item["metric"],
        enabled=item["enabled"],
        name=item["name"],
        description=item["description"],
    )


def _refused(code: str, message: str, fix: str) -> NetmakerRefusedError:
    return NetmakerRefusedError(code, message, fix=fix)


def refuse_clashes(
    want: Sequence[WantedRow],
    rows: Sequence[Row],
    *,
    node: str | None,
    names: Mapping[str, str],
    overlay: Sequence[Range | None],
    purge: bool,
) -> None:
    """Refuse ranges that the overlay or a row of somebody else has, in part or whole.

    ``names`` has the host name of every living node by its id. Rows of ``node`` that are purged do not count.
    """
    keys = {row.key for row in want}
    for wanted in want:
        for network in overlay:
            if overlap(wanted.range, network):
                said = f"egress range {wanted.key} overlaps the network's own range {network}."
                raise _refused("cidr_overlap", said, "route a range that lies outside of the overlay.")
        for row in rows:
            holders = row.holders(names)
            others = holders - {node}
            if row.key == wanted.key:
                if (others and node not in row.nodes) or row.tagged:
                    raise _clash(wanted, row, names, others)
            elif overlap(wanted.range, row.range) and holders and (others or not (purge and row.key not in keys)):
                raise _clash(wanted, row, names, holders)


def _clash(want: WantedRow, row: Row, names: Mapping[str, str], holders: frozenset[str]) -> NetmakerRefusedError:
    whose = ", ".join(sorted(names[node] for node in holders)) or "a group of nodes"
    return _refused(
        "cidr_overlap",
        f"egress range {want.key} overlaps {row.key}, which is reached through {whose} (row {row.id}).",
        f"give each host ranges of its own, or delete that row ({whose}: egress without it and egress_purge).",
    )


def changes(
    want: Sequence[WantedRow] | None,
    rows: Sequence[Row],
    *,
    node: str | None,
    living: Iterable[str],
    purge: bool,
    network: str,
    host: str,
) -> Changes:
    """What makes the rows of ``node`` those of ``want``; None leaves them. ``node`` is None before it has joined."""
    alive = frozenset(living)
    if want is None:
        return Changes()
    create: list[dict[str, Any]] = []
    update: list[tuple[Row, WantedRow, str]] = []
    delete: list[tuple[Row, str]] = []
    for wanted in want:
        same = sorted((row for row in rows if row.key == wanted.key), key=lambda row: _rank(row, wanted, node))
        if not same:
            create.append(creation(wanted, node, network, host))
            continue
        difference = _difference(wanted, same[0], node)
        if difference:
            update.append((same[0], wanted, difference))
        delete += [(row, "duplicate") for row in same[1:]]
    keys = {wanted.key for wanted in want}
    if purge and node is not None:
        mine = [row for row in rows if row.key not in keys and row.holders(alive) == {node} and not row.tagged]
        delete += [(row, "not wanted") for row in mine if row.range is not None or row.domain]
    return Changes(tuple(create), tuple(update), tuple(delete))


def own_rows(rows: Sequence[Row], node: str | None, living: Iterable[str], keys: Iterable[str]) -> list[Row]:
    """Rows that go when ``node`` goes: its own, and those of ``keys`` that have no living node."""
    alive, named = frozenset(living), frozenset(keys)
    return [
        row
        for row in rows
        if not row.tagged
        and (row.holders(alive) == {node} if row.holders(alive) else node in row.nodes or row.key in named)
    ]


def _rank(row: Row, want: WantedRow, node: str | None) -> tuple[bool, int, str, str]:
    """Order in which duplicates are kept: ours first, then the one with the least to change, then the oldest."""
    return node not in row.nodes, len(_difference(want, row, node)), row.created, row.id


def _difference(want: WantedRow, have: Row, node: str | None) -> str:
    """What is different, in words; empty for nothing."""
    found: list[str] = []
    if node is None or node not in have.nodes:
        found.append("node")
    elif have.nodes[node] != want.metric:
        found.append(f"metric {want.metric}")
    if have.nat != want.nat:
        found.append(f"nat {'on' if want.nat else 'off'}")
    if have.enabled != want.enabled:
        found.append("enabled" if want.enabled else "disabled")
    if want.name is not None and have.name != want.name:
        found.append("name")
    if want.description is not None and have.description != want.description:
        found.append("description")
    return ", ".join(found)


def creation(want: WantedRow, node: str | None, network: str, host: str) -> dict[str, Any]:
    """Body of a new row."""
    return {
        "name": want.name or f"{host} {want.key}"[:64],
        "network": network,
        "description": want.description or "",
        "nodes": {node: want.metric} if node else {},
        "range": "" if want.range is None else str(want.range),
        "domain": want.domain or "",
        "nat": want.nat,
    }


def update(want: WantedRow, have: Row, node: str, living: Iterable[str]) -> dict[str, Any]:
    """The whole row with the differences mended; nodes that are gone are left out."""
    kept = {other: have.nodes[other] for other in have.holders(living)}
    return {
        **have.raw,
        "nodes": {**kept, node: want.metric},
        "range": "" if want.range is None else str(want.range),
        "domain": want.domain or "",
        "nat": want.nat,
        "status": want.enabled,
        "name": have.name if want.name is None else want.name,
        "description": have.description if want.description is None else want.description,
    }
