# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bridge that has little or nothing on it yet is compiled to rules without findings too: a run stops at findings."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.op_dbus.socket_network.plugins.filter.check_flows import check_flows
from ansible_collections.op_dbus.socket_network.plugins.filter.compile_flows import compile_flows

ONE: dict[str, Any] = {"socket_bridge_bridges": [{"name": "mesh", "subnet": "10.0.0.0/24"}]}
BARE: dict[str, Any] = {
    "socket_bridge_bridges": [*ONE["socket_bridge_bridges"], {"name": "b", "subnet": "10.3.0.0/24"}]
}
MESH = [{"name": "nm", "kind": "netmaker", "bridge": "mesh", "address": "10.100.0.2/16"}]
PAIR = {"peer1": {"name": "to-socket", "bridge": "mesh"}, "peer2": {"name": "from-mesh", "bridge": "vmbr0"}}
TWO: dict[str, Any] = {
    "socket_bridge_bridges": [{"name": "mesh"}, {"name": "vmbr0", "subnet": "10.2.0.0/24"}],
    "socket_bridge_veth_pairs": [PAIR],
    "socket_bridge_uplinks": MESH,
}
CONTAINER = {"id": "5", "name": "c", "veth": "veth5", "bridge": "mesh", "ipv4_address": "10.0.0.5/24"}
SERVICE = {"name": "web", "protocol": "tcp", "port": 80, "exposed": True}
NODES: dict[str, dict[str, Any]] = {
    "only the host": ONE,
    "a mesh": {**ONE, "socket_bridge_uplinks": MESH},
    "an exit": {**ONE, "socket_bridge_uplinks": [{"name": "warp0", "kind": "warp", "bridge": "mesh"}]},
    "two bridges": TWO,
    "nothing": BARE,
    "a container": {**ONE, "lxc_service_containers": [CONTAINER]},
    "a container alone": {**BARE, "lxc_service_containers": [CONTAINER]},
    "a service alone": {**BARE, "lxc_service_containers": [{**CONTAINER, "services": [SERVICE]}]},
}


@pytest.mark.parametrize("node", NODES)
def test_no_findings(node: str) -> None:
    compiled = compile_flows({"host": NODES[node]}, "host")
    assert all(bridge["flows"] for bridge in compiled.values())
    assert check_flows(compiled) == []
