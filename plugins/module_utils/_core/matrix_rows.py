# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""The matrix as plain rows, for filters and for files, and back from rows to areas."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, summarize_address_range
from typing import Any

from .._errors import RefusedError
from .matrix_area import NAMES, OTHER, PORTS, Area, Blocks, Ranges
from .matrix_model import Matrix

ANY = "any"
_BUT = f"{OTHER} but "
_WITH_PORTS = ("tcp", "udp")
_PROTOCOL = re.compile(r"any|tcp|udp|icmp|[0-9]{1,3}|other( but [0-9]{1,3}(, [0-9]{1,3})*)?")

Row = dict[str, Any]
"""``source``, ``destination`` (text), ``protocol``, ``ports``, ``addresses``, ``published``, ``path``, ``origins``,
``origin`` (the last of them). Ports and addresses are lists of texts; no ports where the protocol has none."""

Pair = tuple[str, str, int]
"""Source, destination, and the public port under which it is reached, or 0."""


def rows_of(matrix: Matrix) -> Iterator[Row]:
    """What is reachable; one row for each protocol, set of addresses and path."""
    for reach in matrix.reaches:
        for part in area_rows(reach.area):
            yield {
                "source": str(reach.source),
                "destination": str(reach.destination),
                **part,
                "published": reach.published,
                "path": list(reach.path),
                "origin": reach.origins[-1],
                "origins": list(reach.origins),
            }


def stopped_rows(matrix: Matrix) -> list[Row]:
    """What the first bridge lets out in vain."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for stop in matrix.stops:
        found.setdefault((str(stop.destination), stop.bridge, stop.origin), []).append(str(stop.source))
    return [
        {"sources": sources, "destination": destination, "bridge": bridge, "origin": origin}
        for (destination, bridge, origin), sources in found.items()
    ]


def area_rows(area: Area) -> Iterator[Row]:
    """``protocol``, ``ports`` and ``addresses`` of each part of ``area``."""
    rest = area.get(OTHER, ())
    if rest and all(area.get(name) == rest for name in NAMES.values()) and area.keys() == {OTHER, *NAMES.values()}:
        yield from _parts(ANY, rest)
        return
    numbers = [name for name in area if name not in NAMES.values() and name != OTHER]
    for name in sorted(area):
        label = _BUT + ", ".join(sorted(numbers)) if name == OTHER and numbers else name
        yield from _parts(label, area[name])


def _parts(protocol: str, blocks: Blocks) -> Iterator[Row]:
    for addresses, ports in blocks:
        texts = [_port_text(low, high) for low, high in ports] if protocol in _WITH_PORTS else []
        yield {"protocol": protocol, "ports": texts, "addresses": [_address_text(*part) for part in addresses]}


def _port_text(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}-{high}"


def _address_text(low: int, high: int) -> str:
    first, last = IPv4Address(low), IPv4Address(high)
    networks = list(summarize_address_range(first, last))
    if len(networks) > 1:
        return f"{first}-{last}"
    return str(first) if low == high else str(networks[0])


def parts_of(rows: Iterable[Mapping[str, Any]]) -> dict[Pair, list[tuple[Area, str]]]:
    """What ``rows`` say about each pair, with the line that lets it. Raises RefusedError for what is no row."""
    found: dict[Pair, list[tuple[Area, str]]] = {}
    for row in rows:
        try:
            pair = str(row["source"]), str(row["destination"]), int(row["published"])
            found.setdefault(pair, []).append((row_area(row), str(row["origin"])))
        except (KeyError, TypeError, ValueError) as exc:
            raise RefusedError(f"{row!r} is no row of a reachability matrix.", fix="save the matrix anew.") from exc
    return found


def row_area(row: Mapping[str, Any]) -> Area:
    """Protocol, addresses and ports of ``row``. Raises KeyError, TypeError or ValueError for what is none."""
    protocol = str(row["protocol"])
    if not _PROTOCOL.fullmatch(protocol):
        raise ValueError(protocol)
    ports = _ranges(row["ports"], _read_ports) if protocol in _WITH_PORTS else PORTS
    blocks = ((_ranges(row["addresses"], _read_addresses), ports),)
    if protocol == ANY:
        return dict.fromkeys((*NAMES.values(), OTHER), blocks)
    if protocol.startswith(_BUT):
        return {OTHER: blocks, **dict.fromkeys(protocol.removeprefix(_BUT).split(", "), ())}
    return {protocol: blocks}


def _ranges(texts: Sequence[str], read: Callable[[str], tuple[int, int]]) -> Ranges:
    return tuple(sorted(read(str(text)) for text in texts))


def _read_ports(text: str) -> tuple[int, int]:
    low, _dash, high = text.partition("-")
    return int(low), int(high or low)


def _read_addresses(text: str) -> tuple[int, int]:
    low, dash, high = text.partition("-")
    if dash:
        return int(IPv4Address(low)), int(IPv4Address(high))
    network = IPv4Network(text)
    return int(network.network_address), int(network.broadcast_address)
