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
    tunnel = {"name": "nm", "kind": "wireguard", "bridge": "mesh", "public_key": key(3)}
    return {
        BRIDGES: [{"name": "mesh", "subnet": f"10.{number}.0.0/24"}],
        UPLINKS: [{**tunnel, "address": f"10.100.0.{number}/16", **values}],
    }


def without_relay(inventory: Inventory) -> None:
    del uplink(inventory, 0, DROPLET)["relay"]
    inventory["third"] = mesh_node(3)


def second_mesh(inventory: Inventory) -> None:
    """Both hosts meet on a second mesh too."""
    for host, number in ((HOME, 2), (DROPLET, 1)):
        tunnel = {"name": "nm2", "kind": "netmaker", "bridge": "mesh", "network": "other"}
        inventory[host][UPLINKS].append({**tunnel, "address": f"10.101.0.{number}/16"})


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


def netmaker(name: str, **values: Any) -> dict[str, Any]:
    return {"name": name, "kind": "netmaker", "bridge": "mesh", "device": f"dev-{name}", **values}


def same_ofport(inventory: Inventory) -> None:
    inventory[HOME][UPLINKS] += [netmaker(FIRST, network="one"), netmaker(SECOND, network="two")]


LETTERS = (
    "the name must start with a letter and hold only letters, digits, '-' and '_' (a number would be taken for an "
    "OpenFlow port)."
)
