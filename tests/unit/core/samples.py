# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inventories of the two hosts of the design documents, in both topologies, for the tests of the core."""

from __future__ import annotations

import base64
import hashlib
import textwrap
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.compile import BridgeFlows, compile_node
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.flow import Flow
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.inventory import fleet_from_inventory
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.model import Fleet

TODAY = date(2026, 11, 22)

ONE_BRIDGE = """
socket_bridge_bridges:
  - {name: mesh, subnet: 10.0.0.0/24, ct_zone: 4242}
socket_bridge_uplinks:
  - {name: nm-privacy, kind: wireguard, bridge: mesh, address: 10.100.0.2/16, public_key: KEY1, listen_port: 51821}
  - {name: warp0, kind: warp, bridge: mesh}
lxc_service_containers:
  - {id: "100", name: gateway, veth: veth100, bridge: mesh, ipv4_address: 10.0.0.100/24, egress: warp0}
  - id: "102"
    name: xray-client
    veth: veth102
    bridge: mesh
    ipv4_address: 10.0.0.102/24
    egress: warp0
    memory: 512
    swap: 256
    cpus: 1.5
    services:
      - {name: xray-vless, protocol: tcp, port: 443, exposed: true, health: {tcp: true}}
      - {name: xray-vmess, protocol: tcp, port: 8443, exposed_to: [mesh]}
"""

TWO_BRIDGES = """
socket_bridge_bridges:
  - {name: mesh}
  - {name: vmbr0, subnet: 10.0.0.0/24, ct_zone: 4242}
socket_bridge_veth_pairs:
  - {peer1: {name: to-socket, bridge: mesh}, peer2: {name: from-mesh, bridge: vmbr0}}
socket_bridge_uplinks:
  - {name: nm-privacy, kind: wireguard, bridge: mesh, address: 10.100.0.2/16, public_key: KEY1, listen_port: 51821}
  - {name: warp0, kind: warp, bridge: vmbr0}
lxc_service_containers:
  - {id: "100", name: gateway, veth: veth100, bridge: vmbr0, ipv4_address: 10.0.0.100/24}
  - id: "102"
    name: xray-client
    veth: veth102
    bridge: vmbr0
    ipv4_address: 10.0.0.102/24
    egress: warp0
    services:
      - {name: xray-vless, protocol: tcp, port: 443, exposed: true}
      - {name: xray-vmess, protocol: tcp, port: 8443, exposed_to: [mesh]}
"""

DROPLET = """
socket_bridge_bridges:
  - {name: mesh, subnet: 10.1.0.0/24}
socket_bridge_uplinks:
  - name: nm-server
    kind: wireguard
    bridge: mesh
    address: 10.100.0.1/16
    public_key: KEY2
    endpoint: 192.0.2.10:51821
    relay: true
lxc_service_containers:
  - id: "200"
    name: mcp-server
    veth: veth200
    bridge: mesh
    ipv4_address: 10.1.0.200/24
    services: [{name: mcp, protocol: tcp, port: 9573, exposed_to: [local]}]
  - id: "201"
    name: op-dbus-api
    veth: veth201
    bridge: mesh
    ipv4_address: 10.1.0.201/24
    services: [{name: api, protocol: tcp, port: 9574, exposed_to: [local, mesh, host], health: {http: /health}}]
  - id: "202"
    name: xray-server
    veth: veth202
    bridge: mesh
    ipv4_address: 10.1.0.202/24
    services:
      - {name: xray-vless, protocol: tcp, port: 443, exposed_to: [local, mesh, host, internet]}
      - {name: dns, protocol: udp, port: 53, exposed_to: [internet], public_port: 5353}
"""


def key(number: int) -> str:
    """A public key as WireGuard prints it."""
    return base64.b64encode(hashlib.sha256(str(number).encode()).digest()).decode()


def host(text: str) -> dict[str, Any]:
    """Variables of one host from YAML; KEY1, KEY2… stand for public keys."""
    for number in range(1, 4):
        text = text.replace(f"KEY{number}", key(number))
    variables: dict[str, Any] = yaml.safe_load(textwrap.dedent(text))
    return variables


def one_bridge() -> dict[str, Any]:
    return {"oo1424oo": host(ONE_BRIDGE), "vps-gateway": host(DROPLET)}


def two_bridges() -> dict[str, Any]:
    return {"oo1424oo": host(TWO_BRIDGES), "vps-gateway": host(DROPLET)}


def fleet(inventory: dict[str, Any]) -> Fleet:
    return fleet_from_inventory(inventory, today=TODAY)


def compiled(inventory: dict[str, Any], name: str, bridge: str) -> BridgeFlows:
    return compile_node(fleet(inventory), name)[bridge]


def bodies(flows: tuple[Flow, ...], table: int) -> list[str]:
    """The rules of one table without cookie and table: "priority,match actions", in order, the miss left out."""
    found = []
    for flow in flows:
        if flow.table == table and flow.priority:
            actions = ",".join(action.text() for action in flow.actions)
            found.append(f"{flow.priority},{flow.match_text()} {actions}")
    return found


_REFERENCE = Path(__file__).parent / "fixtures" / "oo1424oo.flows"
_OURS_FOR_THEIRS = {
    '"gw-nm"': '"ovs-nm-privacy"',
    '"gw-warp0"': '"ovs-warp0"',
    "02:01:00:00:00:c9": "02:01:5a:7f:f1:ef",
    "02:01:00:00:00:ca": "02:01:e1:13:bd:43",
}


def reference_flows() -> list[str]:
    """The table that was proven with packets, with our names and MAC addresses for its two uplinks."""
    text = _REFERENCE.read_text(encoding="ascii")
    for theirs, ours in _OURS_FOR_THEIRS.items():
        text = text.replace(theirs, ours)
    return text.splitlines()


def like_reference() -> BridgeFlows:
    """Our rules for the host of the reference, the uplinks numbered as there."""
    inventory = one_bridge()
    uplinks = inventory["oo1424oo"]["socket_bridge_uplinks"]
    uplinks[0]["number"], uplinks[1]["number"] = 1, 2
    uplinks.append({"name": "host", "kind": "host", "bridge": "mesh", "number": 3})
    return compiled(inventory, "oo1424oo", "mesh")
