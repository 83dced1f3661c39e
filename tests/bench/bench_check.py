# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the checker and the simulator take, as a Markdown table.

Run from the root of the collection: ``PYTHONPATH=.collections python tests/bench/bench_check.py``. Ends with 1 when
10,000 rules of the pipeline's shape take longer than the limit to read and check, or when ten times the rules cost
more than the slack allows.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from typing import Any

from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.actions import SetField
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.checker import check
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.compile import compile_node
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.conntrack import Conntrack, Packet
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.fields import FIELDS, packed
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.inventory import fleet_from_inventory
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.rules import FlowReader
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.simulator import Simulator

SIZES = (1_000, 10_000, 50_000)
LIMIT = 1.0
"""Seconds for reading and checking 10,000 rules."""

SLACK = 2.0
"""How much more than its share ten times the rules may cost."""

PACKET_SLACK = 4.0
"""How much more a packet may cost among ten times the rules: the look-up is by hash, but memory gets slower."""

_PACKET = packed(dl_type=0x800, nw_ttl=64, nw_proto=17, nw_dst=0xCB007109, tp_dst=443)


def pipeline(rules: int) -> list[str]:
    """``rules`` lines: a compiled node with many containers of five services, less what is too much of the latter."""
    containers = [_container(number) for number in range(1 + rules // 18)]
    inventory: dict[str, Any] = {
        "socket_bridge_bridges": [{"name": "mesh", "subnet": "10.64.0.0/18"}],
        "socket_bridge_uplinks": [
            {"name": "nm", "kind": "netmaker", "bridge": "mesh", "address": "10.32.0.1/16"},
            {"name": "warp0", "kind": "warp", "bridge": "mesh"},
        ],
        "lxc_service_containers": containers,
    }
    flows = compile_node(fleet_from_inventory({"node": inventory}), "node")["mesh"].flows
    surplus = [flow for flow in flows if (flow.table, flow.priority) == (40, 200)][: len(flows) - rules]
    without = {flow.cookie for flow in surplus}
    return [flow.text() for flow in flows if flow.cookie not in without]


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


def measure(shape: str, lines: list[str]) -> float:
    """Print a row; the seconds for reading and checking."""
    rules = FlowReader().read(lines)
    read = seconds(lambda: FlowReader().read(lines))
    checked = seconds(lambda: check(rules))
    each = (read + checked) / len(lines) * 1e6
    print(f"| {shape} | {len(lines)} | {len(check(rules))} | {read:.3f} | {checked:.3f} | {each:.1f} |")
    return read + checked


def simulate(size: int) -> float:
    """Print a row; the microseconds that a packet takes which every container sends to the internet."""
    rules = FlowReader().read(pipeline(size))
    simulator = Simulator(rules)
    register = FIELDS["reg0"].mask
    senders = {rule.bits.value & register: rule.bits.value & ~register for rule in rules if rule.table == 10}
    headers = []
    for rule in rules:
        if rule.table == 0 and rule.actions and isinstance(rule.actions[0], SetField):
            sender = senders[rule.actions[0].bits.value]
            headers.append(rule.bits.value | sender | _PACKET)
    visited = [len(simulator.run(Packet(header), Conntrack()).steps) for header in headers]
    took = seconds(lambda: [simulator.run(Packet(header), Conntrack()) for header in headers]) / sum(visited) * 1e6
    print(f"| {size} | {max(visited)} | {took:.1f} |")
    return took


def main() -> int:
    """Print the tables; return the exit status."""
    print("| rules | number | findings | read (s) | check (s) | both, µs a rule |")
    print("|---|---|---|---|---|---|")
    took = [measure("pipeline", pipeline(size)) for size in SIZES]
    measure("random prefixes", prefixes(5_000))
    measure("random access list", access_list(3_000))
    print("\n| rules | tables on the longest way | simulated, µs a table |\n|---|---|---|")
    few, many = simulate(SIZES[0]), simulate(SIZES[1])
    growth = took[1] / took[0]
    print(f"\nTen times the rules (1,000 to 10,000) took {growth:.1f} times as long; 10,000 took {took[1]:.2f} s.")
    return 0 if took[1] < LIMIT and growth <= 10 * SLACK and many <= PACKET_SLACK * few else 1


if __name__ == "__main__":
    sys.exit(main())
