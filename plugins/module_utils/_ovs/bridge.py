# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Drives one bridge: reads OVSDB, plans, writes one transaction and waits until ovs-vswitchd has done it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from .._errors import RefusedError, SocketNetworkError
from .._plan import Plan, Step
from .._runner import Runner
from .bridge_plan import (
    BridgeSpec,
    Change,
    check_name,
    check_spec,
    check_switch,
    describe,
    faults,
    pending,
    plan_absent,
    plan_present,
    wanted_bridge,
)
from .vsctl import OWNER, Bridge, NoSwitchError, Switch, read_switch, transact

_DEADLINE = 10.0
_PAUSE = 0.1
_IFF_PROMISC = 0x100
_DEAD = "the device was made anew and is not attached"


def switch_or_nothing(runner: Runner, tolerant: bool) -> Switch:
    """The switch; where ``tolerant`` and Open vSwitch is not there yet, a switch without bridges."""
    try:
        return read_switch(runner)
    except NoSwitchError:
        if tolerant:
            return Switch()
        raise


def present(runner: Runner, spec: BridgeSpec, check_mode: bool) -> tuple[Plan, str]:
    """The plan for ``spec`` and the datapath type that the bridge has or will have."""
    check_spec(spec)
    switch = with_dead_ports(switch_or_nothing(runner, check_mode), spec.name)
    have = switch.bridges.get(spec.name)
    check_switch(spec, switch)
    datapath = spec.datapath_type
    if have is None:
        _refuse_linux_bridge(spec.name)
        datapath = usable_datapath(runner, check_mode) if datapath == "auto" else datapath
    wanted = wanted_bridge(spec, switch, datapath)
    changes = plan_present(spec, switch, datapath)

    def commit() -> None:
        what = f"Changing bridge {spec.name}"
        first = [command for change in changes for command in change.first]
        if first:
            transact(runner, first, what)
        transact(runner, [command for change in changes for command in change.commands], what)
        _await(runner, spec)

    if not changes:
        _raise(spec, faults(spec, have))
    return Plan(_steps(changes, commit), describe(have), describe(wanted)), wanted.datapath_type


def with_dead_ports(switch: Switch, name: str, devices: str = "/sys/class/net") -> Switch:
    """``switch`` with an error on each port of ours whose device was deleted and made anew behind ovs-vswitchd's back.

    The userspace datapath goes on listening on the deleted device and says nothing; the new one is then not
    promiscuous, as every attached device is. The kernel datapath attaches a new device by itself.
    """
    have = switch.bridges.get(name)
    if have is None or have.datapath_type != "netdev":
        return switch
    ports = {
        port.name: replace(port, error=port.error or _DEAD)
        if port.owner == OWNER and _deaf(devices, port.name)
        else port
        for port in have.ports.values()
    }
    return Switch({**switch.bridges, name: replace(have, ports=ports)})


def _deaf(devices: str, name: str) -> bool:
    flags = Path(devices, name, "flags")
    return flags.exists() and not int(flags.read_text(encoding="ascii"), 16) & _IFF_PROMISC


def absent(runner: Runner, name: str) -> Plan:
    """The plan that deletes the bridge ``name``. Without Open vSwitch there is nothing to delete."""
    check_name(name, "Bridge")
    switch = switch_or_nothing(runner, tolerant=True)
    changes = plan_absent(name, switch)

    def commit() -> None:
        transact(runner, [command for change in changes for command in change.commands], f"Deleting bridge {name}")

    return Plan(_steps(changes, commit), describe(switch.bridges.get(name)), "")


def gathered(runner: Runner, name: str, check_mode: bool) -> dict[str, Any] | None:
    """The bridge as it is, or None."""
    check_name(name, "Bridge")
    have = switch_or_nothing(runner, check_mode).bridges.get(name)
    return None if have is None else as_result(have)


def as_result(have: Bridge) -> dict[str, Any]:
    """The bridge as a module returns it: ports as a list, with their owner."""
    ports = [{**asdict(port), "owner": port.owner} for port in have.ports.values()]
    return {**asdict(have), "protocols": list(have.protocols), "controllers": list(have.controllers), "ports": ports}


def usable_datapath(runner: Runner, check_mode: bool) -> str:
    """`system` where the kernel has or can load its datapath, else `netdev`. In check mode no module is loaded."""
    if Path("/sys/module/openvswitch").exists():
        return "system"
    dry = ["--dry-run"] if check_mode else []
    try:
        result = runner.run(["modprobe", *dry, "openvswitch"], ok=range(256), what="Loading the kernel datapath")
    except FileNotFoundError:
        return "netdev"
    return "netdev" if result.rc else "system"


def _refuse_linux_bridge(name: str) -> None:
    if Path("/sys/class/net", name).exists():
        raise RefusedError(
            f"A network device {name} exists that is not an Open vSwitch bridge.",
            fix="remove it from the host's network configuration, or name the bridge differently.",
        )


def _steps(changes: Sequence[Change], commit: Any) -> tuple[Step, ...]:
    """A step for each change; they are one transaction, which the last step commits."""
    words = [change.action for change in changes]
    return tuple(Step(word, commit if index == len(words) else _nothing) for index, word in enumerate(words, 1))


def _nothing() -> None:
    """Done by the last step."""


def _await(runner: Runner, spec: BridgeSpec) -> None:
    """Wait until every wanted port has a number, then raise for what is not as wanted."""
    deadline = time.monotonic() + _DEADLINE
    have = with_dead_ports(read_switch(runner), spec.name).bridges.get(spec.name)
    while pending(spec, have) and time.monotonic() < deadline:
        time.sleep(_PAUSE)
        have = with_dead_ports(read_switch(runner), spec.name).bridges.get(spec.name)
    _raise(spec, faults(spec, have))


def _raise(spec: BridgeSpec, found: Sequence[str]) -> None:
    if found:
        raise SocketNetworkError(
            f"Open vSwitch could not set up bridge {spec.name}: {'; '.join(found)}.",
            fix="see that the devices exist (`ip link`), and read `journalctl -u ovs-vswitchd`.",
        )
