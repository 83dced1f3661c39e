# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A container on Proxmox just as its description wants it, in the text that Proxmox has written."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface
from typing import Any

from ansible_collections.op_dbus.socket_network.plugins.module_utils._lxc.backend import Status
from ansible_collections.op_dbus.socket_network.plugins.module_utils._lxc.nic import Nic
from ansible_collections.op_dbus.socket_network.plugins.module_utils._lxc.port import FoundPort, Switch
from ansible_collections.op_dbus.socket_network.plugins.module_utils._lxc.spec import ContainerSpec
from ansible_collections.op_dbus.socket_network.plugins.module_utils._pct import conf, port
from ansible_collections.op_dbus.socket_network.plugins.module_utils._pct.found import Found

from tests.unit.lxc.sample_container import DIGEST
from tests.unit.lxc.sample_container import spec as lxc_spec

SOURCE = f"sha256:{DIGEST}"
TEXT = f"""\
#op-dbus-owner=lxc_service/102
#op-dbus-source=sha256%3A{DIGEST}
arch: amd64
cpulimit: 1.5
hostname: xray-client
memory: 512
net0: name=eth0,bridge=mesh,firewall=0,gw=10.0.0.1,hwaddr=02:00:0A:00:00:66,ip=10.0.0.102/24,mtu=1280,type=veth
onboot: 1
ostype: debian
rootfs: local-lvm:vm-102-disk-0,size=8G
swap: 256
unprivileged: 1
lxc.net.0.script.up: /usr/local/lib/op-dbus/pct-port
lxc.net.0.script.down: /usr/local/lib/op-dbus/pct-port
"""
PENDING = "\n[pve:pending]\n"
SNAPSHOT = "\n[before]\n#op-dbus-owner=lxc_service/102\nlxc.net.0.script.up: /old\nmemory: 64\n"
SIDECAR = {"id": "102", "name": "xray-client", "source": SOURCE}
NIC = Nic("02:00:0a:00:00:66", 1280, True, IPv4Interface("10.0.0.102/24"), IPv4Address("10.0.0.1"))


def spec(**changes: Any) -> ContainerSpec:
    return lxc_spec(**changes)


def found_port(**changes: Any) -> FoundPort:
    ids = dict(port.wanted(spec()).external_ids)
    return FoundPort(
        **{"bridge": "mesh", "ofport": 32870, "request": 32870, "mtu_request": 1500, "external_ids": ids, **changes}
    )


def stopped(text: str = TEXT, **changes: Any) -> Found:
    standard = {"conf": conf.parse(text), "sidecar": SIDECAR, "switch": Switch({"mesh": "system"}), "bridge_mtu": 1500}
    return Found("102", **{**standard, **changes})


def running(text: str = TEXT, **changes: Any) -> Found:
    live = {"status": Status("RUNNING", 677), "nic": NIC, "switch": Switch({"mesh": "system"}, found_port())}
    return stopped(text, **{**live, **changes})


def nothing(**changes: Any) -> Found:
    return Found("102", **{"switch": Switch({"mesh": "system"}), "bridge_mtu": 1500, **changes})
