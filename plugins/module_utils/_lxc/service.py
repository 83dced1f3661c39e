# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What the module offers: bring one container to a state, look at one, or list ours."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._errors import RefusedError, SocketNetworkError
from .._plan import result_of
from .._runner import Runner
from . import found as finding
from . import health, host, plan, rootfs, sidecar
from .backend import LxcBackend, missing_tools, require_tools
from .config import Limits
from .drift import wanted_files
from .found import Found
from .spec import ContainerSpec, check_name, container_spec
from .unit import unit

DATABASE = "/var/run/openvswitch/db.sock"
TOOLS = ("lxc-info", "ovs-vsctl", "systemctl")


@dataclass(frozen=True, slots=True)
class Call:
    """How the module was called: its parameters, whether it may change anything, and what this host lacks."""

    params: Mapping[str, Any]
    check: bool
    runner: Runner
    missing: frozenset[str] = frozenset()

    @property
    def backend(self) -> LxcBackend:
        return LxcBackend(self.runner)


def manage(params: Mapping[str, Any], check: bool, runner: Runner) -> dict[str, Any]:
    """Do what the parameters say. Returns the module's result; ``warnings`` are for the operator."""
    call = Call(params, check, runner, frozenset(missing_tools(TOOLS)))
    state, name = params["state"], params["name"]
    if name:
        check_name(name)
    elif state != "queried":
        raise RefusedError(f"State {state} needs the name of a container.")
    if state == "queried":
        return _queried(call, name)
    if state == "absent":
        return _absent(call, name)
    spec = container_spec(params)
    _require_tools(call)
    return _present(call, spec)


def _present(call: Call, spec: ContainerSpec) -> dict[str, Any]:
    limits, warnings = _limits(call, spec)
    found = _look(call, spec.name, spec.veth, limits)
    plan.refuse_foreign(spec.name, spec.veth, found)
    wish = plan.Wish(_shall_run(call, spec), call.params["restart"] == "if_needed", call.params["recreate"])
    plans, create = plan.present(spec, found, limits, wish, plan.Tools(call.backend, call.runner))
    if not call.check and wish.run and spec.bridge not in found.switch.bridges:
        raise RefusedError(
            f"Container {spec.name}: this host has no bridge {spec.bridge}.",
            fix="let the role socket_bridge run first.",
        )
    if create:
        warnings += _checked_source(call, spec)
    result = result_of(plans, f"container {spec.name}", call.check)
    if plans.changed and not call.check:
        found = _look(call, spec.name, spec.veth, limits)
        _verify(spec, found, wish.run)
    ask = wish.run and found.status.is_running and not (call.check and plans.changed)
    return {
        **result,
        "container": _told(spec, found),
        "health": _health(call, spec, found.status.pid) if ask else {},
        "pending": [],
        "warnings": list(warnings),
    }


def _absent(call: Call, name: str) -> dict[str, Any]:
    veth = _known_veth(name)
    found = _look(call, name, veth, Limits())
    plan.refuse_foreign_container(name, found)
    if found.exists:
        _require_tools(call)
    last = not set(sidecar.names()) - {name}
    tools = plan.Tools(call.backend, call.runner)
    result = result_of(plan.absent(name, found, last, tools), f"container {name}", call.check)
    return {**result, "container": {"name": name, "state": "ABSENT"}, "health": {}, "pending": [], "warnings": []}


def _queried(call: Call, name: str | None) -> dict[str, Any]:
    containers = []
    for one in sidecar.names() if name is None else [name]:
        found = _look(call, one, _known_veth(one), Limits())
        services = (sidecar.load(one) or {}).get("services", [])
        containers.append({**_state(one, found), "services": services, "is_ours": found.is_ours})
    result: dict[str, Any] = {"changed": False, "actions": [], "containers": containers, "pending": [], "warnings": []}
    return {**result, "container": containers[0]} if name is not None else result


def _require_tools(call: Call) -> None:
    """A host without the tools is empty in check mode; a run that would need them is refused."""
    if not call.check:
        require_tools(sorted(call.missing))


def _look(call: Call, name: str, veth: str, limits: Limits) -> Found:
    """The container as found. Where nothing may be changed, a switch that does not run yet is an empty one."""
    blind = call.missing
    if (call.check or call.params["state"] == "queried") and not os.path.exists(DATABASE):
        blind |= {"ovs-vsctl"}
    return finding.look(name, veth, wanted_files(limits), finding.Eyes(call.backend, call.runner, blind))


def _known_veth(name: str) -> str:
    return str((sidecar.load(name) or {}).get("veth", ""))


def _limits(call: Call, spec: ContainerSpec) -> tuple[Limits, tuple[str, ...]]:
    return host.limits(spec, host.cgroups(), call.params["missing_controllers"])


def _shall_run(call: Call, spec: ContainerSpec) -> bool:
    return {"present": spec.running, "started": True, "stopped": False}[call.params["state"]]


def _checked_source(call: Call, spec: ContainerSpec) -> tuple[str, ...]:
    """Check mode may run before an earlier task has brought the image: that is worth a warning there."""
    if call.check and spec.source is not None and not Path(spec.source.path).exists():
        return (f"Container {spec.name}: {spec.source.path} is not on this host yet.",)
    rootfs.check_source(spec)
    return ()


def _verify(spec: ContainerSpec, found: Found, run: bool) -> None:
    """What the tools have said they did must be so."""
    if found.status.is_running != run:
        raise SocketNetworkError(
            f"Container {spec.name} is {found.status.state} although it shall be {'running' if run else 'stopped'}.",
            fix=f"see `journalctl -u {unit(spec.name)}` and /var/log/lxc/{spec.name}.log.",
        )
    have = found.switch.port
    if run and (have is None or have.bridge != spec.bridge or have.error or have.ofport != spec.ofport):
        seen = f"bridge {have.bridge}, ofport {have.ofport}, error {have.error!r}" if have else "no such port"
        raise SocketNetworkError(
            f"Port {spec.veth} of container {spec.name} is not on bridge {spec.bridge} as {spec.ofport}: {seen}.",
            fix="see `ovs-vsctl show`; another port may hold the number.",
        )


def _health(call: Call, spec: ContainerSpec, pid: int) -> dict[str, object]:
    """Probe patiently, and fail at the deadline; check mode takes one look."""
    timeout = 0.0 if call.check else float(call.params["health_timeout"])
    verdicts = health.probe(spec, pid, call.runner, timeout)
    if not call.check and not all(verdict.healthy for verdict in verdicts):
        raise health.UnhealthyError(spec.name, verdicts, timeout)
    return health.as_dict(verdicts)


def _told(spec: ContainerSpec, found: Found) -> dict[str, Any]:
    """What the caller learns about the container."""
    return {
        **_state(spec.name, found),
        "veth": spec.veth,
        "bridge": spec.bridge,
        "mac": spec.mac,
        "ip": str(spec.address.ip),
        "autostart": spec.autostart,
    }


def _state(name: str, found: Found) -> dict[str, Any]:
    have = found.switch.port
    return {
        "name": name,
        "state": found.status.state if found.exists else "ABSENT",
        "pid": found.status.pid,
        "cgroup": found.cgroup,
        "ofport": have.ofport if have else None,
        "source": found.source,
    }
