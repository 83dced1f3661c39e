# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What proofs need of a host of the lab, be it a container of systemd-nspawn or a virtual machine."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Protocol

from lab import base
from lab.base import LabError

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = ("env", "-i", f"PATH={PATH}", "HOME=/root", "LC_ALL=C.UTF-8")
"""In front of whatever runs on a host: nothing of this machine's environment goes there."""


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
        self, argv: Sequence[str] | str, *, data: str | None = None, check: bool = True, timeout: float | None = None
    ) -> subprocess.CompletedProcess[str]: ...

    def put(self, content: str | bytes | Path, destination: str, mode: int = 0o644) -> None: ...

    def read(self, path: str) -> str: ...


class Entered:
    """What follows from the way into a host."""

    name: str
    patience: ClassVar[float] = 60.0
    """Seconds that a command may take unless told otherwise."""

    def enter(self, *argv: str) -> list[str]:
        """The command line that runs ``argv`` on the host."""
        raise NotImplementedError

    def run(
        self, argv: Sequence[str] | str, *, data: str | None = None, check: bool = True, timeout: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command (a list, or a text for the shell) as root inside the host. Raises LabError when it fails."""
        words = ["sh", "-c", argv] if isinstance(argv, str) else list(argv)
        return base.run(
            self.enter(*words), data=data, check=check, timeout=self.patience if timeout is None else timeout
        )

    def put(self, content: str | bytes | Path, destination: str, mode: int = 0o644) -> None:
        """Write a file inside the host: a text, bytes, or a copy of a file of this machine."""
        data = content.read_bytes() if isinstance(content, Path) else content
        if isinstance(data, str):
            data = data.encode()
        script = f"umask 077; mkdir -p {shlex.quote(str(Path(destination).parent))} && cat > {shlex.quote(destination)}"
        command = f"{script} && chmod {mode:o} {shlex.quote(destination)}"
        done = subprocess.run(self.enter("sh", "-c", command), input=data, capture_output=True, timeout=60, check=False)
        if done.returncode != 0:
            raise LabError(f"writing {destination} on {self.name} failed: {done.stderr.decode(errors='replace')}")

    def read(self, path: str) -> str:
        return self.run(["cat", path]).stdout
