# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of site.yml that are killed on their way.

Which tasks they are killed in, and how long after those began, is drawn by a seed that is printed, and that
SOCKET_NETWORK_SEED repeats. Where SOCKET_NETWORK_EVERY_TASK is set they are killed in one task after the other, in as
many runs as there are tasks.

usage: python -m lab.interrupted   one such run on the lab that is up
"""

from __future__ import annotations

import contextlib
import functools
import os
import random
import signal
import subprocess
from pathlib import Path

from lab import base, remote
from lab.base import LabError
from lab.current import current
from lab.mesh import Mesh

LONGEST_DELAY = 4.0
"""Seconds, longer than most tasks take: the run is also killed between two of them."""
TIMEOUT = 900


@functools.cache
def seed() -> int:
    given = os.environ.get("SOCKET_NETWORK_SEED")
    return int(given) if given else random.SystemRandom().randrange(10000)


def every_task() -> bool:
    return bool(os.environ.get("SOCKET_NETWORK_EVERY_TASK"))


def sample(number: int, tasks: int) -> list[int]:
    """Numbers of tasks, from 1."""
    return sorted(random.Random(seed()).sample(range(1, tasks + 1), number))


def chosen(number: int, tasks: int) -> list[int]:
    """As many tasks as that, or all of them in the long mode."""
    return list(range(1, tasks + 1)) if every_task() else sample(number, tasks)


def run(mesh: Mesh, number: int) -> str:
    """Start site.yml and kill it, with all that it started here, some time after its task of that number began.

    Returns what happened. Raises LabError when the run fails before.
    """
    delay = random.Random(f"{seed()} {number}").uniform(0.0, LONGEST_DELAY)
    process = subprocess.Popen(
        ["timeout", str(TIMEOUT), remote.tool("ansible-playbook"), "-i", mesh.inventory, "site.yml"],
        cwd=base.REPOSITORY,
        env=remote.ansible_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    seen, output = 0, []
    for line in process.stdout:
        output.append(line)
        if line.startswith("TASK ["):
            seen += 1
        if seen == number:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(delay)
            if process.poll() is None:
                kill_tree(process.pid)
            break
    process.wait(30)
    process.stdout.close()
    if seen < number:
        raise LabError(f"site.yml ended in its task {seen}, before it could be killed:\n" + "".join(output[-40:]))
    return f"killed {delay:.1f} s after task {number} began: {output[-1].removeprefix('TASK [').partition(']')[0]}"


def kill_tree(pid: int) -> None:
    """Kill a process and all that it started, also what has a session of its own, as Ansible's workers do.

    Each is stopped before its children are looked for, so none starts another meanwhile, and no number is given away.
    """
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        with contextlib.suppress(ProcessLookupError):
            os.kill(found[-1], signal.SIGSTOP)
        waiting += children(found[-1])
    for each in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)


def children(pid: int) -> list[int]:
    """Of /proc/PID/stat the fourth field names the parent (proc(5))."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
    return found


if __name__ == "__main__":
    lab_mesh = current().mesh
    (task,) = sample(1, lab_mesh.tasks)
    print(f"seed {seed()}: {run(lab_mesh, task)}")
