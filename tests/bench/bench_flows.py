# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long ovs_bridge_flows takes on a real Open vSwitch for 100, 1,000 and 10,000 flows, as a Markdown table.

Run from the root of the collection: ``PYTHONPATH=.collections:. python tests/bench/bench_flows.py``. Times are of the
module's work without Ansible's own start. Ends with 1 when an unchanged run is over its limit, or when it costs more
than the given multiple of what `ovs-ofctl` alone needs to dump and compare the same flows.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ansible_collections.op_dbus.socket_network.plugins.module_utils._ovs import bridge, flow_table
from ansible_collections.op_dbus.socket_network.plugins.module_utils._ovs.bridge_plan import BridgeSpec
from ansible_collections.op_dbus.socket_network.plugins.module_utils._runner import LocalRunner

from tests.integration.ovs.private_ovs import PrivateOvs, private_ovs

LIMITS = {100: 0.5, 1000: 1.0, 10000: 4.0}
"""Seconds for an unchanged run of so many flows, on a busy machine with 2 cores."""

RATIO_LIMIT = 12.0
RUNNER = LocalRunner()


def flows(number: int, last: str = "drop") -> tuple[str, ...]:
    lines = [
        f"table=50,priority=232,ip,nw_dst=10.{index >> 16}.{index >> 8 & 255}.{index & 255},"
        f"actions=set_field:{index + 1:#x}->reg1,goto_table:60"
        for index in range(number - 1)
    ]
    return (*lines, f"table=50,priority=0,actions={last}")


def apply(wanted: tuple[str, ...], file: Path) -> bool:
    spec = flow_table.FlowsSpec(bridge="mesh", flows=wanted, durable=str(file))
    plan, _result = flow_table.present(RUNNER, spec, False)
    plan.apply()
    return plan.changed


def timed(work: Callable[[], object], repeat: int = 1) -> float:
    """Seconds of the best of ``repeat`` runs."""
    best = float("inf")
    for _run in range(repeat):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def measure(ovs: PrivateOvs, number: int, directory: Path) -> list[float]:
    """Seconds to fill, to change one flow, for an unchanged run, and for ovs-ofctl alone to see that."""
    file = directory / f"{number}.flows"
    fill = timed(lambda: apply(flows(number), file))
    one = timed(lambda: apply(flows(number, "LOCAL"), file))
    if apply(flows(number, "LOCAL"), file):
        raise SystemExit(f"{number} flows did not converge")
    unchanged = timed(lambda: apply(flows(number, "LOCAL"), file), 3)
    alone = timed(lambda: ovs.ofctl("diff-flows", "mesh", str(file)), 3)
    return [fill, one, unchanged, alone]


def main() -> int:
    failures = []
    print("| flows | fill | change one | unchanged | `ovs-ofctl diff-flows` alone | ratio |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="ovs-", dir="/tmp") as path:
        directory = Path(path)
        with private_ovs(directory, "--enable-dummy=override") as ovs:
            os.environ.update(ovs.environment)
            plan, _datapath = bridge.present(RUNNER, BridgeSpec("mesh", "netdev"), False)
            plan.apply()
            for number, limit in LIMITS.items():
                fill, one, unchanged, alone = measure(ovs, number, directory)
                ratio = unchanged / alone
                cells = " | ".join(f"{seconds * 1000:.0f} ms" for seconds in (fill, one, unchanged, alone))
                print(f"| {number} | {cells} | {ratio:.1f} |", flush=True)
                if unchanged > limit:
                    failures.append(f"{number} unchanged flows took {unchanged:.2f} s, limit {limit} s")
                if ratio > RATIO_LIMIT:
                    failures.append(f"{number} unchanged flows took {ratio:.1f} times ovs-ofctl, limit {RATIO_LIMIT}")
    print("\n".join(failures), file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
