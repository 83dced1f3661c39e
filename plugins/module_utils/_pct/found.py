# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""A container as it is found on a Proxmox host."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .._lxc import config, nic, sidecar
from .._lxc.backend import LxcBackend, Status
from .._lxc.found import read_switch
from .._lxc.host import CGROUPS
from .._lxc.port import Switch, hears_ipv6
from .._lxc.spec import ContainerSpec
from .._runner import Runner
from . import port, store, wanted
from .conf import Conf
from .tool import Pct


@dataclass(frozen=True, slots=True)
class Found:
    """``conf`` is None when this node has no such container. ``holder`` says who else in the cluster has its id."""

    vmid: str
    conf: Conf | None = None
    sidecar: Mapping[str, Any] = field(default_factory=dict)
    holder: str = ""
    status: Status = field(default_factory=Status)
    nic: nic.Nic | None = None
    switch: Switch = field(default_factory=Switch)
    hears_ipv6: bool = False
    bridge_mtu: int | None = None
    is_plain: bool = False
    """Whether plain LXC on this host has the container, from a time when the backend was another."""

    @property
    def exists(self) -> bool:
        return self.conf is not None

    @property
    def hostname(self) -> str:
        return self.conf.options.get("hostname", "") if self.conf else ""

    @property
    def noted(self) -> str:
        """The id that our description of a container of this name has; "" without one."""
        return str(self.sidecar.get("id", ""))

    @property
    def is_ours(self) -> bool:
        """One of two marks is enough: people edit notes, and descriptions get lost with a disk."""
        if self.conf is None:
            return False
        is_noted = self.noted == self.vmid and self.sidecar["name"] == self.hostname
        return is_noted or wanted.is_marked(self.vmid, self.conf)

    @property
    def source(self) -> str | None:
        noted = self.sidecar.get("source")
        return (wanted.source_of(self.conf) if self.conf else None) or (str(noted) if noted else None)

    @property
    def cgroup(self) -> str:
        path = f"{CGROUPS}/lxc/{self.vmid}"
        return path if self.status.is_running and os.path.isdir(path) else ""


def look(name: str, spec: ContainerSpec | None, runner: Runner, missing: frozenset[str]) -> Found:
    """Read the container ``name``, whose id is that of ``spec``, else the one that is noted for it."""
    known = sidecar.load(name) or {}
    vmid = spec.id if spec else str(known.get("id") or _marked().get(name, ""))
    if not vmid:
        return Found("", is_plain=_is_plain(name, runner))
    conf = store.load(vmid)
    status = Pct(vmid, runner).status() if conf is not None and "pct" not in missing else Status()
    device = port.device(vmid)
    return Found(
        vmid=vmid,
        conf=conf,
        sidecar=known,
        holder="" if conf is not None else store.holder(vmid),
        status=status,
        nic=nic.found(status.pid) if status.is_running else None,
        switch=read_switch(device, runner, missing),
        hears_ipv6=hears_ipv6(device),
        bridge_mtu=port.bridge_mtu(spec.bridge) if spec else None,
        is_plain=_is_plain(name, runner),
    )


def names() -> list[str]:
    """Our containers on this node: those described here, and those that carry the mark."""
    return sorted({*sidecar.names(), *_marked()})


def _is_plain(name: str, runner: Runner) -> bool:
    text = LxcBackend(runner).config(name)
    return text is not None and config.is_marked(text)


def _marked() -> dict[str, str]:
    """Ids of the containers with our mark, by host name. One that is described here has our name, whatever its own."""
    described = {str(known["id"]) for name in sidecar.names() if (known := sidecar.load(name))}
    marked = (one for one in store.containers() if wanted.is_marked(*one) and one[0] not in described)
    return {conf.options["hostname"]: vmid for vmid, conf in marked if "hostname" in conf.options}
