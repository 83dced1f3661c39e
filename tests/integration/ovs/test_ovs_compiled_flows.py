# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the compiler emits is what Open vSwitch stores, word for word."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.op_dbus.socket_network.plugins.filter.compile_flows import compile_flows

from tests.integration.ovs.conftest import Apply, Module
from tests.integration.ovs.private_ovs import PrivateOvs

IMAGE = {"path": "/var/lib/op-dbus/images/debian-13.tar.zst", "sha256": "0" * 64}
WARP = {"name": "warp0", "kind": "warp", "mtu": 1280}


def mesh(name: str, address: str) -> dict[str, Any]:
    key = base64.b64encode(name.encode().ljust(32)).decode()
    return {"name": name, "kind": "wireguard", "bridge": "mesh", "address": address, "public_key": key}


def container(number: int, bridge: str, subnet: str) -> dict[str, Any]:
    service = {"name": "web", "protocol": "tcp", "port": 443, "exposed": True}
    return {
        "id": str(number),
        "name": f"web{number}",
        "veth": f"veth{number}",
        "bridge": bridge,
        "ipv4_address": f"{subnet}.{number}/24",
        "image": IMAGE,
        "egress": "warp0",
        "services": [service],
    }


INVENTORY: dict[str, dict[str, Any]] = {
    "one-bridge": {
        "socket_bridge_bridges": [{"name": "mesh", "subnet": "10.0.0.0/24"}],
        "socket_bridge_uplinks": [mesh("nm-privacy", "10.100.0.2/16"), {**WARP, "bridge": "mesh"}],
        "lxc_service_containers": [container(100, "mesh", "10.0.0"), container(102, "mesh", "10.0.0")],
    },
    "two-bridges": {
        "socket_bridge_bridges": [{"name": "mesh"}, {"name": "vmbr0", "subnet": "10.1.0.0/24"}],
        "socket_bridge_uplinks": [
            {**mesh("nm-server", "10.100.0.1/16"), "endpoint": "192.0.2.10:51821"},
            {**WARP, "bridge": "vmbr0"},
        ],
        "socket_bridge_veth_pairs": [
            {"peer1": {"name": "to-socket", "bridge": "mesh"}, "peer2": {"name": "from-mesh", "bridge": "vmbr0"}}
        ],
        "lxc_service_containers": [container(200, "vmbr0", "10.1.0"), container(201, "vmbr0", "10.1.0")],
    },
}


@pytest.mark.parametrize("host", INVENTORY)
def test_compiled_flows_converge(ovs: PrivateOvs, run: Module, directory: Path, host: str) -> None:
    for name, compiled in compile_flows(INVENTORY, host).items():
        ports = [{"name": port, "ofport": number} for port, number in compiled["ports"].items()]
        run("ovs_bridge", name=name, ports=ports)
        arguments = {"bridge": name, **compiled, "durable": str(directory / f"{name}.flows")}
        result = run("ovs_bridge_flows", **arguments)
        assert result["counts"]["added"] == len(compiled["flows"])
        assert set(result["origins"]) == {line[7:25] for line in compiled["flows"]}, "a rule without an origin"
        assert not run("ovs_bridge_flows", **arguments)["changed"]
        assert len(ovs.flows(name)) == len(compiled["flows"])


def test_revoked_egress_is_cut_by_mark(apply: Apply) -> None:
    """The compiler's egress rules name containers by register, which is the mark of their connections."""
    compiled = compile_flows(INVENTORY, "one-bridge")["mesh"]
    common = {"ports": compiled["ports"], "flush_revoked": True, "ct_zone": 4242}
    apply(compiled["flows"], **common)
    egress = [flow for flow in compiled["flows"] if "table=40,priority=100," in flow]
    assert egress
    kept = [flow for flow in compiled["flows"] if flow not in egress]
    result = apply(kept, **common)
    assert len(result["revoked"]) == len(egress)
    assert result["flushed"] == 0, "there are no connections to cut"
