# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""OVSDB through ovs-vsctl: everything is read by one process and written in one transaction."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .._errors import CommandError, SocketNetworkError
from .._runner import Runner

MARKER = "op-dbus-owner"
"""Key in external_ids that says which part of the collection owns a bridge or port."""

LOGICAL_NAME = "op-dbus-veth"
"""Key in external_ids with the name that the inventory has for a port of another name."""

OWNER = "socket_bridge"

_TIMEOUT = 30
_READ = (
    ("Bridge", "name,datapath_type,datapath_id,fail_mode,protocols,controller,external_ids,ports"),
    ("Port", "_uuid,name,interfaces,external_ids"),
    ("Interface", "_uuid,name,ofport,ofport_request,error,external_ids,ifindex,link_state"),
    ("Controller", "_uuid,target"),
)


class NoSwitchError(SocketNetworkError):
    """Open vSwitch is not installed, or its database does not answer."""


@dataclass(frozen=True, slots=True)
class Port:
    """One interface on a bridge. ``ofport`` is None until ovs-vswitchd has numbered it, -1 when that failed."""

    name: str
    ofport: int | None = None
    ofport_request: int | None = None
    error: str = ""
    external_ids: Mapping[str, str] = field(default_factory=dict)

    @property
    def known_as(self) -> str:
        """Its name in the inventory and so in flows: Proxmox gives a container's port another one."""
        return self.external_ids.get(LOGICAL_NAME, self.name)

    @property
    def owner(self) -> str:
        return self.external_ids.get(MARKER, "")


@dataclass(frozen=True, slots=True)
class Bridge:
    """A bridge and its ports by name, without the local port. ``error`` tells why it forwards nothing."""

    name: str
    datapath_type: str = "system"
    fail_mode: str = ""
    protocols: tuple[str, ...] = ()
    controllers: tuple[str, ...] = ()
    external_ids: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, Port] = field(default_factory=dict)
    error: str = ""

    @property
    def owner(self) -> str:
        return self.external_ids.get(MARKER, "")

    @property
    def datapath(self) -> str:
        """The name that ``ovs-appctl dpctl/…`` gives to the bridge's datapath."""
        return f"{self.datapath_type}@ovs-{self.datapath_type}"


@dataclass(frozen=True, slots=True)
class Switch:
    """All bridges of a host by name."""

    bridges: Mapping[str, Bridge] = field(default_factory=dict)

    def bridge_of(self, port: str) -> Bridge | None:
        return next((bridge for bridge in self.bridges.values() if port in bridge.ports), None)


def run_tool(runner: Runner, argv: Sequence[str], what: str, **options: Any) -> Any:
    """Run one of Open vSwitch's tools; a missing one or an unreachable database is a NoSwitchError."""
    try:
        return runner.run(argv, what=what, **options)
    except FileNotFoundError:
        raise NoSwitchError(
            f"{what}: {argv[0]} is not installed.", fix="install the package openvswitch-switch."
        ) from None
    except CommandError as error:
        if "database connection failed" in error.stderr:
            raise NoSwitchError(str(error), fix="start the service openvswitch-switch.") from error
        raise


def read_switch(runner: Runner) -> Switch:
    """Bridges, ports, interfaces and controllers of this host, read by one process."""
    argv = ["ovs-vsctl", f"--timeout={_TIMEOUT}", "--format=json"]
    for table, columns in _READ:
        argv += ["--", f"--columns={columns}", "list", table]
    return parse_switch(run_tool(runner, argv, "Reading the Open vSwitch database").stdout)


def transact(runner: Runner, commands: Sequence[Sequence[str]], what: str) -> None:
    """Run ovs-vsctl ``commands`` in one transaction and wait until ovs-vswitchd has taken it up."""
    argv = ["ovs-vsctl", f"--timeout={_TIMEOUT}"]
    for command in commands:
        argv += ["--", *command]
    run_tool(runner, argv, what)


def assignments(column: str, values: Mapping[str, str]) -> list[str]:
    """Arguments of ``ovs-vsctl set`` that put ``values`` into the map ``column``."""
    return [f"{column}:{json.dumps(key)}={json.dumps(value)}" for key, value in sorted(values.items())]


def parse_switch(text: str) -> Switch:
    """The four JSON tables of ``read_switch``'s command, in its order."""
    bridges, ports, interfaces, controllers = (list(rows) for rows in _tables(text))
    interface_of = {row["_uuid"]: row for row in interfaces}
    port_of = {row["_uuid"]: row for row in ports}
    target_of = {row["_uuid"]: row["target"] for row in controllers}
    return Switch(
        {
            row["name"]: _bridge(
                row,
                [port_of[uuid] for uuid in _many(row["ports"])],
                interface_of,
                tuple(sorted(str(target_of[uuid]) for uuid in _many(row["controller"]))),
            )
            for row in bridges
        }
    )


def _bridge(
    row: Mapping[str, Any],
    ports: Sequence[Mapping[str, Any]],
    interface_of: Mapping[str, Mapping[str, Any]],
    controllers: tuple[str, ...],
) -> Bridge:
    found = {}
    for port in ports:
        for uuid in _many(port["interfaces"]):
            interface = interface_of[uuid]
            found[interface["name"]] = Port(
                interface["name"],
                _optional(interface["ofport"]),
                _optional(interface["ofport_request"]),
                _optional(interface["error"]) or _lost(interface),
                {**port["external_ids"], **interface["external_ids"]},
            )
    local = found.pop(row["name"], None)
    datapath_type = row["datapath_type"] or "system"
    error = local.error if local else ""
    if _optional(row["datapath_id"]) is None:
        error = error or f"ovs-vswitchd has no datapath of type {datapath_type} for it"
    return Bridge(
        name=row["name"],
        datapath_type=datapath_type,
        fail_mode=_optional(row["fail_mode"]) or "",
        protocols=tuple(sorted(_many(row["protocols"]))),
        controllers=controllers,
        external_ids=row["external_ids"],
        ports=dict(sorted(found.items())),
        error=error,
    )


def _lost(interface: Mapping[str, Any]) -> str:
    """The userspace datapath keeps the number of a port whose device was deleted, and reports no error."""
    return "the device is gone" if interface["ifindex"] == 0 and interface["link_state"] == "down" else ""


def _tables(text: str) -> Iterator[Iterator[dict[str, Any]]]:
    """Tables as rows of {column: value}, from the JSON documents that stand one after the other in ``text``."""
    for line in text.splitlines():
        if line.strip():
            table = json.loads(line)
            yield (dict(zip(table["headings"], map(_decode, row), strict=True)) for row in table["data"])


def _decode(cell: Any) -> Any:
    """An OVSDB value (RFC 7047 section 5.1) as Python: uuid -> str, map -> dict, set -> tuple."""
    match cell:
        case ["uuid", value]:
            return value
        case ["map", pairs]:
            return {_decode(key): _decode(value) for key, value in pairs}
        case ["set", values]:
            return tuple(_decode(value) for value in values)
    return cell


def _many(value: Any) -> tuple[Any, ...]:
    """A set column, which OVSDB writes as a bare value when it holds exactly one."""
    return value if isinstance(value, tuple) else (value,)


def _optional(value: Any) -> Any:
    """A column of at most one value: that value or None."""
    return None if value == () else value
