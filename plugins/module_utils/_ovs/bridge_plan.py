# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What has to change in OVSDB so that a bridge and its ports are as wanted. Pure: nothing here runs a program."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .._errors import RefusedError
from .vsctl import MARKER, OWNER, Bridge, Port, Switch, assignments

PROTOCOLS = ("OpenFlow10", "OpenFlow13", "OpenFlow15")
"""1.5 is what the collection speaks; 1.0 is what a plain `ovs-ofctl` of an operator does, 1.3 what most tools do."""

REQUIRED_PROTOCOL = "OpenFlow15"

FAIL_MODE = "secure"
"""Without it Open vSwitch connects every port to every other when it starts. Each change of it drops all flows."""

LAST_OFPORT = 0xFEFF

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")


@dataclass(frozen=True, slots=True)
class PortSpec:
    """A port wanted on a bridge, with the OpenFlow number that it must have."""

    name: str
    ofport: int
    external_ids: Mapping[str, str] = field(default_factory=dict)

    @property
    def marked_ids(self) -> dict[str, str]:
        return {**self.external_ids, MARKER: OWNER}


@dataclass(frozen=True, slots=True)
class BridgeSpec:
    """A bridge as wanted. ``datapath_type`` `auto` keeps what the bridge has."""

    name: str
    datapath_type: str = "auto"
    ports: tuple[PortSpec, ...] = ()
    adopt: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One change in words and the ovs-vsctl commands that make it.

    ``first`` needs a transaction of its own before: a port that leaves and comes back in one keeps its old device open.
    """

    action: str
    commands: tuple[tuple[str, ...], ...]
    first: tuple[tuple[str, ...], ...] = ()


def check_name(name: str, what: str) -> None:
    """Refuse what neither the kernel nor a flow's text could take for an interface name."""
    if not _NAME.fullmatch(name):
        raise RefusedError(
            f"{what} name {name!r} is not valid.",
            fix="use 1 to 15 letters, digits, dots, dashes or underscores, starting with a letter or digit.",
        )


def check_ofports(ofports: Iterable[tuple[str, int]], bridge: str) -> None:
    """Refuse numbers that OpenFlow reserves, and two ports with one name or number."""
    names: set[str] = set()
    holder: dict[int, str] = {}
    for name, number in ofports:
        check_name(name, "Port")
        if not 1 <= number <= LAST_OFPORT:
            raise RefusedError(
                f"Port {name} of bridge {bridge}: OpenFlow port number {number} is out of range.",
                fix=f"use a number from 1 to {LAST_OFPORT}; 32768 and up are never handed out by Open vSwitch itself.",
            )
        if name in names:
            raise RefusedError(f"Port {name} of bridge {bridge} is listed twice.", fix="remove one of them.")
        if number in holder:
            raise RefusedError(
                f"Ports {holder[number]} and {name} of bridge {bridge} want the same OpenFlow port number {number}.",
                fix="give each port a number of its own.",
            )
        names.add(name)
        holder[number] = name


def check_spec(spec: BridgeSpec) -> None:
    """Refuse a specification that is wrong by itself, whatever the host looks like."""
    check_name(spec.name, "Bridge")
    check_ofports(((port.name, port.ofport) for port in spec.ports), spec.name)
    for port in spec.ports:
        if port.name == spec.name:
            raise RefusedError(
                f"Port {port.name} has the name of its bridge, which is the bridge's local port.",
                fix="name the port differently.",
            )
        claimed = port.external_ids.get(MARKER, OWNER)
        if claimed != OWNER:
            raise RefusedError(
                f"Port {port.name} of bridge {spec.name}: external_ids {MARKER}={claimed} gives it to another owner.",
                fix=f"leave {MARKER} out of external_ids.",
            )


def check_switch(spec: BridgeSpec, switch: Switch) -> None:
    """Refuse what would take a bridge or port away from somebody else."""
    have = switch.bridges.get(spec.name)
    if have is not None:
        refuse_controller(have)
        if have.owner != OWNER and not spec.adopt:
            raise RefusedError(
                f"Bridge {spec.name} exists and was not made by this collection "
                f"(external_ids {MARKER}={have.owner or 'is not set'}).",
                fix="set adopt: true to put it under management, or choose another name.",
            )
    for port in spec.ports:
        _check_port(port, spec, switch)


def refuse_controller(have: Bridge) -> None:
    """A controller would delete or add flows behind the collection's back."""
    if have.controllers:
        raise RefusedError(
            f"Bridge {have.name} has the OpenFlow controller {', '.join(have.controllers)}.",
            fix=f"run `ovs-vsctl del-controller {have.name}` if nothing needs it.",
        )


def _check_port(port: PortSpec, spec: BridgeSpec, switch: Switch) -> None:
    there = switch.bridge_of(port.name)
    if there is None:
        owner = ""
    else:
        owner = there.ports[port.name].owner
        if owner != OWNER and (there.name != spec.name or owner):
            raise RefusedError(
                f"Port {port.name} is on bridge {there.name} and belongs to {owner or 'somebody else'}.",
                fix=f"remove it there (`ovs-vsctl del-port {there.name} {port.name}`) or name the port of {spec.name} "
                "differently.",
            )
    have = switch.bridges.get(spec.name)
    stayers = {wanted.name for wanted in spec.ports}
    for other in have.ports.values() if have else ():
        if other.ofport == port.ofport and other.name not in stayers and other.owner != OWNER:
            raise RefusedError(
                f"Port {other.name} on bridge {spec.name} already has the OpenFlow port number {port.ofport} that "
                f"{port.name} needs.",
                fix=f"renumber it: `ovs-vsctl set Interface {other.name} ofport_request=NUMBER`.",
            )


def plan_present(spec: BridgeSpec, switch: Switch, new_datapath: str) -> list[Change]:
    """Changes that make the bridge as ``spec``, which ``check_switch`` has let pass.

    ``new_datapath`` is the type of a bridge that does not exist yet.
    """
    have = switch.bridges.get(spec.name)
    changes = [_create(spec, new_datapath)] if have is None else _adjust(spec, have)
    changes += _detach_stale(spec, have)
    for port in sorted(spec.ports, key=lambda item: item.name):
        changes += _plan_port(port, spec.name, switch)
    return changes


def _create(spec: BridgeSpec, datapath: str) -> Change:
    settings = (f"datapath_type={datapath}", f"fail_mode={FAIL_MODE}", f"protocols={','.join(PROTOCOLS)}")
    return Change(
        f"create bridge {spec.name} with the {datapath} datapath",
        (
            ("add-br", spec.name),
            ("set", "Bridge", spec.name, *settings, *assignments("external_ids", {MARKER: OWNER})),
        ),
    )


def _adjust(spec: BridgeSpec, have: Bridge) -> list[Change]:
    changes = []
    if have.owner != OWNER:
        marker = assignments("external_ids", {MARKER: OWNER})
        changes.append(Change(f"adopt bridge {have.name}", (("set", "Bridge", have.name, *marker),)))
    if spec.datapath_type not in ("auto", have.datapath_type):
        text = f"change the datapath of bridge {have.name} from {have.datapath_type} to {spec.datapath_type}"
        changes.append(Change(text, (("set", "Bridge", have.name, f"datapath_type={spec.datapath_type}"),)))
    return changes + plan_properties(have)


def plan_properties(have: Bridge) -> list[Change]:
    """What flows depend on: no NORMAL forwarding after a restart, and the protocol that we speak."""
    changes = []
    if have.fail_mode != FAIL_MODE:
        command = ("set", "Bridge", have.name, f"fail_mode={FAIL_MODE}")
        changes.append(Change(f"set fail_mode of bridge {have.name} to {FAIL_MODE}", (command,)))
    wanted = wanted_protocols(have)
    if wanted != have.protocols:
        changes.append(
            Change(
                f"set protocols of bridge {have.name} to {', '.join(wanted)}",
                (("set", "Bridge", have.name, f"protocols={','.join(wanted)}"),),
            )
        )
    return changes


def wanted_protocols(have: Bridge) -> tuple[str, ...]:
    """What the bridge has plus what we need; all of ours where it has only Open vSwitch's changing default."""
    return tuple(sorted({*(have.protocols or PROTOCOLS), REQUIRED_PROTOCOL}))


def _detach_stale(spec: BridgeSpec, have: Bridge | None) -> list[Change]:
    wanted = {port.name for port in spec.ports}
    return [
        Change(f"remove port {port.name} from bridge {spec.name}", (("del-port", spec.name, port.name),))
        for port in (have.ports.values() if have else ())
        if port.owner == OWNER and port.name not in wanted
    ]


def _plan_port(port: PortSpec, bridge: str, switch: Switch) -> list[Change]:
    there = switch.bridge_of(port.name)
    attach = (("add-port", bridge, port.name), _set_port(port))
    if there is None:
        return [Change(f"add port {port.name} to bridge {bridge} as {port.ofport}", attach)]
    detach = ("del-port", there.name, port.name)
    if there.name != bridge:
        return [Change(f"move port {port.name} from bridge {there.name} to {bridge}", (detach, *attach))]
    have = there.ports[port.name]
    if have.error or have.ofport == -1:
        return [Change(f"re-attach port {port.name} to bridge {bridge}", attach, first=(detach,))]
    if _matches(port, have):
        return []
    return [Change(f"update port {port.name} of bridge {bridge}", (_set_port(port),))]


def _set_port(port: PortSpec) -> tuple[str, ...]:
    ids = assignments("external_ids", port.marked_ids)
    return ("set", "Interface", port.name, f"ofport_request={port.ofport}", *ids)


def _matches(port: PortSpec, have: Port) -> bool:
    ids_match = port.marked_ids.items() <= have.external_ids.items()
    return have.ofport_request == port.ofport and ids_match


def plan_absent(name: str, switch: Switch) -> list[Change]:
    """Delete the bridge, if it is ours and carries nobody else's ports."""
    have = switch.bridges.get(name)
    if have is None:
        return []
    if have.owner != OWNER:
        raise RefusedError(
            f"Bridge {name} was not made by this collection and is not deleted.",
            fix=f"delete it yourself: `ovs-vsctl del-br {name}`.",
        )
    foreign = [port.name for port in have.ports.values() if port.owner != OWNER]
    if foreign:
        raise RefusedError(
            f"Bridge {name} still carries ports that this module did not add: {', '.join(foreign)}.",
            fix="remove the containers or ports that use the bridge first.",
        )
    return [Change(f"delete bridge {name}", (("del-br", name),))]


def faults(spec: BridgeSpec, have: Bridge | None) -> list[str]:
    """What ovs-vswitchd did not do, in words; empty when the bridge is up as wanted."""
    if have is None:
        return [f"bridge {spec.name} does not exist"]
    found = [f"bridge {spec.name}: {have.error}"] if have.error else []
    for port in spec.ports:
        there = have.ports.get(port.name)
        if there is None:
            found.append(f"port {port.name}: not on the bridge")
        elif there.error:
            found.append(f"port {port.name}: {there.error}")
        elif there.ofport != port.ofport:
            holder = _holder(have, port)
            found.append(f"port {port.name}: has OpenFlow port number {there.ofport}, not {port.ofport}{holder}")
    return found


def _holder(have: Bridge, port: PortSpec) -> str:
    names = [other.name for other in have.ports.values() if other.ofport == port.ofport]
    return f", which {names[0]} has" if names else ""


def pending(spec: BridgeSpec, have: Bridge | None) -> bool:
    """True while ovs-vswitchd has not numbered a wanted port yet."""
    ports: Sequence[Port | None] = [have.ports.get(port.name) for port in spec.ports] if have else []
    return any(port is not None and port.ofport is None and not port.error for port in ports)


def describe(have: Bridge | None) -> str:
    """The bridge as lines of a diff: settings first, then ports by name."""
    if have is None:
        return ""
    lines = [
        f"bridge {have.name}",
        f"  datapath_type={have.datapath_type}",
        f"  fail_mode={have.fail_mode or '(not set)'}",
        f"  protocols={','.join(have.protocols) or '(not set)'}",
        *(f"  external_ids {key}={value}" for key, value in sorted(have.external_ids.items())),
    ]
    for name, port in sorted(have.ports.items()):
        ids = " ".join(f"{key}={value}" for key, value in sorted(port.external_ids.items()))
        number = f"ofport={port.ofport} request={port.ofport_request or '(none)'}"
        trouble = f" error={port.error}" if port.error else ""
        lines.append(f"  port {name} {number} {ids}{trouble}".rstrip())
    return "\n".join(lines) + "\n"


def wanted_bridge(spec: BridgeSpec, switch: Switch, new_datapath: str) -> Bridge:
    """The bridge as it will be after the changes, for the diff."""
    have = switch.bridges.get(spec.name)
    kept = {name: port for name, port in have.ports.items() if port.owner != OWNER} if have else {}
    for port in spec.ports:
        there = switch.bridge_of(port.name)
        ids = there.ports[port.name].external_ids if there is not None and there.name == spec.name else {}
        kept[port.name] = Port(port.name, port.ofport, port.ofport, "", {**ids, **port.marked_ids})
    if have is None:
        return Bridge(spec.name, new_datapath, FAIL_MODE, PROTOCOLS, (), {MARKER: OWNER}, kept)
    datapath = have.datapath_type if spec.datapath_type == "auto" else spec.datapath_type
    ids = {**have.external_ids, MARKER: OWNER}
    return Bridge(spec.name, datapath, FAIL_MODE, wanted_protocols(have), (), ids, kept)
