# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inventories to verify rules with: the two that the project ships, and one with two bridges on a host."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.inventory import VARIABLES

ROOT = Path(__file__).resolve().parents[2]

Inventory = dict[str, dict[str, Any]]


def shipped(name: str) -> Inventory:
    """What the filter `fleet_inventory` gives for ``inventories/NAME``, without its variables and placeholders.

    Those (keys, images, templates) have no influence on rules.
    """
    paths = sorted((ROOT / "inventories" / name / "host_vars").iterdir())
    return {path.stem: _host(path) for path in paths}


def _host(path: Path) -> dict[str, Any]:
    files = [path] if path.is_file() else sorted(file for file in path.iterdir() if file.stem != "vault")
    variables = {}
    for file in files:
        variables |= yaml.safe_load(file.read_text(encoding="utf-8"))
    return {variable: _plain(variables[variable], path.stem) for variable in VARIABLES if variable in variables}


def _plain(value: Any, host: str, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _plain(item, host, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, host) for item in value]
    if isinstance(value, str) and value.startswith(("{{", "REPLACE")):
        digest = hashlib.sha256(host.encode())
        image = {"path": "/var/lib/image.tar", "sha256": digest.hexdigest()}
        key_of_host = base64.b64encode(digest.digest()).decode()
        return {"public_key": key_of_host, "template": "debian-13", "image": image}[key]
    return value


def _container(number: int, subnet: str, bridge: str, **more: Any) -> dict[str, Any]:
    return {
        "id": str(number),
        "name": f"c{number}",
        "veth": f"veth{number}",
        "bridge": bridge,
        "ipv4_address": f"{subnet}.{number}/24",
        **more,
    }


def _mesh(name: str, number: int, **more: Any) -> dict[str, Any]:
    address = f"10.100.0.{number}/16"
    return {"name": name, "kind": "netmaker", "bridge": "mesh", "address": address, **more}


def two_bridges() -> Inventory:
    """`left` has a transit bridge in front of its socket bridge; `right` has one bridge, an exit and a prefix more."""
    dns = {"name": "dns", "protocol": "udp", "port": 53, "exposed": True}
    web = {"name": "web", "protocol": "tcp", "port": 443, "exposed_to": ["mesh", "internet"], "public_port": 443}
    left = {
        "socket_bridge_bridges": [{"name": "mesh"}, {"name": "vmbr0", "subnet": "10.2.0.0/24", "ct_zone": 77}],
        "socket_bridge_veth_pairs": [
            {"peer1": {"name": "to-socket", "bridge": "mesh"}, "peer2": {"name": "from-mesh", "bridge": "vmbr0"}}
        ],
        "socket_bridge_uplinks": [
            _mesh("nm-left", 1, endpoint="192.0.2.1", relay=True),
            {"name": "warp0", "kind": "warp", "bridge": "vmbr0"},
        ],
        "lxc_service_containers": [
            _container(110, "10.2.0", "vmbr0", egress="warp0", services=[web]),
            _container(111, "10.2.0", "vmbr0", services=[dns]),
        ],
    }
    right = {
        "socket_bridge_bridges": [{"name": "mesh", "subnet": "10.3.0.0/24"}],
        "socket_bridge_uplinks": [
            _mesh("nm-right", 2, endpoint="192.0.2.2", prefixes=["192.168.0.0/17"]),
            {"name": "warp0", "kind": "warp", "bridge": "mesh"},
        ],
        "lxc_service_containers": [
            _container(120, "10.3.0", "mesh", egress="warp0"),
            _container(121, "10.3.0", "mesh", services=[{**dns, "exposed_to": ["local", "mesh", "host"]}, web]),
        ],
    }
    return {"left": left, "right": right}


FLEETS = {
    "lab": shipped("lab"),
    "production-example": shipped("production-example"),
    "two-bridges": two_bridges(),
}
HOSTS = [(fleet, host) for fleet, inventory in FLEETS.items() for host in sorted(inventory)]
