# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the lab keeps its things, and how it runs commands."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

CACHE = Path("/var/cache/socket-network-lab")
"""Root file systems, guest images and the Python environment: kept between runs."""

STATE = Path("/var/lib/socket-network-lab")
"""Overlays and ledgers of what runs now."""

RUN = Path("/run/socket-network-lab")
"""Keys, ssh configuration and locks."""

REPOSITORY = Path(__file__).resolve().parent.parent
COMMAND_TIMEOUT = 120.0


class LabError(Exception):
    """A step of the lab failed; the text says what to look at."""


def run(
    argv: Sequence[str],
    *,
    data: str | None = None,
    check: bool = True,
    timeout: float = COMMAND_TIMEOUT,
    env: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command on this machine. Raises LabError when it fails or takes longer than ``timeout`` seconds."""
    try:
        done = subprocess.run(
            list(argv),
            input=data,
            stdin=subprocess.DEVNULL if data is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise LabError(f"`{' '.join(argv)}` did not end within {timeout:g} s") from error
    if check and done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        raise LabError(f"`{' '.join(argv)}` failed with {done.returncode}: {said[-2000:]}")
    return done


def wait_for(what: str, condition: Callable[[], object], *, timeout: float = 30.0, interval: float = 0.05) -> None:
    """Return when ``condition`` is true; raises LabError when that takes longer than ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise LabError(f"waited {timeout:g} s in vain for {what}")
        time.sleep(interval)
