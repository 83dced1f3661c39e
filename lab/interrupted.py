# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of site.yml that are killed on their way.

Which tasks they are killed in is drawn by a seed that is printed, and that SOCKET_NETWORK_SEED repeats. Where
SOCKET_NETWORK_EVERY_TASK is set they are killed in one task after the other, in as many runs as there are tasks.

usage: python -m lab.interrupted   one such run on the lab that is up
"""

from __future__ import annotations

import functools
import os
import random
import signal
import subprocess

from lab import base, remote
from lab.base import LabError
from lab.current import current

TASKS = 26
"""Tasks that site.yml shows on the lab at most; a run with fewer is over before the last of them."""
TIMEOUT = 900


@functools.cache
def seed() -> int:
    given = os.environ.get("SOCKET_NETWORK_SEED")
    return int(given) if given else random.SystemRandom().randrange(10000)


def sample(number: int) -> list[int]:
    """Numbers of tasks, from 1."""
    everything = range(1, TASKS + 1)
    if os.environ.get("SOCKET_NETWORK_EVERY_TASK"):
        return list(everything)
    return sorted(random.Random(seed()).sample(everything, number))


def run(inventory: str, number: int) -> str:
    """Start site.yml and kill it, with all that it started here, when its task of that number begins.

    Returns what happened. Raises LabError when the run fails before.
    """
    process = subprocess.Popen(
        ["timeout", str(TIMEOUT), remote.tool("ansible-playbook"), "-i", inventory, "site.yml"],
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
            os.killpg(process.pid, signal.SIGKILL)
            break
    status = process.wait(30)
    process.stdout.close()
    if seen < number:
        if status != 0:
            raise LabError("site.yml failed before it could be killed:\n" + "".join(output[-40:]))
        return f"ended by itself after {seen} tasks"
    return f"killed in task {number}: {output[-1].removeprefix('TASK [').partition(']')[0]}"


if __name__ == "__main__":
    (chosen,) = sample(1)
    print(f"seed {seed()}: {run(current().mesh.inventory, chosen)}")
