# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What a container manager has to offer to the module, and plain LXC's offer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from .._plan import Plan
from .._runner import Runner
from . import config, host, plan, port, sidecar
from . import found as finding
from .backend import LxcBackend, Status
from .drift import wanted_files
from .found import Found
from .plan import Wish
from .port import WantedPort
from .spec import ContainerSpec
from .unit import unit


@dataclass(frozen=True, slots=True)
class Seen:
    """What every container manager can tell about a container."""

    exists: bool
    is_ours: bool
    status: Status
    cgroup: str
    switch: port.Switch
    source: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A plan, whether it makes the container from its source, and what the operator should know."""

    plan: Plan
    creates: bool = False
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """What the module was asked for. ``missing`` are tools of the container manager that this host lacks."""

    params: Mapping[str, Any]
    runner: Runner
    missing: frozenset[str] = field(default_factory=frozenset)


class Container(Protocol):
    """One container as it was when the driver looked."""

    @property
    def seen(self) -> Seen:
        """What the module tells and decides by."""

    def present(self, spec: ContainerSpec, wish: Wish) -> Outcome:
        """How it becomes as in ``spec``. Refuses what is not ours and what nobody has consented to."""

    def absent(self, last: bool) -> Plan:
        """How it goes with its data; with the ``last`` of the host goes what they share."""


class Driver(Protocol):
    """A container manager."""

    name: str
    tools: tuple[str, ...]
    needs_bridge: bool
    """Whether a container can only be described where its bridge is."""

    def check(self, spec: ContainerSpec) -> None:
        """Refuse what this container manager cannot do."""

    def names(self) -> list[str]:
        """Our containers on this host."""

    def look(self, call: Call, name: str, spec: ContainerSpec | None = None) -> Container:
        """Read a container; without ``spec`` by what we have noted about it."""

    def port(self, spec: ContainerSpec) -> WantedPort:
        """Its port on the bridge."""

    def attach(self, spec: ContainerSpec) -> list[str]:
        """argv in front of a command that shall run in it."""

    def journal(self, spec: ContainerSpec) -> str:
        """Where to look when it does not start or stop."""


@dataclass(frozen=True, slots=True)
class LxcContainer:
    """A container of plain LXC."""

    call: Call
    name: str
    found: Found
    limits: config.Limits
    warnings: tuple[str, ...] = ()

    @property
    def seen(self) -> Seen:
        found = self.found
        return Seen(found.exists, found.is_ours, found.status, found.cgroup, found.switch, found.source)

    def present(self, spec: ContainerSpec, wish: Wish) -> Outcome:
        plan.refuse_foreign(self.name, spec.veth, self.found)
        steps, creates = plan.present(spec, self.found, self.limits, wish, self._tools)
        return Outcome(steps, creates, self.warnings)

    def absent(self, last: bool) -> Plan:
        plan.refuse_foreign_container(self.name, self.found)
        return plan.absent(self.name, self.found, last, self._tools)

    @property
    def _tools(self) -> plan.Tools:
        return plan.Tools(LxcBackend(self.call.runner), self.call.runner)


class LxcDriver:
    """Plain LXC."""

    name = "lxc"
    tools: tuple[str, ...] = ("lxc-info", "ovs-vsctl", "systemctl")
    needs_bridge = False

    def check(self, spec: ContainerSpec) -> None:
        """Whatever can be described can be made."""

    def names(self) -> list[str]:
        return sidecar.names()

    def look(self, call: Call, name: str, spec: ContainerSpec | None = None) -> LxcContainer:
        limits = config.Limits()
        warnings: tuple[str, ...] = ()
        if spec is not None:
            limits, warnings = host.limits(spec, host.cgroups(), call.params["missing_controllers"])
        veth = spec.veth if spec else str((sidecar.load(name) or {}).get("veth", ""))
        eyes = finding.Eyes(LxcBackend(call.runner), call.runner, call.missing)
        return LxcContainer(call, name, finding.look(name, veth, wanted_files(limits), eyes), limits, warnings)

    def port(self, spec: ContainerSpec) -> WantedPort:
        return port.wanted(spec)

    def attach(self, spec: ContainerSpec) -> list[str]:
        return ["lxc-attach", "--name", spec.name, "--clear-env", "--"]

    def journal(self, spec: ContainerSpec) -> str:
        return f"`journalctl -u {unit(spec.name)}` and /var/log/lxc/{spec.name}.log"
