# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What the host's link layer has to make for one node: ports, uplinks, published ports and tunnels, as plain data."""

from __future__ import annotations

from typing import Any

from .model import Bridge, Fleet, Node, Service, Uplink, VethEnd
from .tunnels import tunnel

OWNER = {"op-dbus-owner": "socket_bridge"}
"""OVSDB external_ids of the bridges and ports that the link layer makes."""

Data = dict[str, Any]


def link_layer(fleet: Fleet, host: str) -> Data:
    """The links of ``host``; README of role socket_bridge and filter `link_layer` describe the keys."""
    node = fleet.nodes[host]
    return {
        "bridges": [_bridge(node, bridge) for bridge in node.bridges],
        "uplinks": [_uplink(fleet, node, uplink) for uplink in node.uplinks],
        "veth_pairs": [{"peer1": _end(pair.peer1), "peer2": _end(pair.peer2)} for pair in node.veth_pairs],
        "published": [
            {"protocol": service.protocol, "public_port": service.public_port, **target}
            for service, target in _targets(node, "internet")
        ],
        "host_services": [{"protocol": service.protocol, **target} for service, target in _targets(node, "host")],
        "tunnels": [tunnel(fleet, uplink) for uplink in node.uplinks if uplink.kind == "wireguard"],
    }


def _bridge(node: Node, bridge: Bridge) -> Data:
    ports = [{"name": uplink.bridge_port, "ofport": uplink.ofport} for uplink in node.uplinks_of(bridge.name)]
    ports += [
        {"name": near.name, "ofport": near.ofport, "mac": near.mac}
        for near, _far in sorted(node.ends(bridge.name), key=lambda ends: ends[0].name)
    ]
    return {
        "name": bridge.name,
        "subnet": str(bridge.subnet) if bridge.subnet else None,
        "ct_zone": bridge.ct_zone,
        "ports": [{**port, "external_ids": dict(OWNER)} for port in ports],
    }


def _uplink(fleet: Fleet, node: Node, uplink: Uplink) -> Data:
    served = node.served_bridge(uplink)
    return {
        "name": uplink.name,
        "kind": uplink.kind,
        "bridge": uplink.bridge,
        "device": uplink.device,
        "gateway_port": uplink.gateway_port,
        "bridge_port": uplink.bridge_port,
        "mac": uplink.mac,
        "ofport": uplink.ofport,
        "number": uplink.number,
        "table": uplink.table,
        "mtu": uplink.mtu,
        "subnet": str(served.subnet) if served and served.subnet else None,
        "prefixes": [str(prefix) for prefix in fleet.prefixes(node, uplink)],
        "relay": uplink.relay,
        "masquerade": uplink.kind == "warp",
    }


def _end(end: VethEnd) -> Data:
    return {"name": end.name, "bridge": end.bridge, "ofport": end.ofport, "mac": end.mac}


def _targets(node: Node, source: str) -> list[tuple[Service, Data]]:
    """Services open to ``source``, with the address and the gateway port through which the host reaches each."""
    gateways = {uplink.bridge: uplink.gateway_port for uplink in node.uplinks if uplink.kind == "host"}
    return [
        (service, {"address": str(container.ip), "port": service.port, "gateway_port": gateways[container.bridge]})
        for container in node.containers
        for service in container.services
        if source in service.exposed_to
    ]
