# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of site.yml with nothing to do costs, against a bare gathering of facts, as a Markdown table.

Run from the root of the collection on a lab that is up and converged (`lab/run --keep`):
``PATH=$(lab/bootstrap.sh lab)/bin:$PATH python -m tests.bench.bench_site``. The goal is five times or less.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from lab import remote
from lab.current import current

SETUP = [{"hosts": "socket_network", "gather_facts": False, "tasks": [{"ansible.builtin.setup": {}}]}]


def best_of(times: int, work: Callable[[], object]) -> float:
    """Seconds of the shortest of some tries: the machine does other things too."""
    taken = []
    for _try in range(times):
        begin = time.monotonic()
        work()
        taken.append(time.monotonic() - begin)
    return min(taken)


def run(book: str) -> None:
    """Run a playbook that has nothing to do; anything else would be measured wrongly."""
    done = remote.playbook(book, inventory=current().mesh.inventory)
    if done.returncode or done.changed():
        raise SystemExit(f"{book} failed or had something to do:\n{done.output[-4000:]}")


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as scratch:
        book = Path(scratch, "setup.yml")
        book.write_text(json.dumps(SETUP))
        bare, whole = best_of(3, lambda: run(str(book))), best_of(3, lambda: run("site.yml"))
    print("| setup (s) | site.yml, nothing to do (s) | ratio |")
    print("|---|---|---|")
    print(f"| {bare:.1f} | {whole:.1f} | {whole / bare:.1f}x |")


if __name__ == "__main__":
    main()
