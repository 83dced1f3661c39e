# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Proxmox' files of its containers: reading them, and the one change that `pct` has no option for."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from .._errors import RefusedError, SocketNetworkError
from . import conf
from .conf import Conf

PVE = "/etc/pve"
LOCKS = "/run/lock/lxc"
PATIENCE = 10.0
"""Seconds that Proxmox itself waits for the lock of a container's file."""


def path(vmid: str) -> str:
    return f"{PVE}/lxc/{vmid}.conf"


def load(vmid: str) -> Conf | None:
    """The container's file on this node; None when there is none."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return conf.parse(Path(path(vmid)).read_text(encoding="utf-8", errors="surrogateescape"))
    _refuse_unmounted()
    return None


def containers() -> Iterator[tuple[str, Conf]]:
    """All containers of this node by id."""
    _refuse_unmounted()
    for file in sorted(Path(PVE, "lxc").glob("*.conf")):
        found = load(file.stem)
        if found is not None:
            yield file.stem, found


def holder(vmid: str) -> str:
    """Who has the id in the cluster, in words; "" when it is free or the list cannot be read."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        guest = json.loads(Path(PVE, ".vmlist").read_text(encoding="utf-8"))["ids"][vmid]
        kind = {"lxc": "a container", "qemu": "a virtual machine"}[guest["type"]]
        return f"{kind} on node {guest['node']}"
    return ""


def edit(vmid: str, change: Callable[[str], str]) -> None:
    """Replace the file's text under Proxmox' own lock, so that no change of anybody else's gets lost."""
    try:
        with _locked(vmid):
            have = Path(path(vmid)).read_text(encoding="utf-8", errors="surrogateescape")
            want = change(have)
            if want != have:
                _replace(path(vmid), want)
    except OSError as error:
        raise SocketNetworkError(
            f"Container {vmid}: {path(vmid)} cannot be changed: {error.strerror}.",
            fix="see `pvecm status` (without a quorum nothing can be written there), then run again.",
        ) from error


def _replace(name: str, text: str) -> None:
    """As Proxmox does: its file system knows rename, but neither modes of one's own choice nor links."""
    temporary = Path(f"{name}.tmp.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape")
        temporary.rename(name)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _refuse_unmounted() -> None:
    """Without its file system nothing is known of a node's containers, which is not the same as having none."""
    if Path(PVE).is_dir() and not Path(PVE, ".vmlist").exists():
        raise RefusedError(
            f"Proxmox' file system is not mounted at {PVE}, so its containers are not known; nothing was changed.",
            fix="see `systemctl status pve-cluster`.",
        )


@contextlib.contextmanager
def _locked(vmid: str) -> Iterator[None]:
    Path(LOCKS).mkdir(parents=True, exist_ok=True)
    name = f"{LOCKS}/pve-config-{vmid}.lock"
    deadline = time.monotonic() + PATIENCE
    with open(name, "a", encoding="ascii") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise SocketNetworkError(
                        f"Container {vmid}: {name} is held by another task of Proxmox for {PATIENCE:g} s.",
                        fix="wait for the task that the node's task list shows, then run again.",
                    ) from None
                time.sleep(0.1)
        yield
