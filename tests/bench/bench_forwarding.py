# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pipeline costs a connection: TCP through it, through a NORMAL bridge and through plain connection tracking.

Run as root from the root of the collection: ``PYTHONPATH=.collections:. python -m tests.bench.bench_forwarding``. It
boots a host, which has the userspace datapath where the kernel lacks Open vSwitch's; `measure` takes any host of the
lab. All three ways exist side by side and take turns, so that their ratios hold where absolute numbers do not.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.compile import compile_node
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.inventory import fleet_from_inventory
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.tables import OUT, POLICY

from lab.host import Host
from lab.node import Node
from tests.bench.shapes import table

PORT = 5000
PIPELINE, NORMAL, CONNTRACK = "pipeline", "normal", "conntrack"
DIRECTORY = "/root/bf-bench"
PROGRAMS = ("forwarding_traffic.py", "forwarding_host.py")

KINDS = {
    "throughput": "bulk TCP, Mbit/s (more is better)",
    "connections": "new connections a second, one after the other (more is better)",
    "setup": "TCP handshake, median, µs",
    "first": "TCP handshake that the switch has to decide on anew, median, µs",
    "latency": "64 bytes there and back, median, µs",
    "latency99": "64 bytes there and back, 99th percentile, µs",
}
SERVICE = {"name": "probe", "protocol": "tcp", "port": PORT, "exposed": True}
INVENTORY: dict[str, Any] = {
    "socket_bridge_bridges": [{"name": "bf-pipeline", "subnet": "10.0.0.0/24"}],
    "lxc_service_containers": [
        {
            "id": "101",
            "name": "asks",
            "veth": "bf-pipeline-a",
            "bridge": "bf-pipeline",
            "ipv4_address": "10.0.0.101/24",
        },
        {
            "id": "102",
            "name": "answers",
            "veth": "bf-pipeline-b",
            "bridge": "bf-pipeline",
            "ipv4_address": "10.0.0.102/24",
            "services": [SERVICE],
        },
    ],
}
NOTE = """\
Medians of all rounds, of ratios too: that of each round is taken by itself; in brackets the middle half of them.
NORMAL learns addresses and lets everything through. Plain conntrack looks every packet up, commits every connection and
then does the same: the least that a stateful policy costs. The work of client and server is in all numbers alike."""
PLAIN_ZONE = 64001
PLAIN = (
    "cookie=0x1,table=0,priority=100,arp,actions=NORMAL",
    f"cookie=0x2,table=0,priority=100,ip,actions=ct(table=1,zone={PLAIN_ZONE})",
    "cookie=0x3,table=1,priority=100,ct_state=+est+trk,ip,actions=NORMAL",
    f"cookie=0x4,table=1,priority=90,ct_state=+new+trk,ip,actions=ct(commit,zone={PLAIN_ZONE}),NORMAL",
)


@dataclass(frozen=True, slots=True)
class Result:
    """``samples``: one number a round, by path and kind. ``counted``: what went through each path, and its counters.

    ``machine`` is what systemd-detect-virt says; ``rules`` how many flows each path has; ``taken`` seconds in all.
    """

    datapath: str
    kernel: str
    switch: str
    cores: int
    machine: str
    samples: Mapping[str, Mapping[str, list[float]]]
    counted: Mapping[str, Mapping[str, int]]
    rules: Mapping[str, int]
    seconds: float
    taken: float

    @property
    def is_emulated(self) -> bool:
        """Whether QEMU computes every instruction: then only ratios say something."""
        return self.machine == "qemu"

    def value(self, path: str, kind: str) -> float:
        """The median of all rounds."""
        return statistics.median(self.samples[path][kind])

    def ratios(self, kind: str, other: str) -> list[float]:
        """The pipeline against ``other`` in each round, from the lowest."""
        both = zip(self.samples[PIPELINE][kind], self.samples[other][kind], strict=True)
        return sorted(mine / its for mine, its in both)

    def ratio(self, kind: str, other: str) -> float:
        """Their median. What disturbs a round disturbs both, so this is steadier than a ratio of medians."""
        return statistics.median(self.ratios(kind, other))

    def describe(self) -> str:
        """A Markdown table with words around it."""
        columns = [
            f"{self.datapath} datapath",
            *(f"{name}, rules: {self.rules[path]}" for path, name in _NAMES.items()),
            *(f"pipeline / {_NAMES[other]}" for other in (NORMAL, CONNTRACK)),
        ]
        rows = [self._row(kind, title) for kind, title in KINDS.items() if kind in self.samples[PIPELINE]]
        number = len(self.samples[PIPELINE]["throughput"])
        mine = self.counted[PIPELINE]
        return (
            f"{table(columns, rows)}\n"
            f"{self._where()} {number} rounds of {self.seconds:g} s for each number of each way, {self.taken:.0f} s in "
            f"all. {NOTE}\n"
            f"The policy's flow let {mine['opened']:,} packets open {mine['connections']:,} connections; the one to "
            f"the server carried {mine['carried'] / 2**20:,.0f} MiB, {mine['bytes'] / 2**20:,.0f} MiB of it bulk.\n"
        )

    def _row(self, kind: str, title: str) -> list[str]:
        cells = [title, *(f"{self.value(path, kind):,.0f}" for path in _NAMES)]
        for other in (NORMAL, CONNTRACK):
            ratios = self.ratios(kind, other)
            middle = ratios[len(ratios) // 4 :][: len(ratios) - len(ratios) // 4 * 2]
            cells.append(f"**{self.ratio(kind, other):.2f}** ({middle[0]:.2f} to {middle[-1]:.2f})")
        return cells

    def _where(self) -> str:
        emulated = "emulated by QEMU (absolute numbers mean nothing, ratios do)" if self.is_emulated else "not emulated"
        return f"Linux {self.kernel}, Open vSwitch {self.switch}, {self.cores} cores, {emulated}."


_NAMES = {PIPELINE: "pipeline", NORMAL: "NORMAL", CONNTRACK: "plain conntrack"}


def order(seconds: float, rounds: int) -> dict[str, Any]:
    """What `forwarding_host` shall do. ``opens`` and ``carries`` are cookies: who counts connections, who bytes."""
    fleet = fleet_from_inventory({"node": INVENTORY})
    compiled = compile_node(fleet, "node")["bf-pipeline"]
    containers = {container.name: container for container in fleet.nodes["node"].containers}
    ports = {name: container.ofport for name, container in containers.items()}
    (policy,) = (flow for flow in compiled.flows if (flow.table, flow.priority) == (POLICY, 200))
    there = f"{containers['answers'].register:#x}"
    (way,) = (flow for flow in compiled.flows if flow.table == OUT and there in flow.match_text())
    zone = fleet.nodes["node"].bridges[0].ct_zone
    pipeline = [flow.text(compiled.ports) for flow in compiled.flows]
    return {
        "seconds": seconds,
        "rounds": rounds,
        "limit": int(60 + 10 * rounds * (1 + seconds) * 3),
        "port": PORT,
        "ends": {name: {"mac": one.mac, "address": str(one.address)} for name, one in containers.items()},
        "paths": {
            PIPELINE: _path(pipeline, ports, zone, policy.cookie, way.cookie),
            NORMAL: _path(["cookie=0x1,actions=NORMAL"], ports, None, 1, 1),
            CONNTRACK: _path(PLAIN, ports, PLAIN_ZONE, 4, 3),
        },
    }


def _path(flows: Any, ports: Mapping[str, int], zone: int | None, opens: int, carries: int) -> dict[str, Any]:
    return {"flows": list(flows), "ports": ports, "zone": zone, "opens": opens, "carries": carries}


def measure(host: Node, *, seconds: float = 0.5, rounds: int = 8) -> Result:
    """Build all ways on ``host``, measure, clean up. ``seconds`` are of one number of one way in one round.

    Many short rounds withstand a restless machine better than few long ones. Takes ``rounds * 9 * seconds`` and, on an
    emulated machine, some 15 s more. Raises LabError when a way does not
    carry TCP, or when its flows have not counted what went through it.
    """
    begin, wanted = time.monotonic(), order(seconds, rounds)
    try:
        for name in PROGRAMS:
            host.put(Path(__file__).with_name(name), f"{DIRECTORY}/tests/bench/{name}")
        run = ["env", f"PYTHONPATH={DIRECTORY}", "python3", "-B", "-m", "tests.bench.forwarding_host"]
        done = host.run(run, data=json.dumps(wanted), timeout=wanted["limit"] + 60)
    finally:
        host.run(["rm", "-rf", DIRECTORY])
    rules = {name: len(path["flows"]) for name, path in wanted["paths"].items()}
    return Result(**json.loads(done.stdout), rules=rules, seconds=seconds, taken=time.monotonic() - begin)


def main() -> None:
    """Print the table."""
    with Host("bench") as host:
        print(measure(host).describe())


if __name__ == "__main__":
    main()
