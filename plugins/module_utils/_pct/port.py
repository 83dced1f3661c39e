# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""The container's port on Proxmox: a name that cannot be chosen, and the script that gives the port our properties."""

from __future__ import annotations

from pathlib import Path

from .._lxc import port
from .._lxc.port import WantedPort
from .._lxc.spec import ContainerSpec
from .._ovs.vsctl import LOGICAL_NAME
from .wanted import PORT_SCRIPT

SCRIPT = r"""#!/bin/sh
# Written by op_dbus.socket_network; edits are replaced by its next run.
# LXC calls this (lxc.hook.version = 0: VMID net up|down veth DEVICE) when a container starts or stops. What Proxmox
# calls itself comes first: it puts the port on the bridge, new every time and with any number.
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin
port=$5
. "/etc/op-dbus/containers.d/$1.port"

case $3 in
up)
    /usr/share/lxc/lxcnetaddbr "$@"
    off=/proc/sys/net/ipv6/conf/$port/disable_ipv6
    if [ -e "$off" ]; then echo 1 >"$off"; fi
    ovs-vsctl --timeout=20 set Interface "$port" "ofport_request=$OFPORT" external_ids:op-dbus-owner=lxc_service \
        "external_ids:container=\"$NAME\"" "external_ids:services=\"$SERVICES\"" \
        "external_ids:attached-mac=\"$MAC\"" "external_ids:iface-id=\"$NAME.eth0\"" \
        "external_ids:op-dbus-veth=\"$VETH\""
    ;;
down) ovs-vsctl --timeout=20 --if-exists del-port "$port" ;;
esac
"""


def device(vmid: str) -> str:
    """The first network device of a container; without Proxmox' firewall it is the port itself."""
    return f"veth{vmid}i0"


def wanted(spec: ContainerSpec) -> WantedPort:
    """Proxmox gives the port the MTU of the bridge, at every start."""
    ids = {**port.external_ids(spec), LOGICAL_NAME: spec.veth}
    return WantedPort(device(spec.id), spec.bridge, spec.ofport, None, ids)


def settings_path(vmid: str) -> str:
    return f"{port.SIDECARS}/{vmid}.port"


def settings(spec: ContainerSpec) -> str:
    """The file that the script reads: shell assignments. The values hold no quotes, as `spec` has checked."""
    pairs = (
        ("NAME", spec.name),
        ("VETH", spec.veth),
        ("OFPORT", str(spec.ofport)),
        ("MAC", spec.mac),
        ("SERVICES", port.external_ids(spec)["services"]),
    )
    return "".join(f"{key}='{value}'\n" for key, value in pairs)


def run_script(vmid: str) -> list[str]:
    """argv that does by hand what LXC does when the container starts."""
    return ["env", f"LXC_NAME={vmid}", PORT_SCRIPT, vmid, "net", "up", "veth", device(vmid)]


def bridge_mtu(bridge: str) -> int | None:
    """MTU of the bridge's own device; None when there is none. Proxmox refuses containers with a larger one."""
    try:
        return int(Path(f"/sys/class/net/{bridge}/mtu").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def raise_bridge_mtu(bridge: str, mtu: int) -> list[str]:
    """argv that pins the MTU of a bridge, which else is that of its smallest port, such as the one to WARP."""
    return ["ovs-vsctl", "--timeout=20", "set", "Interface", bridge, f"mtu_request={mtu}"]
