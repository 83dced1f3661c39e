# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""How the kernel differs from what is wanted. Pure: the same answer serves the plan and the wait after it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .._errors import RefusedError
from .found import Kernel
from .layer import LinkLayer
from .runtime import RULE_PRIORITY, Link, Route, Rule, wanted_links, wanted_routes, wanted_rules
from .settings import PREFIX, Paths

OUR_TABLES = range(0x10001, 0x20000)
"""Tables of uplinks: ``identity.routing_table`` of every number."""


@dataclass(frozen=True, slots=True)
class Remains:
    """What files of ours that are no longer wanted tell: their paths, the links and the tables that they made."""

    files: tuple[str, ...] = ()
    links: frozenset[str] = frozenset()
    tables: frozenset[int] = frozenset()


def remains(paths: Paths, wanted: Iterable[str]) -> Remains:
    """Files in the directory of networkd that carry our prefix and are not ``wanted``."""
    keep = set(wanted)
    directory = Path(paths.network_directory)
    stale = sorted(path for path in directory.glob(f"{PREFIX}*.net*") if str(path) not in keep)
    texts = {path: path.read_text(encoding="utf-8", errors="replace") for path in stale}
    names = [re.findall(r"^Name=(\S+)$", text, re.M) for path, text in texts.items() if path.suffix == ".netdev"]
    tables = [re.findall(r"^Table=(\d+)$", text, re.M) for text in texts.values()]
    return Remains(
        files=tuple(str(path) for path in stale),
        links=frozenset(name for found in names for name in found),
        tables=frozenset(int(number) for found in tables for number in found) & frozenset(OUR_TABLES),
    )


@dataclass(frozen=True, slots=True)
class Drift:
    """Links, rules and routes that are missing, that differ, and that must go."""

    missing_links: tuple[Link, ...] = ()
    wrong_links: tuple[tuple[Link, Link], ...] = ()
    surplus_links: tuple[Link, ...] = ()
    missing_rules: tuple[Rule, ...] = ()
    surplus_rules: tuple[Rule, ...] = ()
    missing_routes: tuple[Route, ...] = ()
    surplus_routes: tuple[Route, ...] = ()

    @property
    def lacking(self) -> list[str]:
        """What systemd-networkd has still to do, in words."""
        wrong = [f"{want} (it is {have})" for have, want in self.wrong_links]
        return [*map(str, self.missing_links), *wrong, *map(str, self.missing_rules), *map(str, self.missing_routes)]

    @property
    def lingering(self) -> list[str]:
        """What should be gone, in words."""
        return [*map(str, self.surplus_links), *map(str, self.surplus_rules), *map(str, self.surplus_routes)]

    @property
    def before(self) -> list[str]:
        wrong = [have for have, _want in self.wrong_links]
        return sorted(map(str, (*wrong, *self.surplus_links, *self.surplus_rules, *self.surplus_routes)))

    @property
    def after(self) -> list[str]:
        wrong = [want for _have, want in self.wrong_links]
        return sorted(map(str, (*wrong, *self.missing_links, *self.missing_rules, *self.missing_routes)))


def _same(have: Link, want: Link) -> bool:
    return (
        have.peer == want.peer
        and want.mac in (None, have.mac)
        and want.mtu in (None, have.mtu)
        and (have.arp, have.up) == (want.arp, want.up)
    )


def _refuse_foreign(paths: Paths, want: Link, have: Link) -> None:
    """A device of this name that is not one of our veth pairs may be somebody's uplink: never replace it."""
    known = [paths.netdev(want.name), paths.netdev(want.peer)]
    if have.peer != want.peer and not any(Path(path).exists() for path in known):
        what = f"a veth whose peer is {have.peer}" if have.peer else "no veth"
        raise RefusedError(
            f"Interface {want.name} exists and is {what}; it was not made by this collection.",
            fix="rename it, or give the uplink or veth pair another name.",
        )


def compare(paths: Paths, layer: LinkLayer, kernel: Kernel, stale: Remains) -> Drift:
    """Differences between ``layer`` and ``kernel``. Routes by a device that is not up yet are not missed.

    Nor are rules about a device that is not there yet: systemd-networkd makes them when it appears.
    """
    links, rules, routes = wanted_links(layer), wanted_rules(layer), wanted_routes(layer)
    for name, link in links.items():
        if name in kernel.links:
            _refuse_foreign(paths, link, kernel.links[name])
    replaced = {name for name, link in links.items() if name in kernel.links and kernel.links[name].peer != link.peer}
    surplus = sorted(name for name in {*stale.links - links.keys(), *replaced} if name in kernel.links)
    present = {name: kernel.links[name] for name in links if name in kernel.links and name not in replaced}
    due_rules = {rule for rule in rules if rule.iif in {*kernel.links, *links}}
    due = {route for route in routes if route.device is None or route.device in {*kernel.carrying, *links}}
    tables = {uplink.table for uplink in layer.uplinks} | stale.tables
    tables |= {rule.table for rule in kernel.rules if rule.priority == RULE_PRIORITY and rule.table in OUR_TABLES}
    ours = {*links, *stale.links}
    return Drift(
        missing_links=tuple(link for name, link in sorted(links.items()) if name not in present),
        wrong_links=tuple(
            (have, links[name]) for name, have in sorted(present.items()) if not _same(have, links[name])
        ),
        surplus_links=tuple(kernel.links[name] for name in surplus if kernel.links[name].peer),
        missing_rules=tuple(sorted(due_rules - kernel.rules)),
        surplus_rules=tuple(sorted(rule for rule in kernel.rules - rules if rule.table in tables)),
        missing_routes=tuple(sorted(due - kernel.routes, key=str)),
        surplus_routes=tuple(
            sorted(
                (route for route in kernel.routes - routes if route.table in tables or route.device in ours), key=str
            )
        ),
    )


def concerned(layer: LinkLayer, drift: Drift) -> list[str]:
    """Existing links that networkd has to configure again."""
    gateways = {uplink.table: uplink.gateway_port for uplink in layer.uplinks}
    names = {want.name for _have, want in drift.wrong_links}
    names |= {rule.iif for rule in drift.missing_rules}
    names |= {route.device or gateways[route.table] for route in drift.missing_routes}
    return sorted(names - {link.name for link in drift.missing_links})
