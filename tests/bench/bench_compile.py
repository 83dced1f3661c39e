# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the model and the compiler take for 10, 100 and 1,000 nodes of 50 services each, as a Markdown table.

Run from the root of the collection: ``PYTHONPATH=.collections python tests/bench/bench_compile.py``. The goals are a
ratio near ten from row to row, and parsing and compiling one node of 1,000 in less than a second.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable
from typing import Any

from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.compile import compile_node
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.inventory import fleet_from_inventory
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.links import link_layer

SIZES = (10, 100, 1000)
CONTAINERS, SERVICES = 10, 5


def inventory_of(nodes: int) -> dict[str, Any]:
    """``nodes`` hosts of 10 containers with 5 services each, on one WireGuard mesh with one relay."""
    return {f"node{number:04}": _host(number) for number in range(nodes)}


def _host(number: int) -> dict[str, Any]:
    subnet = f"10.{64 + number // 256}.{number % 256}"
    tunnel = {
        "name": "nm-privacy",
        "kind": "wireguard",
        "bridge": "mesh",
        "address": f"10.32.{number // 250}.{number % 250 + 1}/16",
        "public_key": base64.b64encode(hashlib.sha256(str(number).encode()).digest()).decode(),
    }
    if number == 0:
        tunnel |= {"endpoint": "192.0.2.10:51821", "relay": True}
    return {
        "socket_bridge_bridges": [{"name": "mesh", "subnet": f"{subnet}.0/24"}],
        "socket_bridge_uplinks": [tunnel, {"name": "warp0", "kind": "warp", "bridge": "mesh"}],
        "lxc_service_containers": [
            {
                "id": str(100 + index),
                "name": f"service-{index}",
                "veth": f"veth{100 + index}",
                "bridge": "mesh",
                "ipv4_address": f"{subnet}.{100 + index}/24",
                "egress": "warp0",
                "services": [
                    {"name": f"port-{port}", "protocol": "tcp", "port": port, "exposed": True}
                    for port in range(8000, 8000 + SERVICES)
                ],
            }
            for index in range(CONTAINERS)
        ],
    }


def seconds(work: Callable[[], object], times: int = 3) -> float:
    """The best of ``times`` runs, in seconds of the processor: other work on the machine must not decide."""
    best = float("inf")
    for _time in range(times):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def measure(nodes: int) -> tuple[float, float, float, float]:
    """Seconds to parse, to parse and compile one node, to make its link layer, and to compile every node.

    The last is told from ten nodes: each has a route to every other, so the fleet's flows grow with the square.
    """
    inventory = inventory_of(nodes)
    fleet = fleet_from_inventory(inventory)
    return (
        seconds(lambda: fleet_from_inventory(inventory)),
        seconds(lambda: compile_node(fleet_from_inventory(inventory), "node0001")),
        seconds(lambda: link_layer(fleet, "node0001")),
        seconds(lambda: [compile_node(fleet, host) for host in list(fleet.nodes)[:: nodes // 10]], 1) * nodes / 10,
    )


def main() -> None:
    """Print the table."""
    print("| nodes | services | parse (s) | parse + compile one node (s) | ratio | link layer (s) | every node (s) |")
    print("|---|---|---|---|---|---|---|")
    previous = None
    for nodes in SIZES:
        parse, total, layer, whole = measure(nodes)
        shown = f"{total / previous:.1f}x" if previous else "-"
        services = nodes * CONTAINERS * SERVICES
        print(f"| {nodes} | {services} | {parse:.3f} | {total:.3f} | {shown} | {layer:.4f} | {whole:.2f} |")
        previous = total


if __name__ == "__main__":
    main()
