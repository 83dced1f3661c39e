# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways to spoil the inventory of the examples, one fault at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ansible_collections.op_dbus.socket_network.plugins.module_utils._core import identity

from tests.unit.core.samples import key, one_bridge

Inventory = dict[str, Any]
HOME, DROPLET = "oo1424oo", "vps-gateway"
BRIDGES, UPLINKS = "socket_bridge_bridges", "socket_bridge_uplinks"
PAIRS, CONTAINERS = "socket_bridge_veth_pairs", "lxc_service_containers"
MESH, WARP = "socket_bridge_uplinks[nm-privacy]", "socket_bridge_uplinks[warp0]"
XRAY = "lxc_service_containers[xray-client]"
VLESS = f"{XRAY}.services[xray-vless]"
NOT_A_BRIDGE = {"name": "x", "subnet": "10.9.0.0/24"}


@dataclass(frozen=True)
class Case:
    """``spoil`` makes one fault; ``says`` is its whole line: "host: variable = value: problem Fix: fix"."""

    name: str
    spoil: Callable[[Inventory], object]
    says: str
    inventory: Callable[[], Inventory] = one_bridge


def bridge(inventory: Inventory, host: str = HOME) -> Inventory:
    return inventory[host][BRIDGES][0]


def uplink(inventory: Inventory, index: int = 0, host: str = HOME) -> Inventory:
    return inventory[host][UPLINKS][index]


def container(inventory: Inventory, index: int = 1, host: str = HOME) -> Inventory:
    return inventory[host][CONTAINERS][index]


def service(inventory: Inventory, index: int = 0) -> Inventory:
    return container(inventory)["services"][index]


def set_in(find: Callable[..., Inventory], **values: Any) -> Callable[[Inventory], object]:
    return lambda inventory: find(inventory).update(values)


def without(find: Callable[..., Inventory], name: str) -> Callable[[Inventory], object]:
    return lambda inventory: find(inventory).pop(name)


def added(variable: str, item: Any, host: str = HOME) -> Callable[[Inventory], object]:
    return lambda inventory: inventory[host].setdefault(variable, []).append(item)


def extra_container(**values: Any) -> dict[str, Any]:
    base = {"id": "103", "name": "extra", "veth": "veth103", "bridge": "mesh", "ipv4_address": "10.0.0.103/24"}
    return {**base, **values}


def mesh_node(number: int, **values: Any) -> Inventory:
    """A third host, behind NAT like oo1424oo."""
    mesh = {"name": "nm", "kind": "wireguard", "bridge": "mesh", "public_key": key(3)}
    return {
        BRIDGES: [{"name": "mesh", "subnet": f"10.{number}.0.0/24"}],
        UPLINKS: [{**mesh, "address": f"10.100.0.{number}/16", **values}],
    }


def without_relay(inventory: Inventory) -> None:
    del uplink(inventory, 0, DROPLET)["relay"]
    inventory["third"] = mesh_node(3)


def second_mesh(inventory: Inventory) -> None:
    """Both hosts meet on a second mesh too."""
    for host, number in ((HOME, 2), (DROPLET, 1)):
        other = {
            "name": "nm2",
            "kind": "netmaker",
            "bridge": "mesh",
            "network": "other",
            "endpoint": f"192.0.2.{number}",
        }
        inventory[host][UPLINKS].append({**other, "address": f"10.101.0.{number}/16"})


def colliding_ofports() -> tuple[str, str]:
    """Two uplink names whose ports on the bridge would have the same OpenFlow number."""
    seen: dict[int, str] = {}
    for number in range(10000):
        name = f"nm{number}"
        port = identity.link_ofport(f"ovs-{name}")
        if port in seen and identity.digest16(seen[port]) != identity.digest16(name):
            return seen[port], name
        seen[port] = name
    raise RuntimeError("no two of 10,000 names collide")


FIRST, SECOND = colliding_ofports()


def tunnel(name: str, number: int, **values: Any) -> dict[str, Any]:
    """An uplink of oo1424oo to a mesh that it is alone on."""
    mesh = {"kind": "wireguard", "bridge": "mesh", "network": f"mesh{number}", "public_key": key(10 + number)}
    return {"name": name, **mesh, "address": f"10.{100 + number}.0.2/16", **values}


def same_ofport(inventory: Inventory) -> None:
    inventory[HOME][UPLINKS] += [tunnel(FIRST, 1), tunnel(SECOND, 2)]


def netmaker() -> Inventory:
    """The droplet is the relay of two hosts behind NAT, all of them in Netmaker."""
    inventory = one_bridge()
    inventory["third"] = mesh_node(3)
    more: Inventory = {HOME: {}, DROPLET: {"endpoint": "192.0.2.10"}, "third": {"listen_port": 51822}}
    for host, values in more.items():
        mesh = uplink(inventory, 0, host)
        mesh.update(kind="netmaker", **values)
        del mesh["public_key"]
    return inventory


def second_netmaker(inventory: Inventory) -> None:
    mesh = {"name": "nm2", "kind": "netmaker", "bridge": "mesh", "network": "other"}
    inventory[HOME][UPLINKS].append({**mesh, "address": "10.101.0.2/16"})


LETTERS = (
    "the name must start with a letter and hold only letters, digits, '-' and '_' (a number would be taken for an "
    "OpenFlow port)."
)
