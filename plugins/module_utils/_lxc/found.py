# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What is there: one container with its port, read with two processes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .._runner import Runner
from . import config, nic, port, sidecar
from .backend import LxcBackend, Status
from .host import CGROUPS
from .unit import boot_link


@dataclass(frozen=True, slots=True)
class Found:
    """One container as found. ``config`` is None when LXC knows no container of this name."""

    exists: bool = False
    config: str | None = None
    has_sidecar: bool = False
    source: str | None = None
    unprivileged: bool | None = None
    """Whether the root file system belongs to shifted users; None when there is none."""
    status: Status = field(default_factory=Status)
    cgroup: str = ""
    limits: Mapping[str, str] = field(default_factory=dict)
    nic: nic.Nic | None = None
    switch: port.Switch = field(default_factory=port.Switch)
    hears_ipv6: bool = False
    autostart: bool = False

    @property
    def is_ours(self) -> bool:
        return self.has_sidecar or (self.config is not None and config.is_marked(self.config))


@dataclass(frozen=True, slots=True)
class Eyes:
    """What the reading is done with; ``missing`` are tools that this host does not have (yet)."""

    backend: LxcBackend
    runner: Runner
    missing: frozenset[str] = frozenset()


def look(name: str, veth: str, limits: Iterable[str], eyes: Eyes) -> Found:
    """Read the container ``name``, its port ``veth`` ("" = none) and the files ``limits`` of its cgroup."""
    backend = eyes.backend
    text = backend.config(name)
    known = sidecar.load(name)
    status = backend.status(name) if text is not None and "lxc-info" not in eyes.missing else Status()
    path = cgroup_path(status.pid) if status.is_running else ""
    return Found(
        exists=backend.exists(name),
        config=text,
        has_sidecar=known is not None,
        source=(config.source_of(text) if text else None) or (known or {}).get("source"),
        unprivileged=_is_shifted(config.rootfs_path(name)),
        status=status,
        cgroup=path,
        limits=_live(path, limits) if path else {},
        nic=nic.found(status.pid) if status.is_running else None,
        switch=read_switch(veth, eyes.runner, eyes.missing),
        hears_ipv6=port.hears_ipv6(veth),
        autostart=os.path.lexists(boot_link(name)),
    )


def read_switch(name: str, runner: Runner, missing: frozenset[str]) -> port.Switch:
    """The bridges, and the port ``name``; nothing without a name, or where the tool is missing."""
    if not name or "ovs-vsctl" in missing:
        return port.Switch()
    return port.switch(runner.run(port.query(name), what=f"Reading port {name}").stdout)


def _is_shifted(root: str) -> bool | None:
    try:
        return config.FIRST_ID <= os.lstat(root).st_uid < config.FIRST_ID + config.IDS
    except OSError:
        return None


def cgroup_path(pid: int) -> str:
    """The container's cgroup v2 directory, from the line of its init; "" when the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    own = next((line[3:] for line in lines if line.startswith("0::")), "")
    parts = own.split("/")
    top = next((index for index, part in enumerate(parts) if part.startswith("lxc.payload")), None)
    return CGROUPS + ("/".join(parts[: top + 1]) if top is not None else own)


def _live(path: str, names: Iterable[str]) -> dict[str, str]:
    values = {}
    for name in names:
        try:
            values[name] = Path(path, name).read_text(encoding="ascii").strip()
        except OSError:
            continue
    return values
