# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Proxmox as a container manager of the module."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .._errors import RefusedError
from .._lxc.driver import Call, Outcome, Seen
from .._lxc.plan import Wish
from .._lxc.port import WantedPort
from .._lxc.spec import ContainerSpec
from .._plan import Plan
from . import found as finding
from . import plan, port
from .found import Found

_VMID = re.compile(r"[1-9][0-9]{2,8}")


@dataclass(frozen=True, slots=True)
class PctContainer:
    """A container of Proxmox."""

    call: Call
    name: str
    found: Found

    @property
    def seen(self) -> Seen:
        found = self.found
        return Seen(found.exists, found.is_ours, found.status, found.cgroup, found.switch, found.source)

    def present(self, spec: ContainerSpec, wish: Wish) -> Outcome:
        rootfs = f"{self.call.params['storage']}:{self.call.params['disk']}"
        return Outcome(*plan.present(spec, self.found, wish, self.call.runner, rootfs))

    def absent(self, last: bool) -> Plan:
        return plan.absent(self.name, self.found, last, self.call.runner)


class PctDriver:
    """Proxmox, by its command line tool."""

    name = "pct"
    tools: tuple[str, ...] = ("ovs-vsctl", "pct")
    needs_bridge = True

    def check(self, spec: ContainerSpec) -> None:
        if not _VMID.fullmatch(spec.id):
            raise RefusedError(
                f"Container {spec.name}: id {spec.id!r} cannot be one of Proxmox, which numbers its guests from 100 to "
                "999999999.",
                fix="give the container such a number that is free in the cluster.",
            )
        if spec.source is not None and not spec.source.sha256:
            raise RefusedError(
                f"Container {spec.name}: Proxmox makes containers of archives only, not of tree {spec.source.path}.",
                fix="pack it (`tar --numeric-owner -C TREE -cf IMAGE.tar .`) and give image: {path, sha256}.",
            )

    def names(self) -> list[str]:
        return finding.names()

    def look(self, call: Call, name: str, spec: ContainerSpec | None = None) -> PctContainer:
        return PctContainer(call, name, finding.look(name, spec, call.runner, call.missing))

    def port(self, spec: ContainerSpec) -> WantedPort:
        return port.wanted(spec)

    def attach(self, spec: ContainerSpec) -> list[str]:
        return ["pct", "exec", spec.id, "--"]

    def journal(self, spec: ContainerSpec) -> str:
        return f"`journalctl -u pve-container@{spec.id}` and `pct start {spec.id} --debug`"
