# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What the host has now: a constant number of processes, whatever the number of links."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from .._errors import RefusedError
from .._runner import Runner
from .runtime import DEFAULT, MAIN_TABLE, Link, Route, Rule
from .settings import LINKS_UNIT, NETWORKD_UNIT, NFTABLES_UNIT, TABLE, Paths

_TOOLS = {"ip": "iproute2", "nft": "nftables", "networkctl": "systemd", "systemctl": "systemd"}
_TABLE_NAMES = {"main": MAIN_TABLE, "local": 255, "default": 253}


@dataclass(frozen=True, slots=True)
class Kernel:
    """Links by name, rules and routes. A link that is no veth has an empty peer; ``carrying`` are those that are up."""

    links: Mapping[str, Link] = field(default_factory=dict)
    carrying: frozenset[str] = frozenset()
    rules: frozenset[Rule] = frozenset()
    routes: frozenset[Route] = frozenset()


@dataclass(frozen=True, slots=True)
class Unit:
    """State of a systemd unit."""

    active: bool = False
    enabled: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """State of the host. ``table`` is the listing of our nft table, None when there is none."""

    kernel: Kernel = field(default_factory=Kernel)
    table: str | None = None
    units: Mapping[str, Unit] = field(default_factory=dict)


def link_of(entry: Mapping[str, Any]) -> Link:
    """A link from an entry of ``ip -j -d link show``."""
    flags = entry["flags"]
    veth = entry.get("linkinfo", {}).get("info_kind") == "veth"
    return Link(
        name=entry["ifname"],
        peer=entry.get("link", "") if veth else "",
        mac=entry.get("address"),
        mtu=entry["mtu"],
        arp="NOARP" not in flags,
        up="UP" in flags,
    )


def _table_number(name: object) -> int:
    return _TABLE_NAMES.get(str(name)) or (int(str(name)) if str(name).isdigit() else 0)


def rules_of(entries: Iterable[Mapping[str, Any]]) -> frozenset[Rule]:
    """Rules that look at nothing but the incoming interface, from ``ip -j -4 rule show``."""
    plain = {"priority", "src", "iif", "table", "protocol"}
    return frozenset(
        Rule(entry["iif"], _table_number(entry["table"]), entry["priority"])
        for entry in entries
        if "iif" in entry and entry.get("src") == "all" and not entry.keys() - plain - {"iif_detached"}
    )


def _route_of(entry: Mapping[str, Any], table: int) -> Route:
    destination = DEFAULT if entry["dst"] == "default" else IPv4Network(entry["dst"])
    kind, metric, device = entry.get("type", "unicast"), entry.get("metric", 0), entry.get("dev")
    words = [] if kind == "unicast" else [kind]
    words += ["via", entry["gateway"]] if "gateway" in entry else []
    words += ["scope", entry["scope"]] if "scope" in entry else []
    words += ["metric", str(metric)] if metric else []
    return Route(table, destination, device, " ".join(words))


def routes_of(entries: Iterable[Mapping[str, Any]]) -> frozenset[Route]:
    """Routes from ``ip -j -4 route show table all``, without the local table, multipath and cloned routes."""
    routes = set()
    for entry in entries:
        table = _table_number(entry.get("table", "main"))
        if table not in (0, _TABLE_NAMES["local"]) and "dst" in entry and "nexthops" not in entry:
            routes.add(_route_of(entry, table))
    return frozenset(routes)


def read_kernel(runner: Runner) -> Kernel:
    """Three processes."""
    links = json.loads(runner.run(["ip", "-j", "-d", "link", "show"], what="Reading links").stdout or "[]")
    rules = json.loads(runner.run(["ip", "-j", "-4", "rule", "show"], what="Reading rules").stdout or "[]")
    routes = json.loads(
        runner.run(["ip", "-j", "-4", "route", "show", "table", "all"], what="Reading routes").stdout or "[]"
    )
    return Kernel(
        links={entry["ifname"]: link_of(entry) for entry in links},
        carrying=frozenset(entry["ifname"] for entry in links if {"UP", "LOWER_UP"} <= set(entry["flags"])),
        rules=rules_of(rules),
        routes=routes_of(routes),
    )


def list_table(runner: Runner) -> str | None:
    """Our table without its counters' values; None when the kernel has none."""
    listed = runner.run(["nft", "-s", "list", "table", "inet", TABLE], ok=(0, 1), what="Reading the nftables table")
    return listed.stdout if listed.rc == 0 else None


def _units(runner: Runner) -> dict[str, Unit]:
    names = (NETWORKD_UNIT, NFTABLES_UNIT, LINKS_UNIT)
    argv = ["systemctl", "show", "--property=Id,ActiveState,UnitFileState", *names]
    blocks = runner.run(argv, what="Reading units").stdout.strip().split("\n\n")
    units = {}
    for block in blocks:
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        enabled = values.get("UnitFileState", "") in ("enabled", "enabled-runtime")
        units[values.get("Id", "")] = Unit(values.get("ActiveState") == "active", enabled)
    return units


def missing_tools() -> list[str]:
    return [tool for tool in _TOOLS if shutil.which(tool) is None]


def read(runner: Runner, *, predicting: bool) -> Found:
    """The whole state, in five processes. On a host that has no tools yet, ``predicting`` finds nothing at all."""
    missing = missing_tools()
    if missing and not predicting:
        packages = ", ".join(sorted({_TOOLS[tool] for tool in missing}))
        raise RefusedError(f"This host has no {', '.join(missing)}.", fix=f"install the packages {packages}.")
    return Found(
        kernel=Kernel() if "ip" in missing else read_kernel(runner),
        table=None if "nft" in missing else list_table(runner),
        units={} if "systemctl" in missing else _units(runner),
    )


def read_setting(paths: Paths, key: str) -> str | None:
    """Value of a file below /proc/sys, None when it is not there."""
    try:
        return (Path(paths.proc_sys) / key).read_text(encoding="ascii").strip()
    except OSError:
        return None
