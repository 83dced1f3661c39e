# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""The matrix for people: by destination, what may be opened there and by whom, in the width of a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterable, Iterator, Sequence
from ipaddress import IPv4Address, summarize_address_range

from .fields import ipv4_text
from .matrix_area import ADDRESSES, Ranges, combined, first_only
from .matrix_rows import Row, row_area
from .validate import NEVER_ROUTED

WIDTH = 72
"""Columns, so that 80 hold the lines as the callback of Ansible indents and quotes them."""

_INDENT = 2
_SHOWN = 6
_NOT_ROUTED: Ranges = tuple(
    sorted((int(network.network_address), int(network.broadcast_address)) for network in NEVER_ROUTED)
)


def table(
    rows: Sequence[Row], stopped: Sequence[Row], containers: Sequence[str], notes: Sequence[str] = ()
) -> Iterator[str]:
    """Lines that tell ``rows``; see `matrix_rows` for the shapes."""
    by_destination: dict[str, list[Row]] = {}
    for row in rows:
        by_destination.setdefault(row["destination"], []).append(row)
    for destination in sorted(by_destination, key=lambda name: (name not in containers, name)):
        yield destination
        yield from _indented(entries(by_destination[destination], containers))
    alone = [name for name in containers if name not in by_destination]
    if alone:
        yield "Nobody opens connections to:"
        yield from _indented(textwrap.wrap(", ".join(alone), WIDTH - _INDENT, break_on_hyphens=False))
    if stopped:
        yield "Let out by their own bridge, dropped on the way:"
        for row in stopped:
            who = sources_text(row["sources"], containers, row["destination"])
            yield from _indented(_wrapped("", f"{who} to {row['destination']}"))
            yield from _indented(_wrapped("  ", f"at {row['bridge']} by {row['origin']}"))
    if notes:
        yield "Not looked at:"
        yield from _indented(notes)


def entries(rows: Sequence[Row], containers: Collection[str]) -> Iterator[str]:
    """Lines about ``rows`` of one destination: what, from whom, and by which lines of the inventory."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((what(row), where(row, containers), _common(row)), []).append(row)
    for (opened, place, origin), members in sorted(groups.items()):
        sources = sources_text([row["source"] for row in members], containers, members[0]["destination"])
        yield from _wrapped(f"{opened:<8} ", f"from {sources}")
        if place:
            yield from _wrapped(" " * 9, f"to {place}")
        yield from _wrapped(" " * 9, f"by {origin}")


def what(row: Row) -> str:
    """``tcp/443``; with the public port where that is another."""
    text = "/".join(filter(None, [row["protocol"], ",".join(row["ports"]) if row["ports"] != ["0-65535"] else ""]))
    published = row.get("published")
    return f"{text} (public port {published})" if published and row["ports"] != [str(published)] else text


def where(row: Row, containers: Collection[str]) -> str:
    """The destination addresses; empty when they are the destination's own."""
    if row["destination"] in containers and len(row["addresses"]) == 1 and "/" not in row["addresses"][0]:
        return ""
    ranges = next(iter(row_area(row).values()))[0][0]
    missing = combined(combined(ADDRESSES, ranges, first_only), _NOT_ROUTED, first_only)
    if len(missing) < len(ranges) or not missing:
        return "all addresses" + (f" but {_networks(missing)}" if missing else "")
    return _networks(ranges)


def _networks(ranges: Ranges) -> str:
    found = [
        str(network) for low, high in ranges for network in summarize_address_range(IPv4Address(low), IPv4Address(high))
    ]
    if len(found) > _SHOWN:
        found = [f"{ipv4_text(low)}-{ipv4_text(high)}" for low, high in ranges]
    more = [f"{len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    return ", ".join([*found[:_SHOWN], *more])


def _common(row: Row) -> str:
    """The origins that decided, without the name of the source: what holds for many containers is told once."""
    host, slash, name = row["source"].partition("/")
    texts = row.get("deciding") or [row["origin"]]
    own = f"{host}: lxc_service_containers[{name}]"
    return "; ".join(text.replace(own, f"{host}: lxc_service_containers[*]") if slash else text for text in texts)


def sources_text(sources: Sequence[str], containers: Collection[str], destination: str = "") -> str:
    """``sources`` with ``HOST/*`` for all containers of a host (but the ``destination`` itself)."""
    left = dict.fromkeys(sources)
    by_host: dict[str, list[str]] = {}
    for name in containers:
        if name != destination:
            by_host.setdefault(name.partition("/")[0], []).append(name)
    whole = [host for host, members in by_host.items() if len(members) > 1 and all(name in left for name in members)]
    covered = {name for host in whole for name in by_host[host]}
    words = [f"{host}/*" for host in whole]
    if by_host and len(by_host) > 1 and covered == {name for members in by_host.values() for name in members}:
        words = ["every container"]
    return ", ".join([*words, *(name for name in left if name not in covered)])


def _wrapped(head: str, text: str) -> Iterator[str]:
    lines = textwrap.wrap(
        text, WIDTH - _INDENT - len(head), break_long_words=False, break_on_hyphens=False, subsequent_indent="  "
    )
    for index, line in enumerate(lines):
        yield (head if index == 0 else " " * len(head)) + line


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (" " * _INDENT + line for line in lines)
