# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The flow lists of the design documents, character for character, and hosts that have the ports they name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

LISTS = Path(__file__).resolve().parents[1] / "fixtures" / "literal"


def text(name: str) -> str:
    """The list ``name`` of the documents."""
    return (LISTS / name).read_text(encoding="utf-8")


def _container(number: int, name: str, subnet: str, bridge: str = "mesh") -> dict[str, Any]:
    address = f"{subnet}.{number}/24"
    return {"id": str(number), "name": name, "veth": f"veth{number}", "bridge": bridge, "ipv4_address": address}


def _mesh(name: str, number: int) -> dict[str, Any]:
    return {"name": name, "kind": "netmaker", "bridge": "mesh", "address": f"10.100.0.{number}/16"}


def _literal(lists: dict[str, Any]) -> dict[str, Any]:
    return {"socket_bridge_mode": "literal", "socket_bridge_literal_flows": lists}


def home(flows: Any) -> dict[str, Any]:
    """oo1424oo as the documents have it, with the list ``flows`` on its bridge."""
    return {
        "socket_bridge_bridges": [{"name": "mesh", "subnet": "10.0.0.0/24"}],
        "socket_bridge_uplinks": [_mesh("nm-privacy", 2), {"name": "warp0", "kind": "warp", "bridge": "mesh"}],
        "lxc_service_containers": [_container(100, "gateway", "10.0.0"), _container(102, "xray-client", "10.0.0")],
        **_literal({"mesh": flows}),
    }


def droplet(flows: Any) -> dict[str, Any]:
    """The droplet as the documents have it."""
    names = {200: "mcp-server", 201: "op-dbus-api", 202: "xray-server"}
    return {
        "socket_bridge_bridges": [{"name": "mesh", "subnet": "10.1.0.0/24"}],
        "socket_bridge_uplinks": [_mesh("nm-server", 1)],
        "lxc_service_containers": [_container(number, name, "10.1.0") for number, name in names.items()],
        **_literal({"mesh": flows}),
    }


def two_bridges(mesh: Any, vmbr0: Any) -> dict[str, Any]:
    """oo1424oo with a transit bridge, as the document of the distributed network has it."""
    ends = {"peer1": {"name": "to-socket", "bridge": "mesh"}, "peer2": {"name": "from-mesh", "bridge": "vmbr0"}}
    return {
        "socket_bridge_bridges": [{"name": "mesh"}, {"name": "vmbr0", "subnet": "10.0.0.0/24"}],
        "socket_bridge_veth_pairs": [ends],
        "socket_bridge_uplinks": [_mesh("nm0", 2), {"name": "warp0", "kind": "warp", "bridge": "vmbr0"}],
        "lxc_service_containers": [
            _container(102, "xray", "10.0.0", "vmbr0"),
            _container(103, "vector-db", "10.0.0", "vmbr0"),
        ],
        **_literal({"mesh": mesh, "vmbr0": vmbr0}),
    }
