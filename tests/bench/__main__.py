# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every benchmark in one run, as the page docs/benchmarks.md on standard output.

Run as root from the root of the collection: ``PYTHONPATH=.collections:. python -m tests.bench``. bench_site wants a lab
that is up and converged, and is left out without one.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

from lab.current import current
from tests.bench import bench_apply, bench_check, bench_compile, bench_forwarding, bench_loss, bench_site

HEAD = """\
# Benchmarks

Printed by `PYTHONPATH=.collections:. python -m tests.bench`, run as root from a clone in the environment that
`lab/bootstrap.sh dev` names. Times differ from machine to machine; compare within a table, which is of one run.

{machine}.
"""


def machine() -> str:
    """What all this was measured on."""
    tool = subprocess.run(["ovs-vsctl", "--version"], capture_output=True, text=True, check=True).stdout.split()[3]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    model = next(
        line.partition(": ")[2]
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    )
    cores = f"{os.cpu_count()} cores of {model}, {memory:.0f} GiB"
    return f"{cores}; Linux {platform.release()}, Python {platform.python_version()}, Open vSwitch {tool}"


def main() -> None:
    """Print the page."""
    print(HEAD.format(machine=machine()))
    parts = {
        "Loading rules": bench_apply.main,
        "Packets lost": bench_loss.main,
        "Traffic through the rules": bench_forwarding.main,
        "Checking and simulating": bench_check.main,
        "Compiling": bench_compile.main,
    }
    if current().is_up:
        parts["A run with nothing to do"] = bench_site.main
    for title, work in parts.items():
        print(f"## {title}\n", flush=True)
        work()
        print(flush=True)


if __name__ == "__main__":
    sys.exit(main())
