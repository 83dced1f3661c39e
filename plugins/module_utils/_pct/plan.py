# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""From what is found on a Proxmox host to what is wanted, as steps in an order that survives being killed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from .._errors import RefusedError
from .._files import FileSpec, plan_files
from .._lxc import nic, sidecar
from .._lxc.drift import LIVE, RECREATE, RESTART, Drift
from .._lxc.plan import Wish, ask_consent, refuse_foreign_port, remove_directories, unplug
from .._lxc.port import port_text, set_port
from .._lxc.spec import ContainerSpec, Source
from .._plan import Plan, Step, combine
from .._runner import Runner
from . import conf, drift, port, wanted
from .conf import Conf
from .found import Found
from .tool import Pct

SHARED = FileSpec(wanted.PORT_SCRIPT, port.SCRIPT, 0o755)


def refuse_foreign(name: str, found: Found) -> None:
    """Refuse an id that anybody else has, or has had us note for another container."""
    vmid = found.vmid
    if found.is_plain:
        raise RefusedError(
            f"Container {name} is one of plain LXC on this host, not of Proxmox.",
            fix="leave it there with lxc_service_backend: lxc, or delete it so with its data first (state: absent).",
        )
    if found.noted not in ("", vmid):
        raise RefusedError(
            f"Container {name} has id {found.noted} on this host, not {vmid}.",
            fix=f"give it id {found.noted} again, or delete it with its data first (state: absent).",
        )
    if found.holder:
        moved = f" If it is {name} itself, bring it back to this node." if found.noted else ""
        raise RefusedError(f"Id {vmid} is taken: {found.holder} has it.", fix=f"give {name} another id.{moved}")
    if found.conf is None:
        return
    if not found.is_ours:
        locked = f" It is locked ({found.conf.lock})." if found.conf.lock else ""
        raise RefusedError(
            f"Container {vmid} ({found.hostname or 'without a name'}) exists and does not carry the mark of this "
            f"collection; it is not touched.{locked}",
            fix=_fix_foreign(name, found, found.conf.lock),
        )
    if found.hostname != name and not found.noted:
        raise RefusedError(
            f"Container {vmid} is {found.hostname} of this collection, not {name}.",
            fix=f"give container {name} another id, or delete {found.hostname} with its data first (state: absent).",
        )


def _fix_foreign(name: str, found: Found, lock: str) -> str:
    """Proxmox forgets a container's name and notes while it makes or destroys it."""
    if lock in ("create", "destroyed"):
        return (
            "wait until its task has ended; when the task list shows none any more, a broken one has left it: "
            f"`pct unlock {found.vmid}`, then `pct destroy {found.vmid} --destroy-unreferenced-disks 1`."
        )
    if found.noted:
        return (
            f"when it is {name}, write the line {wanted.mark(found.vmid)} into its notes; when it is somebody else's, "
            f"{name} is gone: delete {sidecar.json_path(name)} and give {name} another id."
        )
    return f"give {name} another id, or remove the foreign one with `pct destroy {found.vmid}`."


def present(spec: ContainerSpec, found: Found, wish: Wish, runner: Runner, rootfs: str) -> tuple[Plan, bool]:
    """Plan that makes the container as in ``spec``, and whether it will be made from its source."""
    refuse_foreign(spec.name, found)
    _refuse_port(spec, found)
    pct, running = Pct(spec.id, runner), found.status.is_running
    differing = drift.drifts(spec, found) if found.exists else drift.bridge_drifts(spec, found)
    kinds = {one.kind for one in differing}
    ask_consent(spec.name, differing, running and wish.run, wish)
    create = not found.exists or RECREATE in kinds
    stop = running and (create or RESTART in kinds or not wish.run)
    start = wish.run and (stop or not running)
    source = spec.source.identity if create and spec.source else (found.source or "unknown")

    parts = [plan_files([SHARED])]
    parts += [_raise_mtu(spec, one, runner) for one in differing if one.part == "bridge"]
    if stop:
        parts.append(_one(f"stop container {spec.name}", pct.stop))
    if create and spec.source:
        parts.append(_create(spec, spec.source, found, pct, rootfs))
    parts.append(plan_files(_sidecars(spec, source)))
    raw = [one.what for one in differing if one.part == "raw"]
    if create or raw:
        parts.append(_one(f"write raw keys of {spec.name}: {'; '.join(raw) or 'our port script'}", pct.set_raw))
    options = Plan() if create else _set(spec, found, differing, stop, pct)
    parts.append(options)
    if running and not stop:
        parts.append(_live(spec, found, differing, runner))
    if not running and found.switch.port is not None and not start:
        parts.append(unplug(port.device(spec.id), runner))
    if start:
        parts.append(_one(f"start container {spec.name}", partial(pct.start, spec)))
    if create or stop or start or raw or options.changed:
        _refuse_locked(found, create)
    plan = combine(parts)
    after = _wanted_conf(spec, Conf() if create else found.conf or Conf(), source)
    return _told(plan, found, after, wish.run), create


def absent(name: str, found: Found, last: bool, runner: Runner) -> Plan:
    """Plan that removes the container with its data; with the ``last`` of the host goes the script."""
    pct, parts = Pct(found.vmid, runner), []
    if found.exists or found.is_plain:
        refuse_foreign(name, found)
        _refuse_moved(name, found)
        _refuse_locked(found, True)
    if found.status.is_running:
        parts.append(_one(f"stop container {name}", pct.stop))
    if found.exists:
        parts.append(_one(f"delete container {name} with its data", partial(pct.destroy, True)))
    held = found.switch.port
    if held is not None and not found.status.is_running and held.external_ids.get("container") == name:
        parts.append(unplug(port.device(found.vmid), runner))
    gone = [sidecar.json_path(name), *([port.settings_path(found.vmid)] if found.vmid else [])]
    parts.append(plan_files([], absent=gone))
    if last:
        shared = plan_files([], absent=[SHARED.path])
        parts.append(shared + (_one("remove empty directories", remove_directories) if shared.changed else Plan()))
    plan = combine(parts)
    return Plan(plan.steps, _text(found.conf) + plan.before, plan.after)


def _refuse_port(spec: ContainerSpec, found: Found) -> None:
    if found.switch.bridges.get(spec.bridge) == "netdev":
        raise RefusedError(
            f"Container {spec.name}: bridge {spec.bridge} has the userspace datapath (netdev), whose frames the host "
            f"itself would hear too when Proxmox plugs the container.",
            fix="set socket_bridge_datapath: system; Proxmox' kernel has the module.",
        )
    if not found.exists:  # else the port is the container's own, whatever it says
        refuse_foreign_port(spec.name, port.device(spec.id), found.switch.port, f"give {spec.name} another id")


def _refuse_moved(name: str, found: Found) -> None:
    """Refuse to delete what a migration may have brought here: its inventory is that of another node."""
    if not found.noted:
        raise RefusedError(
            f"Container {found.vmid} ({name}) carries the mark of this collection, but nothing tells that it was made "
            "on this node; it may have come from another one, and is not deleted.",
            fix=f"bring it back, or name it in this host's inventory and run again, or `pct destroy {found.vmid}`.",
        )


def _refuse_locked(found: Found, destroys: bool) -> None:
    """What Proxmox would refuse in the midst of the plan is refused before it, in check mode too."""
    have = found.conf
    if have is None:
        return
    if have.lock:
        raise RefusedError(
            f"Container {found.vmid} is locked ({have.lock}), and nothing was changed.",
            fix=f"wait until the task has ended; when there is none any more, `pct unlock {found.vmid}`.",
        )
    if destroys and have.is_protected:
        raise RefusedError(
            f"Container {found.vmid} is protected from deletion, and nothing was changed.",
            fix=f"`pct set {found.vmid} --protection 0`, when its data may go.",
        )


def _create(spec: ContainerSpec, source: Source, found: Found, pct: Pct, rootfs: str) -> Plan:
    words = f"create container {spec.name} as {spec.id} from {source.path}"
    make = _one(words, partial(pct.create, spec, source, rootfs))
    if not found.exists:
        return make
    return _one(f"delete container {spec.name} with its data", partial(pct.destroy, False)) + make


def _sidecars(spec: ContainerSpec, source: str) -> list[FileSpec]:
    description, _settings = sidecar.files(spec, source)
    return [description, FileSpec(port.settings_path(spec.id), port.settings(spec))]


def _set(spec: ContainerSpec, found: Found, differing: Sequence[Drift], stopped: bool, pct: Pct) -> Plan:
    """One call of `pct set` with all that differs and nothing else.

    What waits is taken back; where the container is ``stopped`` before, Proxmox has taken it over by then.
    """
    want = wanted.options(spec, found.source or "unknown", found.conf)
    waiting = [one.part.removeprefix("pending ") for one in differing if one.part.startswith("pending ")]
    changed = [one.part for one in differing if one.part in want] + (waiting if stopped else [])
    if not changed and not waiting:
        return Plan()
    values = {key: text for key in changed if (text := want[key]) is not None}
    delete = [key for key in changed if key not in values]
    revert = [] if stopped else waiting
    words = "; ".join(one.what for one in differing if one.part in want or one.part.startswith("pending "))
    return _one(f"configure {spec.name}: {words}", partial(pct.set, values, delete, revert))


def _live(spec: ContainerSpec, found: Found, differing: Sequence[Drift], runner: Runner) -> Plan:
    """What is done to a container that runs on. Proxmox plugs the port anew when it takes over another net0."""
    plans = []
    parts = {one.part: one.what for one in differing if one.kind == LIVE}
    device = port.device(spec.id)
    if "plug" in parts or "net0" in parts:
        why = parts.get("plug", "Proxmox has plugged it anew")
        argv = port.run_script(spec.id)
        plans.append(_one(f"plug {device} into {spec.bridge}: {why}", partial(_run, runner, argv)))
    elif "port" in parts:
        words = "; ".join(one.what for one in differing if one.part == "port")
        plans.append(_one(f"set {words}", partial(_run, runner, set_port(port.wanted(spec)))))
    if "nic" in parts:
        argv, stdin = nic.repair(spec, found.status.pid)
        plans.append(_one(f"repair network of {spec.name}: {parts['nic']}", partial(_run, runner, argv, stdin)))
    return combine(plans)


def _raise_mtu(spec: ContainerSpec, one: Drift, runner: Runner) -> Plan:
    return _one(f"raise {one.what}", partial(_run, runner, port.raise_bridge_mtu(spec.bridge, spec.mtu)))


def _told(plan: Plan, found: Found, after: Conf, run: bool) -> Plan:
    """The plan with the whole configuration and the state in its diff, where anything changes."""
    if not plan.changed:
        return plan
    have = found.status.state if found.exists else "ABSENT"
    before = f"state = {have}\n{_text(found.conf)}{port_text(found.switch.port)}{plan.before}"
    return Plan(plan.steps, before, f"state = {'RUNNING' if run else 'STOPPED'}\n{_text(after)}{plan.after}")


def _wanted_conf(spec: ContainerSpec, have: Conf, source: str) -> Conf:
    want = wanted.options(spec, source, have)
    notes = (want.pop("description") or "").splitlines()
    same = {key for key, text in want.items() if wanted.normal(key, text) == wanted.normal(key, have.value(key))}
    options = {**have.options, "unprivileged": str(int(spec.unprivileged))}
    for key, text in want.items():
        if key not in same or key not in options:
            options[key] = text or ""
    kept = [(key, value) for key, value in have.raw if key not in wanted.RAW]
    filled = {key: text for key, text in options.items() if text}
    return Conf(filled, (*kept, *wanted.RAW.items()), tuple(notes))


def _text(found: Conf | None) -> str:
    return "".join(f"{line}\n" for line in conf.lines(found, wanted.OURS)) if found else ""


def _run(runner: Runner, argv: Sequence[str], stdin: str | None = None) -> None:
    runner.run(argv, stdin=stdin)


def _one(action: str, apply: Callable[[], None]) -> Plan:
    return Plan((Step(action, apply),))
