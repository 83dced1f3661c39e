# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules to measure with: what the compiler makes of many containers, and two shapes that strain the checker."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import cache
from typing import Any

from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.compile import BridgeFlows, compile_node
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.inventory import fleet_from_inventory

_RULES_A_CONTAINER = 18


@cache
def pipeline(rules: int) -> BridgeFlows:
    """``rules`` rules: a compiled node with many containers of five services each, less some rules for services."""
    inventory: dict[str, Any] = {
        "socket_bridge_bridges": [{"name": "mesh", "subnet": "10.64.0.0/18"}],
        "socket_bridge_uplinks": [
            {
                "name": "nm",
                "kind": "wireguard",
                "bridge": "mesh",
                "address": "10.32.0.1/16",
                "public_key": "A" * 43 + "=",
            },
            {"name": "warp0", "kind": "warp", "bridge": "mesh"},
        ],
        "lxc_service_containers": [_container(number) for number in range(1 + rules // _RULES_A_CONTAINER)],
    }
    compiled = compile_node(fleet_from_inventory({"node": inventory}), "node")["mesh"]
    surplus = [flow for flow in compiled.flows if (flow.table, flow.priority) == (40, 200)]
    without = {flow.cookie for flow in surplus[: len(compiled.flows) - rules]}
    return BridgeFlows(tuple(flow for flow in compiled.flows if flow.cookie not in without), compiled.ports)


def _container(number: int) -> dict[str, Any]:
    address = f"10.64.{number // 250}.{number % 250 + 2}"
    services = [
        {"name": f"port-{port}", "protocol": "tcp", "port": port, "exposed": True} for port in range(8000, 8005)
    ]
    return {
        "id": str(number + 100),
        "name": f"c{number}",
        "veth": f"veth{number + 100}",
        "bridge": "mesh",
        "ipv4_address": f"{address}/18",
        "egress": "warp0",
        "services": services,
    }


def prefixes(rules: int) -> list[str]:
    """Longest prefix match with random prefixes."""
    rng = random.Random(1)
    lengths = [rng.randrange(8, 33) for _rule in range(rules)]
    return [f"priority={length},ip,nw_dst={_address(rng, 224)}/{length},actions=output:{length}" for length in lengths]


def access_list(rules: int) -> list[str]:
    """Random five-tuples with masks; many of them are dead."""
    rng = random.Random(2)
    return [
        f"priority={priority},tcp,nw_src={_address(rng)}/{rng.choice((0, 8, 16))},"
        f"nw_dst={_address(rng)}/{rng.choice((0, 8, 24))},tp_dst={rng.choice((22, 80, 443))},actions=drop"
        for priority in range(1, rules + 1)
    ]


def _address(rng: random.Random, values: int = 4) -> str:
    return ".".join(str(rng.randrange(values)) for _part in range(4))


def seconds(work: Callable[[], object], times: int = 3) -> float:
    """The best of ``times`` runs."""
    best = float("inf")
    for _time in range(times):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def table(columns: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def duration(value: float) -> str:
    """Seconds for people."""
    return f"{value * 1000:.0f} ms" if value < 10 else f"{value:.0f} s"
