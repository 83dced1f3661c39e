# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long ovs_bridge_flows takes on a real Open vSwitch, against what else people load rules with.

Run from the root of the collection: ``PYTHONPATH=.collections:. python -m tests.bench.bench_apply``. Goals for an
unchanged run, module start apart: 100 ms, 0.5 s and 3 s for 1,000, 10,000 and 50,000 rules.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.op_dbus.socket_network.plugins.module_utils._ovs import bridge
from ansible_collections.op_dbus.socket_network.plugins.module_utils._ovs.bridge_plan import BridgeSpec
from ansible_collections.op_dbus.socket_network.plugins.module_utils._runner import LocalRunner

from tests.bench.shapes import duration, pipeline, seconds, table
from tests.integration.ovs.private_ovs import PrivateOvs, private_ovs

SIZES = (100, 1_000, 10_000, 50_000)
LOOP = 200
"""Rules that are really added one by one; the time of more is told from them."""


@dataclass(frozen=True)
class Cost:
    """Of one run: wall seconds, whether it changed something, processor seconds of Python and of tools, peak MiB."""

    seconds: float
    changed: bool
    python: float
    tools: float
    memory: float


class Bench:
    """A private switch with one bridge, and rules of one size for it."""

    def __init__(self, ovs: PrivateOvs, size: int, directory: Path) -> None:
        self.ovs, self.size = ovs, size
        self.directory = directory
        compiled = pipeline(size)
        self.lines = [flow.text(compiled.ports) for flow in compiled.flows]
        self.file = directory / f"{size}.flows"
        self.file.write_text("\n".join(self.lines) + "\n", encoding="utf-8")
        named = [flow.text() for flow in compiled.flows]
        self.plain = self._wanted("plain", named, compiled.ports)
        way = next(number for number, flow in enumerate(compiled.flows) if (flow.table, flow.priority) == (50, 232))
        named[way] = named[way].partition(",")[2].replace("nw_dst=10.64.0.", "nw_dst=10.64.63.")
        self.changed = self._wanted("changed", named, compiled.ports)

    def _wanted(self, name: str, flows: list[str], ports: Mapping[str, int]) -> Path:
        path = self.directory / f"{self.size}.{name}"
        path.write_text(json.dumps({"flows": flows, "ports": ports}), encoding="utf-8")
        return path

    def empty(self) -> None:
        self.ovs.ofctl("del-flows", "mesh")

    def once(self, *argv: str) -> float:
        """Seconds of one ovs-ofctl on an empty table."""
        self.empty()
        return seconds(lambda: self.ovs.ofctl(*argv), 1)

    def loop(self) -> float:
        """Seconds for one ovs-ofctl a rule."""
        self.empty()
        few = self.lines[:: max(1, self.size // LOOP)][:LOOP]
        return seconds(lambda: [self.ovs.ofctl("add-flow", "mesh", line) for line in few], 1) / len(few) * self.size

    def module(self, wanted: Path) -> Cost:
        durable = self.directory / f"{self.size}.durable"
        argv = [sys.executable, "-m", "tests.bench.apply_once", str(wanted), str(durable)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            raise SystemExit(done.stderr)
        return Cost(**json.loads(done.stdout))


def switch_spent(ovs: PrivateOvs) -> float:
    """Processor seconds of ovs-vswitchd so far."""
    fields = Path(f"/proc/{_pid(ovs)}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def switch_memory(ovs: PrivateOvs) -> float:
    """Peak MiB of ovs-vswitchd so far."""
    status = Path(f"/proc/{_pid(ovs)}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def _pid(ovs: PrivateOvs) -> int:
    return int((ovs.directory / "ovs-vswitchd.pid").read_text(encoding="ascii"))


def fill(bench: Bench) -> list[str]:
    """A row: from an empty table to all rules, every way."""
    file = str(bench.file)
    loop, raw = bench.loop(), bench.once("--bundle", "add-flows", "mesh", file)
    replace = bench.once("--bundle", "replace-flows", "mesh", file)
    bench.empty()
    spent = switch_spent(bench.ovs)
    module = bench.module(bench.plain)
    switch = switch_spent(bench.ovs) - spent
    told = "" if bench.size <= LOOP else f" (told from {LOOP})"
    return [
        f"{bench.size:,}",
        duration(loop) + told,
        duration(raw),
        duration(replace),
        f"**{duration(module.seconds)}**",
        f"{loop / module.seconds:,.0f}x faster than one by one, {module.seconds / raw:.1f}x the raw bundle",
        f"{duration(module.python)} + {duration(module.tools)} + {duration(switch)}",
        f"{module.memory:.0f} + {switch_memory(bench.ovs):.0f} MiB",
    ]


def again(bench: Bench) -> list[str]:
    """A row: nothing to do, and one rule to change."""
    replace = seconds(lambda: bench.ovs.ofctl("--bundle", "replace-flows", "mesh", str(bench.file)))
    differ = seconds(lambda: bench.ovs.ofctl("diff-flows", "mesh", str(bench.file)))
    runs = [bench.module(bench.plain) for _run in range(3)]
    if any(run.changed for run in runs):
        raise SystemExit(f"{bench.size} rules did not converge")
    unchanged, one = min(run.seconds for run in runs), bench.module(bench.changed)
    if not one.changed:
        raise SystemExit("the changed rule was not seen")
    ratio = f"{unchanged / differ:.1f}x `diff-flows`"
    cells = [duration(differ), duration(replace), f"**{duration(unchanged)}**", ratio, duration(one.seconds)]
    return [f"{bench.size:,}", *cells, f"{duration(runs[0].python)} + {duration(runs[0].tools)}"]


def start() -> float:
    """Seconds that Python needs to start and load the module's code."""
    name = "ansible_collections.op_dbus.socket_network.plugins.module_utils._ovs.flow_table"
    return seconds(lambda: subprocess.run([sys.executable, "-c", f"import {name}"], check=True))


def main() -> None:
    """Print the tables."""
    filled, repeated = [], []
    with (
        tempfile.TemporaryDirectory(prefix="ovs-", dir="/tmp") as path,
        private_ovs(Path(path), "--enable-dummy=override") as ovs,
    ):
        os.environ.update(ovs.environment)
        plan, _datapath = bridge.present(LocalRunner(), BridgeSpec("mesh", "netdev"), False)
        plan.apply()
        for size in SIZES:
            bench = Bench(ovs, size, Path(path))
            filled.append(fill(bench))
            repeated.append(again(bench))
    head = ["rules", "`add-flow` each", "`add-flows --bundle`", "`replace-flows --bundle`", "module", "the module is"]
    print(table([*head, "CPU: Python + tools + switch", "peak memory: module + switch"], filled))
    head = [
        "rules",
        "`diff-flows`",
        "`replace-flows --bundle`",
        "module, nothing to do",
        "ratio",
        "module, one changed",
    ]
    print(table([*head, "CPU, nothing to do: Python + tools"], repeated))
    print(f"Start of Python and loading of the module's code, not counted above: {duration(start())}.")


if __name__ == "__main__":
    begin = time.monotonic()
    main()
    print(f"\nTaken in one run of {time.monotonic() - begin:.0f} s.")
