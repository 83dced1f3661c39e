# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of ovs_bridge_flows' work in a process of its own, which prints what it cost as JSON.

``python -m tests.bench.apply_once WANTED DURABLE``: a file with the wanted flows and ports as JSON, the durable file.
Seconds are of the work, less the start of Python.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from ansible_collections.op_dbus.socket_network.plugins.module_utils._ovs import flow_table
from ansible_collections.op_dbus.socket_network.plugins.module_utils._runner import LocalRunner


def main(wanted: Path, durable: str) -> None:
    """Do it and print seconds, changed, MiB and seconds of processor time."""
    given = json.loads(wanted.read_text(encoding="utf-8"))
    spent, start = time.process_time(), time.perf_counter()
    spec = flow_table.FlowsSpec(bridge="mesh", flows=tuple(given["flows"]), ports=given["ports"], durable=durable)
    plan, _result = flow_table.present(LocalRunner(), spec, False)
    plan.apply()
    tools = resource.getrusage(resource.RUSAGE_CHILDREN)
    cost = {
        "seconds": time.perf_counter() - start,
        "changed": plan.changed,
        "python": time.process_time() - spent,
        "tools": tools.ru_utime + tools.ru_stime,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(cost))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
