# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What is done with a container of plain LXC, by its command line tools."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .._errors import CommandError, RefusedError, SocketNetworkError
from .._runner import Runner
from . import rootfs
from .config import config_path, directory
from .spec import ContainerSpec, Source
from .unit import unit

STOPPED = "STOPPED"
PACKAGES = {
    "lxc-info": "lxc",
    "ovs-vsctl": "openvswitch-switch",
    "pct": "pve-container",
    "systemctl": "systemd",
}


@dataclass(frozen=True, slots=True)
class Status:
    """State in LXC's words; ``pid`` of the container's init on the host, 0 when it does not run."""

    state: str = STOPPED
    pid: int = 0

    @property
    def is_running(self) -> bool:
        return self.state != STOPPED and self.pid > 0


class LxcBackend:
    """Plain LXC under /var/lib/lxc, started by a systemd unit for each container."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def exists(self, name: str) -> bool:
        return os.path.lexists(directory(name))

    def config(self, name: str) -> str | None:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return Path(config_path(name)).read_text(encoding="utf-8", errors="surrogateescape")
        return None

    def status(self, name: str) -> Status:
        result = self._runner.run(
            ["lxc-info", "--name", name, "--state", "--pid", "--no-humanize"], what=f"Reading container {name}"
        )
        return parse_status(result.stdout)

    def stage(self, spec: ContainerSpec, source: Source, config: str) -> None:
        rootfs.stage(spec, source, config, self._runner)

    def install(self, name: str) -> None:
        rootfs.install(name, self._runner)

    def start(self, name: str) -> None:
        self._runner.run(["systemctl", "reset-failed", unit(name)], ok=(0, 1))
        try:
            self._runner.run(["systemctl", "start", unit(name)], what=f"Starting container {name}")
        except CommandError as error:
            message = f"{error} {_last_words(name)}".rstrip()
            raise SocketNetworkError(message, fix=f"see `journalctl -u {unit(name)}`.") from error

    def stop(self, name: str) -> None:
        self._runner.run(["systemctl", "stop", unit(name)], what=f"Stopping container {name}")
        if self.config(name) is not None and self.status(name).is_running:
            self._runner.run(["lxc-stop", "--name", name, "--timeout", "30"], what=f"Stopping container {name}")

    def destroy(self, name: str) -> None:
        rootfs.destroy(name, self._runner)

    def set_limit(self, name: str, file: str, text: str) -> None:
        argv = ["lxc-cgroup", "--name", name, file, text]
        self._runner.run(argv, what=f"Setting {file} of container {name}")


def parse_status(output: str) -> Status:
    """Read the lines of lxc-info, whose order differs between versions."""
    words = output.split()
    pid = next((int(word) for word in words if word.isdigit()), 0)
    return Status(next((word for word in words if word.isupper()), STOPPED), pid)


def missing_tools(tools: Sequence[str], which: Callable[[str], str | None] = shutil.which) -> list[str]:
    return [tool for tool in tools if which(tool) is None]


def require_tools(tools: Sequence[str]) -> None:
    if tools:
        packages = sorted({PACKAGES[tool] for tool in tools})
        raise RefusedError(
            f"{', '.join(tools)} not found on this host.", fix=f"install the packages {', '.join(packages)}."
        )


def _last_words(name: str) -> str:
    """The errors that LXC logged last."""
    try:
        lines = Path(f"/var/log/lxc/{name}.log").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    errors = [line.partition(" - ")[2] for line in lines if " ERROR " in line]
    return "LXC says: " + " | ".join(errors[-4:]) if errors else ""
