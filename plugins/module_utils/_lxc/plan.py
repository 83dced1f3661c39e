# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""From what is found to what is wanted, as steps whose order survives being killed between any two of them.

A running container is stopped before its configuration is replaced: a file that is up to date means a container
that runs with it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from .._errors import RefusedError
from .._files import plan_files, write_atomic
from .._plan import Plan, Step, combine
from .._runner import Runner
from . import config, guest, host, nic, port, sidecar, unit
from .backend import LxcBackend
from .drift import LIVE, RECREATE, RESTART, ConsentError, Drift, drifts, wanted_files
from .found import Found
from .spec import ContainerSpec


@dataclass(frozen=True, slots=True)
class Wish:
    """What the caller wants of the container beyond its spec, and what it consents to."""

    run: bool
    restart: bool = False
    recreate: bool = False


@dataclass(frozen=True, slots=True)
class Tools:
    """What the steps are taken with."""

    backend: LxcBackend
    runner: Runner


def refuse_foreign_container(name: str, found: Found) -> None:
    if found.exists and not found.is_ours:
        raise RefusedError(
            f"{config.directory(name)} exists and does not carry the mark of this collection; it is not touched.",
            fix="give the container another name, or remove the foreign one with lxc-destroy.",
        )


def refuse_foreign(name: str, veth: str, found: Found) -> None:
    """Refuse a container, or a port on the switch, that somebody else has made."""
    refuse_foreign_container(name, found)
    mine = found.status.is_running and f"lxc.net.0.veth.pair = {veth}" in (found.config or "").splitlines()
    if not mine:
        refuse_foreign_port(name, veth, found.switch.port)


def refuse_foreign_port(name: str, device: str, have: port.FoundPort | None, instead: str = "use another veth") -> None:
    if have is None:
        return
    owner = have.external_ids.get("op-dbus-owner", "")
    holder = have.external_ids.get("container", "")
    if owner != port.OWNER or holder != name:
        whose = f"container {holder}" if owner == port.OWNER else (owner or "somebody else")
        raise RefusedError(
            f"Port {device} on bridge {have.bridge or '(none)'} belongs to {whose}, not to container {name}.",
            fix=f"{instead}, or remove the port with `ovs-vsctl del-port {device}`.",
        )


def present(spec: ContainerSpec, found: Found, limits: config.Limits, wish: Wish, tools: Tools) -> tuple[Plan, bool]:
    """Plan that makes the container as in ``spec``, and whether it will be made from its source."""
    name, running = spec.name, found.status.is_running
    current = config.render(spec, limits, found.source or "unknown")
    differing = drifts(spec, found, current, limits) if found.exists else []
    kinds = {drift.kind for drift in differing}
    ask_consent(name, differing, running and wish.run, wish)
    create = not found.exists or RECREATE in kinds
    stop = running and (create or RESTART in kinds or not wish.run)
    start = wish.run and (stop or not running)
    source = spec.source.identity if create and spec.source else (found.source or "unknown")
    text = config.render(spec, limits, source)

    parts = [_shared(tools.runner)]
    if spec.unprivileged:
        parts.append(plan_files(host.subordinate_ids()))
    if create and spec.source:
        reason = "create" if not found.exists else "recreate"
        words = f"{reason} the root file system of {name} from {spec.source.path}"
        parts.append(_one(words, partial(tools.backend.stage, spec, spec.source, text)))
    if stop:
        parts.append(_one(f"stop container {name}", partial(tools.backend.stop, name)))
    parts.append(plan_files(sidecar.files(spec, source)))
    if create:
        parts.append(_one(f"install container {name}", partial(tools.backend.install, name)))
    else:
        parts.append(_config_step(name, differing, text))
        parts.append(guest.plan_guest(spec, config.rootfs_path(name)))
    if running and not stop:
        parts.append(_live(spec, found, differing, limits, tools))
    if not running and found.switch.port is not None and not start:
        parts.append(unplug(spec.veth, tools.runner))
    parts.append(_autostart(spec, found, tools.runner))
    if start:
        parts.append(_one(f"start container {name}", partial(tools.backend.start, name)))
    return _told(combine(parts), found, text, wish.run), create


def absent(name: str, found: Found, last: bool, tools: Tools) -> Plan:
    """Plan that removes the container with its data; with the ``last`` of the host goes what they share."""
    parts = []
    if found.status.is_running:
        parts.append(_one(f"stop container {name}", partial(tools.backend.stop, name)))
    if found.autostart:
        parts.append(_one(f"disable start of {name} at boot", partial(_systemctl, tools.runner, "disable", name)))
    if found.exists:
        parts.append(_one(f"delete container {name} with its data", partial(tools.backend.destroy, name)))
    held = found.switch.port
    if held is not None and not found.status.is_running and held.external_ids.get("container") == name:
        parts.append(unplug(_veth(found), tools.runner))
    parts.append(plan_files([], absent=[sidecar.json_path(name), sidecar.settings_path(name)]))
    if last:
        parts.append(_shared_gone(tools.runner))
    plan = combine(parts)
    before = (found.config or "") + plan.before
    return Plan(plan.steps, before, plan.after)


def ask_consent(name: str, differing: Sequence[Drift], interrupts: bool, wish: Wish) -> None:
    """Refuse what the differences cost where ``wish`` does not consent to it."""
    kinds = {drift.kind for drift in differing}
    if RECREATE in kinds and not wish.recreate:
        raise ConsentError(name, RECREATE, differing)
    if RESTART in kinds and interrupts and not wish.restart and RECREATE not in kinds:
        raise ConsentError(name, RESTART, differing)


def _config_step(name: str, differing: Sequence[Drift], text: str) -> Plan:
    changed = [drift for drift in differing if drift.part == "config"]
    if not changed:
        return Plan()
    words = "; ".join(drift.what for drift in changed)
    return _one(f"configure {name}: {words}", partial(write_atomic, config.config_path(name), text))


def _live(spec: ContainerSpec, found: Found, differing: Sequence[Drift], limits: config.Limits, tools: Tools) -> Plan:
    """What is set on a container while it runs."""
    live = [drift for drift in differing if drift.kind == LIVE]
    plans = []
    wanted = wanted_files(limits)
    for drift in (drift for drift in live if drift.part == "limits"):
        file = drift.what.split()[1]
        plans.append(_one(f"set {drift.what}", partial(tools.backend.set_limit, spec.name, file, wanted[file])))
    parts = {drift.part: drift.what for drift in live}
    if "plug" in parts:
        argv = port.run_script(spec, found.status.pid)
        plans.append(_one(f"plug {spec.veth} into {spec.bridge}: {parts['plug']}", partial(_run, tools.runner, argv)))
    elif "port" in parts:
        words = "; ".join(drift.what for drift in live if drift.part == "port")
        plans.append(_one(f"set {words}", partial(_run, tools.runner, port.set_port(port.wanted(spec)))))
    if "nic" in parts:
        argv, stdin = nic.repair(spec, found.status.pid)
        plans.append(_one(f"repair network of {spec.name}: {parts['nic']}", partial(_run, tools.runner, argv, stdin)))
    return combine(plans)


def _shared(runner: Runner) -> Plan:
    """Script and unit of all containers; systemd is told when its unit has changed."""
    plan = plan_files(unit.shared_files())
    return plan + _reload(plan, runner)


def _shared_gone(runner: Runner) -> Plan:
    """With the last container go script, unit, guard and the directories that are empty then."""
    plan = plan_files([], absent=[file.path for file in unit.shared_files()])
    if not plan.changed:
        return plan
    empty = f"add table netdev {port.GUARD}\ndelete table netdev {port.GUARD}\n"
    plan += _one(f"remove the table netdev {port.GUARD}", partial(_run, runner, ["nft", "-f", "-"], empty))
    plan += _one("remove empty directories", remove_directories)
    return plan + _reload(plan, runner)


def _reload(plan: Plan, runner: Runner) -> Plan:
    if not any(unit.TEMPLATE in action for action in plan.actions):
        return Plan()
    return _one("reload systemd", partial(_run, runner, ["systemctl", "daemon-reload"]))


def remove_directories() -> None:
    for directory in (port.SIDECARS, os.path.dirname(port.SIDECARS), os.path.dirname(config.PORT_SCRIPT)):
        with contextlib.suppress(OSError):
            os.rmdir(directory)


def _autostart(spec: ContainerSpec, found: Found, runner: Runner) -> Plan:
    if spec.autostart == found.autostart:
        return Plan()
    verb = "enable" if spec.autostart else "disable"
    return _one(f"{verb} start of {spec.name} at boot", partial(_systemctl, runner, verb, spec.name))


def unplug(device: str, runner: Runner) -> Plan:
    argv = ["ovs-vsctl", "--timeout=20", "--if-exists", "del-port", device]
    return _one(f"remove the stale port {device}", partial(_run, runner, argv))


def _told(plan: Plan, found: Found, text: str, run: bool) -> Plan:
    """The plan with the whole configuration and the state in its diff, where anything changes."""
    if not plan.changed:
        return plan
    state = "RUNNING" if run else "STOPPED"
    have = found.status.state if found.exists else "ABSENT"
    before = f"state = {have}\n{found.config or ''}{port.port_text(found.switch.port)}{plan.before}"
    return Plan(plan.steps, before, f"state = {state}\n{text}{plan.after}")


def _veth(found: Found) -> str:
    pairs = config.values(config.parse(found.config or ""), "lxc.net.0.veth.pair")
    return pairs[0] if pairs else ""


def _systemctl(runner: Runner, verb: str, name: str) -> None:
    runner.run(["systemctl", verb, "--quiet", unit.unit(name)], what=f"{verb.capitalize()} of {unit.unit(name)}")


def _run(runner: Runner, argv: Sequence[str], stdin: str | None = None) -> None:
    runner.run(argv, stdin=stdin)


def _one(action: str, apply: Callable[[], None]) -> Plan:
    return Plan((Step(action, apply),))
