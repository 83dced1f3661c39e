# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What proofs need of a host of the lab, be it a container of systemd-nspawn or a virtual machine."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol


class Node(Protocol):
    """See `lab.host.Host` and `lab.vm.machine.Machine` for what each method does."""

    @property
    def name(self) -> str: ...

    @property
    def log(self) -> Path: ...

    @property
    def is_running(self) -> bool: ...

    def boot(self, *, wait: bool = True) -> Node: ...

    def wait_until_up(self) -> None: ...

    def stop(self) -> None: ...

    def power_cut(self) -> None: ...

    def enter(self, *argv: str) -> list[str]: ...

    def watch(self, *argv: str) -> list[str]: ...

    def run(
        self, argv: Sequence[str] | str, *, data: str | None = None, check: bool = True, timeout: float = 60.0
    ) -> subprocess.CompletedProcess[str]: ...

    def put(self, content: str | bytes | Path, destination: str, mode: int = 0o644) -> None: ...

    def read(self, path: str) -> str: ...
