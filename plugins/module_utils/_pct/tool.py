# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What is done with a container through `pct`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from .._errors import CommandError, SocketNetworkError
from .._lxc import nic
from .._lxc.backend import STOPPED, Status
from .._lxc.spec import ContainerSpec, Source
from .._runner import Runner
from . import conf, store, wanted

STOP_SECONDS = 30
SETTLE = 20.0
"""Seconds that a guest may take to give eth0 the address that Proxmox has written into its files."""


class Pct:
    """One container by its id."""

    def __init__(self, vmid: str, runner: Runner) -> None:
        self._vmid = vmid
        self._runner = runner

    def status(self) -> Status:
        return parse_status(self._run("status", self._vmid, "--verbose", what="Reading"))

    def create(self, spec: ContainerSpec, source: Source, rootfs: str) -> None:
        """Make it from an archive, which `pct` takes by its path from root."""
        options = wanted.options(spec, source.identity)
        words = _words({key: value for key, value in options.items() if value is not None})
        fixed = ["--unprivileged", str(int(spec.unprivileged)), "--rootfs", rootfs]
        self._run("create", self._vmid, source.path, *words, *fixed, what="Creating")

    def set(self, options: Mapping[str, str], delete: Sequence[str] = (), revert: Sequence[str] = ()) -> None:
        words = _words(options)
        words += ["--delete", ",".join(delete)] if delete else []
        words += ["--revert", ",".join(revert)] if revert else []
        self._run("set", self._vmid, *words, what="Changing")

    def set_raw(self) -> None:
        """`pct` has no option for raw keys, and keeps those that are in the file."""
        store.edit(self._vmid, partial(conf.with_raw, wanted=wanted.RAW))

    def start(self, spec: ContainerSpec) -> None:
        """Start it, and wait for the guest's own network: a repair in its midst would make the guest's fail."""
        try:
            self._run("start", self._vmid, what="Starting")
        except CommandError as error:
            fix = f"see `pct start {self._vmid} --debug` and `journalctl -u pve-container@{self._vmid}`."
            raise SocketNetworkError(str(error), fix=fix) from error
        pid = self.status().pid  # 0 where high availability starts it later
        if pid and not settled(lambda: nic.found(pid) == nic.wanted(spec)):
            argv, stdin = nic.repair(spec, pid)
            self._runner.run(argv, stdin=stdin, what=f"Setting the address of container {self._vmid}")

    def stop(self) -> None:
        self._run("shutdown", self._vmid, "--timeout", str(STOP_SECONDS), "--forceStop", "1", what="Stopping")

    def destroy(self, purge: bool) -> None:
        """Delete it with its data; with ``purge`` from backup jobs and high availability too."""
        self._run("destroy", self._vmid, *(("--purge", "1") if purge else ()), what="Deleting")

    def _run(self, *words: str, what: str) -> str:
        return self._runner.run(["pct", *words], what=f"{what} container {self._vmid}").stdout


def parse_status(output: str) -> Status:
    """Read the lines ``key: value`` of ``pct status --verbose``."""
    pairs = dict(line.split(": ", 1) for line in output.splitlines() if ": " in line)
    pid = pairs.get("pid", "0")
    state = pairs.get("status", STOPPED).upper()
    return Status(state, int(pid) if pid.isdigit() else 0)


def settled(is_so: Callable[[], bool], timeout: float = SETTLE, pause: float = 0.25) -> bool:
    """Wait until it is so; False when it does not come about in time."""
    deadline = time.monotonic() + timeout
    while not is_so():
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
    return True


def _words(options: Mapping[str, str]) -> list[str]:
    return [word for key, value in sorted(options.items()) for word in (f"--{key}", value)]
