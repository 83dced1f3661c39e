# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""The container's port on the bridge: the script that LXC runs, what it reads, and what OVSDB tells about the port."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .config import PORT_SCRIPT, Entry
from .spec import ContainerSpec

OWNER = "lxc_service"
SIDECARS = "/etc/op-dbus/containers.d"
GUARD = "op_dbus_lxc"
"""Table of family netdev with a chain for each container's port on a bridge with the userspace datapath."""


SCRIPT = r"""#!/bin/sh
# Written by op_dbus.socket_network; edits are replaced by its next run.
# LXC calls this (lxc.hook.version = 1) when the veth pair of a container is there, and when it goes.
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin
port=$LXC_NET_PEER
. "/etc/op-dbus/containers.d/$LXC_NAME.port"

unplug() { ovs-vsctl --timeout=20 --if-exists del-port "$port"; }
unguard() { nft delete chain netdev op_dbus_lxc "$port" 2>/dev/null || true; }

plug() {
    off=/proc/sys/net/ipv6/conf/$port/disable_ipv6
    if [ -e "$off" ]; then echo 1 >"$off"; fi
    if [ "$(ovs-vsctl --timeout=20 get Bridge "$BRIDGE" datapath_type)" = netdev ]; then
        guard
        # vswitchd keeps the device that is gone when one transaction removes the port and adds it again.
        unplug
    fi
    set -- "ofport_request=$OFPORT" "mtu_request=$MTU" external_ids:op-dbus-owner=lxc_service \
        "external_ids:container=\"$LXC_NAME\"" "external_ids:services=\"$SERVICES\"" \
        "external_ids:attached-mac=\"$MAC\"" "external_ids:iface-id=\"$LXC_NAME.eth0\""
    ovs-vsctl --timeout=20 -- --if-exists del-port "$port" -- add-port "$BRIDGE" "$port" -- set Interface "$port" "$@"
}

# A userspace datapath sees copies: the host's own stack must not take the frames as well, and nobody fills in
# the checksums that the container leaves to its device.
guard() {
    unguard
    nft -f - <<EOF
add table netdev op_dbus_lxc
add chain netdev op_dbus_lxc $port { type filter hook ingress device "$port" priority -500; policy drop; }
EOF
    nsenter --net="/proc/$LXC_PID/ns/net" sh -ec 'for device in $(ip -o link show type veth | cut -d" " -f2); do
        ethtool -K "${device%%@*}" tx off >/dev/null; done'
}

case $LXC_HOOK_TYPE in
up) plug ;;
down) unguard; unplug ;;
esac
"""

BRIDGE_COLUMNS = "name,datapath_type,ports"
INTERFACE_COLUMNS = "name,ofport,ofport_request,mtu_request,external_ids,error"


@dataclass(frozen=True, slots=True)
class FoundPort:
    """A port as OVSDB has it. ``bridge`` is "" when no bridge holds it; ``ofport`` is None until it is given one."""

    bridge: str
    ofport: int | None
    request: int | None
    mtu_request: int | None
    external_ids: Mapping[str, str] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True)
class WantedPort:
    """A container's port as it shall be. ``mtu_request`` is None where the container manager sees to it."""

    name: str
    bridge: str
    ofport: int
    mtu_request: int | None
    external_ids: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Switch:
    """What OVSDB tells: datapath type by bridge, and the port asked for."""

    bridges: Mapping[str, str] = field(default_factory=dict)
    port: FoundPort | None = None


def query(veth: str) -> list[str]:
    """argv that reads everything about a port in one process."""
    return [
        *("ovs-vsctl", "--timeout=10", "--format=json"),
        *("--", f"--columns={BRIDGE_COLUMNS}", "list", "Bridge"),
        *("--", "--columns=_uuid,name", "find", "Port", f"name={veth}"),
        *("--", f"--columns={INTERFACE_COLUMNS}", "find", "Interface", f"name={veth}"),
    ]


def switch(output: str) -> Switch:
    """Read what `query` printed: one JSON table for each command."""
    bridges, ports, interfaces = (_rows(line) for line in output.splitlines() if line.strip())
    kinds = {row["name"]: row["datapath_type"] or "system" for row in bridges}
    if not interfaces:
        return Switch(kinds)
    uuids = {row["_uuid"] for row in ports}
    holder = next((row["name"] for row in bridges if uuids & set(_items(row["ports"]))), "")
    row = interfaces[0]
    numbers = {name: next(iter(_items(row[name])), None) for name in ("ofport", "ofport_request", "mtu_request")}
    error = "".join(str(item) for item in _items(row["error"]))
    ids = {str(key): str(value) for key, value in row["external_ids"]}
    return Switch(
        kinds,
        FoundPort(holder, numbers["ofport"], numbers["ofport_request"], numbers["mtu_request"], ids, error),
    )


def external_ids(spec: ContainerSpec) -> dict[str, str]:
    """What the interface says about itself: the agent and other tools find containers by it."""
    return {
        "op-dbus-owner": OWNER,
        "container": spec.name,
        "services": ",".join(service.name for service in spec.services),
        "attached-mac": spec.mac,
        "iface-id": f"{spec.name}.eth0",
    }


def settings(spec: ContainerSpec) -> str:
    """The file that the script reads: shell assignments. The values hold no quotes, as `spec` has checked."""
    pairs = (
        ("BRIDGE", spec.bridge),
        ("OFPORT", str(spec.ofport)),
        ("MAC", spec.mac),
        ("MTU", str(spec.mtu)),
        ("SERVICES", external_ids(spec)["services"]),
    )
    return "".join(f"{key}='{value}'\n" for key, value in pairs)


def wanted(spec: ContainerSpec) -> WantedPort:
    return WantedPort(spec.veth, spec.bridge, spec.ofport, spec.mtu, external_ids(spec))


def set_port(port: WantedPort) -> list[str]:
    """argv that sets the port's properties without touching its place on the bridge."""
    ids = [f'external_ids:{key}="{value}"' for key, value in port.external_ids.items()]
    numbers = [f"ofport_request={port.ofport}"]
    numbers += [] if port.mtu_request is None else [f"mtu_request={port.mtu_request}"]
    return ["ovs-vsctl", "--timeout=20", "set", "Interface", port.name, *numbers, *ids]


def run_script(spec: ContainerSpec, pid: int) -> list[str]:
    """argv that does by hand what LXC does when the container starts."""
    environment = (f"LXC_NAME={spec.name}", f"LXC_NET_PEER={spec.veth}", f"LXC_PID={pid}", "LXC_HOOK_TYPE=up")
    return ["env", *environment, PORT_SCRIPT]


def port_text(port: FoundPort | None) -> str:
    """A port as lines of a diff."""
    if port is None:
        return ""
    lines: Iterable[Entry] = [
        ("bridge", port.bridge),
        ("ofport", str(port.ofport)),
        ("ofport_request", str(port.request)),
        ("mtu_request", str(port.mtu_request)),
        *sorted((f"external_ids:{key}", value) for key, value in port.external_ids.items()),
    ]
    return "".join(f"{key} = {value}\n" for key, value in lines)


def hears_ipv6(veth: str) -> bool:
    """Whether the host's end would speak IPv6 into the container, past the bridge."""
    try:
        return Path(f"/proc/sys/net/ipv6/conf/{veth}/disable_ipv6").read_text(encoding="ascii").strip() != "1"
    except OSError:
        return False


def _rows(line: str) -> list[dict[str, Any]]:
    table = json.loads(line)
    return [
        {
            heading: cell[1] if isinstance(cell, list) and cell[0] in ("uuid", "map") else cell
            for heading, cell in zip(table["headings"], row, strict=True)
        }
        for row in table["data"]
    ]


def _items(cell: Any) -> list[Any]:
    """A column that holds a set: one bare value, or ["set", [...]] whose uuids stand as ["uuid", text]."""
    values = cell[1] if isinstance(cell, list) and cell[0] == "set" else [cell]
    return [value[1] if isinstance(value, list) else value for value in values]
