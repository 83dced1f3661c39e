# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host is told about its network: its nodes, its peers and the ranges behind them."""

from __future__ import annotations

import base64
from ipaddress import ip_address, ip_interface, ip_network

from .state import NEVER, State
from .store import Document

SHOWN = (
    *("id", "verbosity", "firewallinuse", "version", "name", "os", "os_family", "os_version", "kernel_version"),
    *("debug", "isstaticport", "isstatic", "listenport", "wg_public_listen_port", "mtu"),
)
KEEPALIVE = 20_000_000_000
SECOND = 1_000_000_000
API_ONLY = frozenset(
    ("allowedips", "auto_relayed_peers", "egressgatewayranges_with_metric", "dnson", "status", "country")
)
"""Fields of a node that its host is not told."""

NO_RANGES = {"ranges": None, "ranges_with_metric": None}
NO_NETWORK = {"IP": "", "Mask": None}
HARDEST = 256
"""The metric of a range that was given none."""


def host_for_api(host: Document) -> Document:
    """As users see it, without passwords and keys."""
    return {
        **{field: host[field] for field in SHOWN},
        "interfaces": [{"name": item["name"], "addressString": ""} for item in host["interfaces"] or []],
        "defaultinterface": host["defaultinterface"],
        "endpointip": host["endpointip"],
        "endpointipv6": host["endpointipv6"],
        "publickey": base64.b64encode(bytes(host["publickey"])).decode(),
        "macaddress": base64.b64decode(host["macaddress"] or "").hex(":"),
        "nodes": host["nodes"],
        "isdefault": host["isdefault"],
        "nat_type": "",
        "persistentkeepalive": host["persistentkeepalive"] // SECOND,
        "autoupdate": host["autoupdate"],
        "dns": host["dns_status"],
        "enable_flow_logs": False,
        "location": host["location"],
        "country_code": host["country_code"],
    }


def server_config(state: State) -> Document:
    """With the broker's password in clear, as every host gets it."""
    settings, config = state.settings, state.config
    return {
        "CoreDNSAddr": "",
        "API": settings.api_address,
        "APIHost": "",
        "APIPort": str(settings.api_port),
        "GRPC": "",
        "DNSMode": "on",
        "Version": settings.version,
        "MQPort": "",
        "MQUserName": settings.broker_username,
        "MQPassword": settings.broker_password,
        "BrokerType": "mosquitto",
        "Server": settings.server_name,
        "Broker": settings.broker,
        "Is_EE": False,
        "TrafficKey": base64.b64encode(b"stand-in" * 8).decode(),
        "MetricInterval": config["metric_interval"],
        "MetricsPort": config["metrics_port"],
        "IPDetectionInterval": config["ip_detection_interval"],
        "ManageDNS": config["manage_dns"],
        "Stun": config["stun"],
        "StunServers": config["stun_servers"],
        "EndpointDetection": config["endpoint_detection"],
        "DefaultDomain": config["default_domain"],
        "PeerConnectionCheckInterval": config["peer_connection_check_interval"],
    }


def pull(state: State, host: Document) -> Document:
    """All that a host needs to set up its device."""
    own = [node for node in state.store.all("nodes") if node["hostid"] == host["id"]]
    peers: dict[str, Document] = {}
    routes = []
    for node in own:
        if node["connected"] and not node["pendingdelete"]:
            routes += _peers_of(state, host, node, peers)
    return {
        "host": host,
        "nodes": [node_for_client(node) for node in own],
        "peers": list(peers.values()),
        "server_config": server_config(state),
        "host_network_info": {},
        "egress_network_routes": routes,
        "fw_update": {
            "allow_all": True,
            "networks": [],
            "is_egress_gw": False,
            "is_ingress_gw": False,
            "egress_info": {},
            "ingress_info": {},
            "acl_rules": {},
        },
        "change_default_gw": False,
        "default_gw_ip": "",
        "is_inet_gw": False,
        "endpoint_detection": state.config["endpoint_detection"],
        "name_servers": None,
        "egress_with_domains": None,
        "dns_nameservers": None,
        "auto_relay_nodes": {},
        "gw_nodes": {},
        "replace_peers": False,
        "address_identity_map": {},
    }


def node_for_client(node: Document) -> Document:
    """Addresses as {IP, Mask} instead of texts, times as texts instead of numbers."""
    shown = {field: value for field, value in node.items() if field not in API_ONLY}
    return {
        **shown,
        **{field: _as_network(node[field]) for field in ("address", "address6", "networkrange", "networkrange6")},
        "localaddress": NO_NETWORK,
        "action": "delete" if node["pendingdelete"] else "",
        "auto_relayed_peers_v1": None,
        "country_code": "",
        "egressgatewayrequest": {**dict.fromkeys(("nodeid", "netid", "natenabled"), ""), **NO_RANGES},
        "ingressgatewayrange": "",
        "ingressgatewayrange6": "",
        "node_status": "",
        "additional_rag_ips": None,
        "lastmodified": NEVER,
        "lastcheckin": NEVER,
        "lastpeerupdate": NEVER,
        "expdatetime": NEVER,
    }


def _as_network(text: str) -> Document:
    if not text:
        return NO_NETWORK
    interface = ip_interface(text)
    return {"IP": str(interface.ip), "Mask": base64.b64encode(interface.netmask.packed).decode()}


def _peers_of(state: State, host: Document, node: Document, peers: dict[str, Document]) -> list[Document]:
    """Fills ``peers``; returns the routes to the ranges behind them.

    A relayed node talks to its gateway alone, which carries the rest of the network for it. To all others the gateway
    stands for the nodes that it relays.
    """
    network = [item for item in state.store.all("nodes") if item["network"] == node["network"]]
    others = [item for item in network if item["hostid"] != host["id"] and item["connected"]]
    routes = []
    for other in others:
        carrier = _carrier(node, other, others)
        entry = peers.setdefault(carrier["hostid"], _peer(state, carrier))
        entry["AllowedIPs"] = entry["AllowedIPs"] or []
        entry["AllowedIPs"].append(_single(other["address"]))
        rows = [row for row in state.store.all("egress") if row["status"] and other["id"] in row["nodes"]]
        ranges = [row for row in rows if row["range"] not in ("", "*")]
        entry["AllowedIPs"] += [_as_network_of(row["range"]) for row in ranges]
        routes += [_route(state, node, other, row) for row in ranges]
    return routes


def _carrier(node: Document, other: Document, others: list[Document]) -> Document:
    """The peer that packets for ``other`` go to."""
    gateway = node["relayedby"] or (other["relayedby"] if other["relayedby"] != node["id"] else "")
    return next((item for item in others if item["id"] == gateway), other)


def _peer(state: State, node: Document) -> Document:
    host = state.store.get("hosts", node["hostid"]) or {}
    endpoint = host["endpointip"] or host["endpointipv6"]
    port = host["wg_public_listen_port"] or host["listenport"]
    return {
        "PublicKey": host["publickey"],
        "Remove": False,
        "UpdateOnly": False,
        "PresharedKey": None,
        "Endpoint": {"IP": endpoint, "Port": port, "Zone": ""},
        "PersistentKeepaliveInterval": host["persistentkeepalive"] or KEEPALIVE,
        "ReplaceAllowedIPs": True,
        "AllowedIPs": None,
    }


def _route(state: State, node: Document, other: Document, row: Document) -> Document:
    host = state.store.get("hosts", other["hostid"]) or {}
    metric = row["nodes"][other["id"]]
    return {
        "peer_key": base64.b64encode(bytes(host["publickey"])).decode(),
        "egress_gw_addr": _as_network(other["address"]),
        "egress_gw_addr6": NO_NETWORK,
        "node_addr": _as_network(node["address"]),
        "node_addr6": NO_NETWORK,
        "egress_ranges": [row["range"]],
        "egress_ranges_metric": [
            {
                "network": row["range"],
                "virtual_network": "",
                "route_metric": metric if 0 < metric < 999 else HARDEST,
                "nat": row["nat"],
                "nat_mode": "",
            }
        ],
        "network": node["network"],
    }


def _single(address: str) -> Document:
    single = ip_address(address.partition("/")[0])
    return _as_network_of(str(ip_network(single)))


def _as_network_of(text: str) -> Document:
    network = ip_network(text)
    return {"IP": str(network.network_address), "Mask": base64.b64encode(network.netmask.packed).decode()}
