# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What the module offers: bring one container to a state, look at one, or list ours."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._errors import RefusedError, SocketNetworkError
from .._pct import store
from .._pct.driver import PctDriver
from .._plan import result_of
from .._runner import Runner
from . import driver, health, plan, rootfs, sidecar
from .backend import missing_tools, require_tools
from .driver import Container, Driver, LxcDriver, Seen
from .spec import ContainerSpec, check_name, container_spec

DATABASE = "/var/run/openvswitch/db.sock"


@dataclass(frozen=True, slots=True)
class Call:
    """How the module was called: its parameters, whether it may change anything, and what this host lacks."""

    params: Mapping[str, Any]
    check: bool
    runner: Runner
    driver: Driver
    missing: frozenset[str] = frozenset()


def chosen_driver(backend: str) -> Driver:
    """The container manager that ``backend`` names; with `auto` Proxmox' own where this is a Proxmox host."""
    if backend == "auto":
        # `su` leaves an ordinary user's PATH, and to take the host for one of plain LXC would install Debian's.
        path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
        backend = "pct" if os.path.isdir(store.PVE) and shutil.which("pct", path=path) else "lxc"
    return PctDriver() if backend == "pct" else LxcDriver()


def manage(params: Mapping[str, Any], check: bool, runner: Runner) -> dict[str, Any]:
    """Do what the parameters say. Returns the module's result; ``warnings`` are for the operator."""
    chosen = chosen_driver(params["backend"])
    call = Call(params, check, runner, chosen, frozenset(missing_tools(chosen.tools)))
    return {**_managed(call), "backend": chosen.name}


def _managed(call: Call) -> dict[str, Any]:
    state, name = call.params["state"], call.params["name"]
    if name:
        check_name(name)
    elif state != "queried":
        raise RefusedError(f"State {state} needs the name of a container.")
    if state == "queried":
        return _queried(call, name)
    if state == "absent":
        return _absent(call, name)
    spec = container_spec(call.params)
    call.driver.check(spec)
    _require_tools(call)
    return _present(call, spec)


def _present(call: Call, spec: ContainerSpec) -> dict[str, Any]:
    container = _look(call, spec.name, spec)
    wish = plan.Wish(_shall_run(call, spec), call.params["restart"] == "if_needed", call.params["recreate"])
    outcome = container.present(spec, wish)
    warnings = outcome.warnings
    bridge_counts = wish.run or call.driver.needs_bridge
    if not call.check and bridge_counts and spec.bridge not in container.seen.switch.bridges:
        raise RefusedError(
            f"Container {spec.name}: this host has no bridge {spec.bridge}.",
            fix="let the role socket_bridge run first.",
        )
    if outcome.creates:
        warnings += _checked_source(call, spec)
    result = result_of(outcome.plan, f"container {spec.name}", call.check)
    if outcome.plan.changed and not call.check:
        container = _look(call, spec.name, spec)
        _verify(call, spec, container.seen, wish.run)
    status = container.seen.status
    ask = wish.run and status.is_running and not (call.check and outcome.plan.changed)
    return {
        **result,
        "container": _told(call, spec, container.seen),
        "health": _health(call, spec, status.pid) if ask else {},
        "pending": [],
        "warnings": list(warnings),
    }


def _absent(call: Call, name: str) -> dict[str, Any]:
    container = _look(call, name)
    if container.seen.exists:
        _require_tools(call)
    last = not set(call.driver.names()) - {name}
    result = result_of(container.absent(last), f"container {name}", call.check)
    return {**result, "container": {"name": name, "state": "ABSENT"}, "health": {}, "pending": [], "warnings": []}


def _queried(call: Call, name: str | None) -> dict[str, Any]:
    containers = []
    for one in call.driver.names() if name is None else [name]:
        seen = _look(call, one).seen
        services = (sidecar.load(one) or {}).get("services", [])
        containers.append({**_state(one, seen), "services": services, "is_ours": seen.is_ours})
    result: dict[str, Any] = {"changed": False, "actions": [], "containers": containers, "pending": [], "warnings": []}
    return {**result, "container": containers[0]} if name is not None else result


def _require_tools(call: Call) -> None:
    """A host without the tools is empty in check mode; a run that would need them is refused."""
    if not call.check:
        require_tools(sorted(call.missing))


def _look(call: Call, name: str, spec: ContainerSpec | None = None) -> Container:
    """The container as found. Where nothing may be changed, a switch that does not run yet is an empty one."""
    blind = call.missing
    if (call.check or call.params["state"] == "queried") and not os.path.exists(DATABASE):
        blind |= {"ovs-vsctl"}
    return call.driver.look(driver.Call(call.params, call.runner, blind), name, spec)


def _shall_run(call: Call, spec: ContainerSpec) -> bool:
    return {"present": spec.running, "started": True, "stopped": False}[call.params["state"]]


def _checked_source(call: Call, spec: ContainerSpec) -> tuple[str, ...]:
    """Check mode may run before an earlier task has brought the image: that is worth a warning there."""
    if call.check and spec.source is not None and not Path(spec.source.path).exists():
        return (f"Container {spec.name}: {spec.source.path} is not on this host yet.",)
    rootfs.check_source(spec)
    return ()


def _verify(call: Call, spec: ContainerSpec, seen: Seen, run: bool) -> None:
    """What the tools have said they did must be so."""
    if seen.status.is_running != run:
        raise SocketNetworkError(
            f"Container {spec.name} is {seen.status.state} although it shall be {'running' if run else 'stopped'}.",
            fix=f"see {call.driver.journal(spec)}.",
        )
    have, want = seen.switch.port, call.driver.port(spec)
    if run and (have is None or have.bridge != want.bridge or have.error or have.ofport != want.ofport):
        found = f"bridge {have.bridge}, ofport {have.ofport}, error {have.error!r}" if have else "no such port"
        raise SocketNetworkError(
            f"Port {want.name} of container {spec.name} is not on bridge {want.bridge} as {want.ofport}: {found}.",
            fix="see `ovs-vsctl show`; another port may hold the number.",
        )


def _health(call: Call, spec: ContainerSpec, pid: int) -> dict[str, object]:
    """Probe patiently, and fail at the deadline; check mode takes one look."""
    timeout = 0.0 if call.check else float(call.params["health_timeout"])
    attach = call.driver.attach(spec)
    verdicts = health.probe(spec, pid, attach, call.runner, timeout)
    if not call.check and not all(verdict.healthy for verdict in verdicts):
        raise health.UnhealthyError(spec.name, verdicts, timeout, attach)
    return health.as_dict(verdicts)


def _told(call: Call, spec: ContainerSpec, seen: Seen) -> dict[str, Any]:
    """What the caller learns about the container."""
    return {
        **_state(spec.name, seen),
        "veth": spec.veth,
        "port": call.driver.port(spec).name,
        "bridge": spec.bridge,
        "mac": spec.mac,
        "ip": str(spec.address.ip),
        "autostart": spec.autostart,
    }


def _state(name: str, seen: Seen) -> dict[str, Any]:
    have = seen.switch.port
    return {
        "name": name,
        "state": seen.status.state if seen.exists else "ABSENT",
        "pid": seen.status.pid,
        "cgroup": seen.cgroup,
        "ofport": have.ofport if have else None,
        "source": seen.source,
    }
