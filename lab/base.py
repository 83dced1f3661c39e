# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the lab keeps its things, and how it runs commands."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

CACHE = Path(os.environ.get("SOCKET_NETWORK_CACHE", "/var/cache/socket-network-lab"))
"""Root file systems, guest images and the Python environment: kept between runs."""

STATE = Path("/var/lib/socket-network-lab")
"""Overlays and ledgers of what runs now."""

RUN = Path("/run/socket-network-lab")
"""Keys, ssh configuration and locks."""

REPOSITORY = Path(__file__).resolve().parent.parent
COMMAND_TIMEOUT = 120.0


class LabError(Exception):
    """A step of the lab failed; the text says what to look at."""


class _Commands:
    """Commands that run now, in any thread, so that an interruption can end them all."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[str]] = set()
        self._interrupted = threading.Event()

    def begin(self, process: subprocess.Popen[str]) -> None:
        self._running.add(process)

    def end(self, process: subprocess.Popen[str]) -> None:
        self._running.discard(process)

    def check(self) -> None:
        if self._interrupted.is_set():
            raise LabError("interrupted")

    def interrupt(self) -> None:
        """End what runs and refuse to start more, until `resume`."""
        self._interrupted.set()
        for process in list(self._running):
            _signal(process, signal.SIGTERM)

    def resume(self) -> None:
        self._interrupted.clear()


def _signal(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """To its whole process group where it leads one."""
    with contextlib.suppress(ProcessLookupError):
        if os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)


COMMANDS = _Commands()


def run(
    argv: Sequence[str],
    *,
    data: str | None = None,
    check: bool = True,
    timeout: float = COMMAND_TIMEOUT,
    env: dict[str, str] | None = None,
    group: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run a command on this machine. Raises LabError when it fails or takes longer than ``timeout`` seconds.

    ``group``: all that it started ends with it, for commands that leave their children running when they are ended.
    """
    COMMANDS.check()
    process = subprocess.Popen(
        list(argv),
        stdin=subprocess.DEVNULL if data is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})},
        start_new_session=group,
    )
    COMMANDS.begin(process)
    try:
        output, complaints = process.communicate(data, timeout)
    except subprocess.TimeoutExpired as error:
        raise LabError(f"`{' '.join(argv)}` did not end within {timeout:g} s") from error
    finally:
        COMMANDS.end(process)
        if process.poll() is None:
            _signal(process, signal.SIGKILL)
            process.wait()
    if check and process.returncode != 0:
        said = (complaints or output).strip()
        raise LabError(f"`{' '.join(argv)}` failed with {process.returncode}: {said[-2000:]}")
    return subprocess.CompletedProcess(list(argv), process.returncode, output, complaints)


def wait_for(what: str, condition: Callable[[], object], *, timeout: float = 30.0, interval: float = 0.05) -> None:
    """Return when ``condition`` is true; raises LabError when that takes longer than ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        COMMANDS.check()
        if time.monotonic() > deadline:
            raise LabError(f"waited {timeout:g} s in vain for {what}")
        time.sleep(interval)
