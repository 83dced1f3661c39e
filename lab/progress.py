# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress lines with elapsed time, and steps whose whole output goes to a log."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from lab.base import CACHE, REPOSITORY, LabError

LOGS = CACHE / "logs/lab"
TAIL_LINES = 40


class Progress:
    """Tells what is going on. ``step`` names the current step, for the message when it fails."""

    def __init__(self, head_start: float = 0.0) -> None:
        self.begin = time.monotonic() - head_start
        self.step = "start"

    @property
    def clock(self) -> str:
        seconds = int(time.monotonic() - self.begin)
        return f"[{seconds // 60:3d}:{seconds % 60:02d}]"

    def start(self, step: str) -> None:
        self.step = step
        self.show(f"==> {self.clock} {step}")

    def say(self, text: str) -> None:
        self.show(f"    {self.clock} {text}")

    def show(self, text: str) -> None:
        """In one piece, because several threads may speak."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def log_of(step: str) -> Path:
    LOGS.mkdir(parents=True, exist_ok=True)
    return LOGS / (re.sub(r"[^a-z0-9]+", "-", step.lower()).strip("-") + ".log")


def run_logged(
    step: str,
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    on_line: Callable[[str], None],
    timeout: float,
) -> tuple[int, str]:
    """Run a command from the repository's root, its output in the step's log; ``on_line`` gets each line as it comes.

    Returns exit status and output. The command gets a session of its own and is ended with whoever waits for it.
    Raises LabError when it takes longer than ``timeout`` seconds, also when it says nothing all that time.
    """
    log = log_of(step)
    lines: list[str] = []
    with log.open("w") as file, _ended_with_us(argv, environment) as process:
        try:
            for line in _output(process, timeout):
                file.write(line)
                file.flush()
                lines.append(line)
                on_line(line.rstrip("\n"))
        except subprocess.TimeoutExpired as error:
            raise LabError(f"{step} took longer than {timeout:g} s; log: {log}") from error
    return process.returncode, "".join(lines)


def _output(process: subprocess.Popen[str], timeout: float) -> Iterator[str]:
    """The lines of a command as they come, until it ends. Raises TimeoutExpired when that takes longer.

    A pipe cannot be waited for with a deadline, a queue can.
    """
    deadline = time.monotonic() + timeout
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        for line in process.stdout or ():
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, name="output", daemon=True).start()
    while (left := deadline - time.monotonic()) > 0:
        try:
            line = lines.get(timeout=left)
        except queue.Empty:
            break
        if line is None:
            process.wait(max(0.0, deadline - time.monotonic()))
            return
        yield line
    raise subprocess.TimeoutExpired(process.args, timeout)


@contextlib.contextmanager
def _ended_with_us(argv: Sequence[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        list(argv),
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            for number in (signal.SIGINT, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(10)
                    break


def tail(text: str) -> str:
    return "\n".join(text.splitlines()[-TAIL_LINES:])
