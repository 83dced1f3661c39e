# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet with two meshes, of which one host is on both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.lib.fleets import shipped

LISTS = Path(__file__).resolve().parents[2] / "fixtures" / "literal"


def container(number: int, subnet: str, bridge: str = "mesh", **more: Any) -> dict[str, Any]:
    return {
        "id": str(number),
        "name": f"c{number}",
        "veth": f"veth{number}",
        "bridge": bridge,
        "ipv4_address": f"{subnet}.{number}/24",
        **more,
    }


def mesh(network: str, host: int, **more: Any) -> dict[str, Any]:
    address = f"10.{100 if network == 'red' else 101}.0.{host}/16"
    key = f"{host}{network[0]}" + "A" * 41 + "="
    common = {"name": f"wg-{network}", "kind": "wireguard", "bridge": "mesh", "network": network, "public_key": key}
    return {**common, "address": address, "listen_port": 51820 + len(network), **more}


def service(name: str, protocol: str, port: int, *exposed_to: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "protocol": protocol, "port": port, "exposed_to": list(exposed_to), **more}


def three_hosts() -> dict[str, dict[str, Any]]:
    """`one` is on the mesh red, `three` on blue, `two` on both; `three` has a transit bridge."""
    one = {
        "socket_bridge_bridges": [{"name": "mesh", "subnet": "10.11.0.0/24"}],
        "socket_bridge_uplinks": [
            mesh("red", 1, endpoint="192.0.2.1:51823", prefixes=["172.16.5.0/24"]),
            {"name": "warp0", "kind": "warp", "bridge": "mesh"},
        ],
        "lxc_service_containers": [
            container(
                10,
                "10.11.0",
                egress="warp0",
                services=[
                    service("web", "tcp", 80, "local", "internet", public_port=8080),
                    service("quic", "udp", 80, "host"),
                ],
            ),
            container(
                11, "10.11.0", services=[service("dns", "udp", 53, "mesh"), service("dns-tcp", "tcp", 53, "mesh")]
            ),
        ],
    }
    two = {
        "socket_bridge_bridges": [{"name": "mesh", "subnet": "10.12.0.0/24"}],
        "socket_bridge_uplinks": [
            mesh("red", 2, endpoint="192.0.2.2:51823"),
            mesh("blue", 2, endpoint="192.0.2.2:51824"),
        ],
        "lxc_service_containers": [
            container(20, "10.12.0", services=[service("db", "tcp", 5432, "local", "mesh", "host")]),
            container(21, "10.12.0"),
        ],
    }
    three = {
        "socket_bridge_bridges": [{"name": "mesh"}, {"name": "vmbr0", "subnet": "10.13.0.0/24"}],
        "socket_bridge_veth_pairs": [
            {"peer1": {"name": "to-socket", "bridge": "mesh"}, "peer2": {"name": "from-mesh", "bridge": "vmbr0"}}
        ],
        "socket_bridge_uplinks": [mesh("blue", 3, endpoint="192.0.2.3:51824")],
        "lxc_service_containers": [
            container(30, "10.13.0", "vmbr0", services=[service("ssh", "tcp", 22, "mesh")]),
            container(31, "10.13.0", "vmbr0"),
        ],
    }
    return {"one": one, "two": two, "three": three}


def written() -> dict[str, dict[str, Any]]:
    """The two hosts with the rules of the design documents."""
    fleet = shipped("production-example")
    for host, variables in fleet.items():
        text = (LISTS / f"{host}.txt").read_text(encoding="utf-8")
        fleet[host] = {**variables, "socket_bridge_mode": "literal", "socket_bridge_literal_flows": {"mesh": text}}
    return fleet
