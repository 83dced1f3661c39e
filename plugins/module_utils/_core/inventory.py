# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""From inventory data of all hosts to a checked `Fleet`; every fault of every host stands in one report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from .._errors import Fault, InvalidFleetError
from . import identity, literal, names, templates
from .containers import read_container
from .model import UPLINK_KINDS, Bridge, Container, Fleet, Node, Uplink, VethEnd, VethPair
from .readers import Item, address_problem, endpoint_problem, is_wireguard_key, kind_of, shown
from .validate import check_node
from .validate_fleet import check_fleet

BRIDGES = "socket_bridge_bridges"
UPLINKS = "socket_bridge_uplinks"
VETH_PAIRS = "socket_bridge_veth_pairs"
CONTAINERS = "lxc_service_containers"
VARIABLES = (BRIDGES, VETH_PAIRS, UPLINKS, CONTAINERS, literal.MODE, literal.FLOWS)
"""Every inventory variable that makes the fleet. Secrets are none of them."""

DEFAULT_NETWORK = "privacy-mesh"
NETCLIENT_DEVICE = "netmaker"
"""The one interface of netclient, for all its networks; its firewall rules do not follow another name."""
NETCLIENT_PORT = 51821
DEFAULT_MTU = {"host": 1500, "warp": 1280, "wireguard": 1420, "netmaker": 1420}

_BRIDGE_KEYS = frozenset({"name", "subnet", "gateway", "ct_zone"})
_PAIR_KEYS = frozenset({"peer1", "peer2"})
_END_KEYS = frozenset({"name", "bridge"})
_COMMON_KEYS = frozenset({"name", "kind", "bridge", "mtu", "number"})
_MESH_KEYS = _COMMON_KEYS | {"network", "address", "prefixes", "listen_port", "endpoint", "relay"}
_UPLINK_KEYS = {
    "host": _COMMON_KEYS,
    "warp": _COMMON_KEYS | {"device"},
    "netmaker": _MESH_KEYS,
    "wireguard": _MESH_KEYS | {"device", "public_key", "keepalive"},
}
_NEEDED_KEYS = {"wireguard": ("address", "public_key"), "netmaker": ("address",)}


def fleet_from_inventory(inventory: Mapping[str, Mapping[str, Any]], *, today: date | None = None) -> Fleet:
    """The fleet that ``inventory`` ({host: {variable: value}}) describes.

    ``today`` decides which templates are past their end of life (a warning). Raises InvalidFleetError with all faults.
    """
    faults: list[Fault] = []
    nodes = {host: _node(host, variables, faults) for host, variables in sorted(_named(inventory, faults))}
    fleet = Fleet(nodes=nodes)
    check_fleet(fleet, faults)
    if faults:
        raise InvalidFleetError(faults)
    return replace(fleet, warnings=_warnings(nodes, today or date.today()) + _shared_ports(fleet))


def _named(inventory: Mapping[str, Mapping[str, Any]], faults: list[Fault]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The hosts of ``inventory``, whose names YAML may have read as something else."""
    for host, variables in inventory.items():
        if isinstance(host, str):
            yield host, variables
        else:
            problem = f"{kind_of(host)} is no host name."
            faults.append(Fault(shown(host), "(host)", shown(host), problem, "write the name in quotes."))


def _node(host: str, variables: Mapping[str, Any], faults: list[Fault]) -> Node:
    if not isinstance(variables, Mapping):
        faults.append(Fault(host, "(host)", shown(variables), f"{kind_of(variables)} stands here.", "write a mapping."))
        return Node(name=host)
    item = Item(host, "", variables, faults)
    for variable in sorted(str(name) for name in variables.keys() - set(VARIABLES)):
        item.fault(variable, "(set)", "this variable does not describe the fleet.", f"use {', '.join(VARIABLES)}.")
    bridge_items, uplink_items = item.items(BRIDGES), item.items(UPLINKS)
    bridges = [bridge for bridge in map(_bridge, bridge_items) if bridge]
    uplinks = [uplink for uplink in map(_uplink, uplink_items) if uplink]
    read = {bridge.name for bridge in bridges} | {uplink.name for uplink in uplinks}
    broken = {item.name for item in bridge_items + uplink_items} - read
    pairs = [pair for pair in map(_veth_pair, item.items(VETH_PAIRS, "")) if pair]
    containers = [container for container in map(read_container, item.items(CONTAINERS)) if container]
    uplinks += _host_uplink(bridges, uplinks)
    node = Node(
        name=host,
        bridges=tuple(sorted(bridges, key=_name)),
        uplinks=tuple(sorted(uplinks, key=_name)),
        veth_pairs=tuple(sorted(pairs, key=lambda pair: (pair.peer1.name, pair.peer2.name))),
        containers=tuple(sorted(containers, key=_name)),
    )
    check_node(node, broken, faults)
    return replace(node, literal=literal.read_literal(item, node, not broken))


def _name(thing: Bridge | Uplink | Container) -> str:
    return thing.name


def _bridge(item: Item) -> Bridge | None:
    item.keys(("name",), _BRIDGE_KEYS, "a bridge")
    name = item.text("name", names.bridge_problem)
    subnet = item.network("subnet")
    gateway = item.address("gateway")
    zone = item.number("ct_zone", 1, 65535)
    if name is None or (subnet is None and item.has("subnet")):
        return None
    if subnet is not None and gateway is None:
        gateway = subnet.network_address + 1
    elif subnet is None and gateway is not None:
        item.fault("gateway", str(gateway), "a bridge without a subnet has no gateway.", "remove it or set subnet.")
    return Bridge(
        name=name, subnet=subnet, gateway=gateway, ct_zone=zone or identity.digest16(name), origin=item.origin
    )


def _uplink(item: Item) -> Uplink | None:
    kind = item.choice("kind", UPLINK_KINDS)
    allowed = _UPLINK_KEYS[kind] if kind else _UPLINK_KEYS["wireguard"]
    required = ("name", "kind", "bridge", *_NEEDED_KEYS.get(kind or "", ()))
    item.keys(required, allowed, f"an uplink of kind {kind}" if kind else "an uplink")
    name = item.text("name", names.uplink_problem)
    bridge = item.text("bridge")
    device = item.text("device", names.interface_problem)
    mtu = item.number("mtu", 576, 9000)
    number = item.number("number", 1, 65535)
    address = item.interface("address")
    key = _public_key(item)
    endpoint = item.text("endpoint", address_problem if kind == "netmaker" else endpoint_problem)
    listen_port = item.number("listen_port", 1, 65535) or _listen_port(kind, endpoint)
    network = item.text("network", names.network_problem if kind == "netmaker" else None)
    prefixes = item.networks("prefixes")
    relay = item.flag("relay", False)
    keepalive = item.number("keepalive", 0, 65535)
    if name is None or kind is None or bridge is None:
        return None
    return Uplink(
        name=name,
        kind=kind,
        bridge=bridge,
        device=_device(kind, name, device),
        number=number or identity.digest16(name),
        mtu=mtu or DEFAULT_MTU[kind],
        network=(network or DEFAULT_NETWORK) if kind in ("wireguard", "netmaker") else "",
        address=address,
        prefixes=prefixes,
        listen_port=listen_port,
        endpoint=endpoint,
        public_key=key,
        relay=relay,
        keepalive=25 if keepalive is None else keepalive,
        origin=item.origin,
    )


def _listen_port(kind: str | None, endpoint: str | None) -> int | None:
    if kind == "netmaker":
        return NETCLIENT_PORT
    return int(endpoint.rpartition(":")[2]) if endpoint is not None else None


def _device(kind: str, name: str, device: str | None) -> str | None:
    if kind == "host":
        return None
    return device or (NETCLIENT_DEVICE if kind == "netmaker" else name)


def _public_key(item: Item) -> str | None:
    key = item.text("public_key")
    if key is None or is_wireguard_key(key):
        return key
    problem = "a WireGuard key is 32 bytes in base64 (44 characters)."
    item.fault("public_key", f"{key[:4]}…", problem, "take what `wg pubkey` prints.")
    return None


def _veth_pair(item: Item) -> VethPair | None:
    item.keys(("peer1", "peer2"), _PAIR_KEYS, "a veth pair")
    first, second = _veth_end(item.item("peer1")), _veth_end(item.item("peer2"))
    if first is None or second is None:
        return None
    near, far = sorted((first, second), key=lambda end: end.name)
    origin = f"{item.host}: {VETH_PAIRS}[{near.name}, {far.name}]"
    return VethPair(peer1=near, peer2=far, origin=origin)


def _veth_end(item: Item | None) -> VethEnd | None:
    if item is None:
        return None
    item.keys(("name", "bridge"), _END_KEYS, "an end of a veth pair")
    name, bridge = item.text("name", names.interface_problem), item.text("bridge")
    return None if name is None or bridge is None else VethEnd(name=name, bridge=bridge)


def _host_uplink(bridges: list[Bridge], uplinks: list[Uplink]) -> list[Uplink]:
    """The host uplink of a node with exactly one bridge that has a subnet, unless the node declares its own."""
    served = [bridge for bridge in bridges if bridge.subnet is not None]
    if len(served) != 1 or any(uplink.kind == "host" for uplink in uplinks):
        return []
    bridge = served[0]
    return [
        Uplink(
            name="host",
            kind="host",
            bridge=bridge.name,
            device=None,
            number=identity.digest16("host"),
            mtu=DEFAULT_MTU["host"],
            origin=f"{bridge.origin} (its host uplink)",
        )
    ]


def _warnings(nodes: Mapping[str, Node], today: date) -> tuple[str, ...]:
    found = []
    for node in nodes.values():
        for container in node.containers:
            end = templates.ended(container.template, today)
            if end:
                found.append(
                    f"{container.origin}.template = '{container.template}': support of this template ended on {end}. "
                    "Fix: choose debian-13 or another template that still gets security updates."
                )
            found += [
                f"{service.origin}.public_port = 22: the host's own SSH server is no longer reachable from outside "
                "when it listens there. Fix: choose another public_port unless SSH has moved."
                for service in container.services
                if service.protocol == "tcp" and service.public_port == 22
            ]
    return tuple(found)


def _shared_ports(fleet: Fleet) -> tuple[str, ...]:
    """Netmaker's hosts behind one NAT need ports of their own; which of them are behind one NAT nobody tells us."""
    found = []
    for (kind, network), members in fleet.meshes.items():
        ports: dict[int | None, list[str]] = {}
        for member in members:
            if kind == "netmaker" and member.uplink.endpoint is None:
                ports.setdefault(member.uplink.listen_port, []).append(member.node.name)
        found += [
            f"{', '.join(hosts)} have no endpoint and the same listen_port {port} on {network}: behind one NAT they "
            "are taken for one host. Fix: give each a listen_port of its own."
            for port, hosts in ports.items()
            if len(hosts) > 1
        ]
    return tuple(found)
