# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts in networks: nodes come and go."""

from __future__ import annotations

import uuid
from ipaddress import ip_network

from .keys import forget_node
from .state import NEVER, State
from .store import Document

CENTURY = 36554 * 86400
"""Until a node expires, in seconds."""

NOBODY = "00000000-0000-0000-0000-000000000000"
EMPTY_CLIENT: Document = {
    **dict.fromkeys(("clientid", "privatekey", "publickey", "network", "dns", "address", "address6"), ""),
    "extraallowedips": None,
    "allowed_ips": None,
    "ingressgatewayid": "",
    "ingressgatewayendpoint": "",
    "lastmodified": 0,
    "enabled": False,
    "ownerid": "",
    "deniednodeacls": None,
    "remote_access_client_id": "",
    "postup": "",
    "postdown": "",
    "tags": None,
    **dict.fromkeys(("os", "os_family", "os_version", "kernel_version", "client_version", "device_id"), ""),
    "device_name": "",
    "public_endpoint": "",
    "country": "",
    "location": "",
    "posture_check_violations": None,
    "posture_check_violation_severity_level": 0,
    "last_evaluated_at": NEVER,
}


def node_of(state: State, host: str, network: str) -> Document | None:
    for node in state.store.all("nodes"):
        if node["hostid"] == host and node["network"] == network:
            return node
    return None


def add_node(state: State, host: Document, network: Document) -> Document:
    """The host becomes a member, with the first address that the server takes for free."""
    node = _new_node(state, host, network, _free_address(state, network))
    state.store.put("nodes", node["id"], node)
    host["nodes"] = [*host["nodes"], node["id"]]
    state.store.put("hosts", host["id"], host)
    if host["isdefault"]:
        make_gateway(state, node)
    return node


def remove_node(state: State, node: Document) -> None:
    """Egress rows keep standing, without the node."""
    store = state.store
    store.delete("nodes", node["id"])
    state.release(node["network"], node["address"])
    host = store.get("hosts", node["hostid"])
    if host and node["id"] in host["nodes"]:
        host["nodes"].remove(node["id"])
        store.put("hosts", host["id"], host)
    for row in store.all("egress"):
        if row["nodes"].pop(node["id"], None) is not None:
            store.put("egress", row["id"], row)
    unlink(state, node)
    forget_node(store, node["id"])


def unlink(state: State, node: Document) -> None:
    """Take the node out of all relaying."""
    for other in state.store.all("nodes"):
        if node["id"] in (other["relaynodes"] or []):
            other["relaynodes"] = [item for item in other["relaynodes"] if item != node["id"]]
            state.store.put("nodes", other["id"], other)
        if other["relayedby"] == node["id"]:
            other.update(isrelayed=False, relayedby="")
            state.store.put("nodes", other["id"], other)


def make_gateway(state: State, node: Document) -> None:
    host = state.store.get("hosts", node["hostid"])
    node.update(
        isrelay=True,
        is_gw=True,
        isingressgateway=True,
        isrelayed=False,
        relayedby="",
        relaynodes=None,
        ingresspersistentkeepalive=20,
        ingressmtu=1420,
        metadata="gateway",
        posture_check_violations=[],
        tags={f"{node['network']}.gateways": {}},
        lastmodified=int(state.now()),
    )
    state.store.put("nodes", node["id"], node)
    if host:
        state.store.put("hosts", host["id"], {**host, "isstaticport": True})


def relay(state: State, node: Document, gateway: Document) -> None:
    node.update(isrelayed=True, relayedby=gateway["id"], lastmodified=int(state.now()))
    state.store.put("nodes", node["id"], node)
    current = state.store.get("nodes", gateway["id"]) or gateway
    relayed = [node["id"], *(item for item in current["relaynodes"] or [] if item != node["id"])]
    state.store.put("nodes", current["id"], {**current, "relaynodes": relayed})


def _free_address(state: State, network: Document) -> str:
    if not network["addressrange"]:
        return ""
    block = ip_network(network["addressrange"])
    for address in block.hosts():
        if (network["netid"], str(address)) not in state.taken:
            state.take(network["netid"], str(address))
            return f"{address}/{block.prefixlen}"
    raise ValueError(f"{block} is full")


def _new_node(state: State, host: Document, network: Document, address: str) -> Document:
    now = int(state.now())
    return {
        "id": str(uuid.uuid4()),
        "hostid": host["id"],
        "address": address,
        "address6": "",
        "localaddress": "",
        "allowedips": None,
        "lastmodified": now,
        "expdatetime": now + CENTURY,
        "lastcheckin": now,
        "lastpeerupdate": -62135596800,
        "network": network["netid"],
        "networkrange": network["addressrange"],
        "networkrange6": network["addressrange6"],
        "isrelayed": False,
        "isrelay": False,
        "is_gw": False,
        "is_auto_relay": False,
        "auto_relayed_peers": None,
        "auto_assign_gw": False,
        "relayedby": "",
        "relaynodes": None,
        "isegressgateway": False,
        "isingressgateway": False,
        "egressgatewayranges": None,
        "egressgatewaynatenabled": False,
        "egressgatewayranges_with_metric": None,
        "dnson": False,
        "ingressdns": "",
        "ingresspersistentkeepalive": 0,
        "ingressmtu": 0,
        "server": state.settings.server_name,
        "connected": True,
        "pendingdelete": False,
        "metadata": "",
        "is_fail_over": False,
        "fail_over_peers": {},
        "failed_over_by": NOBODY,
        "isinternetgateway": False,
        "inet_node_req": {"inet_node_client_ids": None},
        "internetgw_node_id": "",
        "additional_rag_ips": [],
        "tags": {},
        "is_static": False,
        "is_user_node": False,
        "static_node": EMPTY_CLIENT,
        "status": "online",
        "location": "",
        "country": "",
        "posture_check_violations": None,
        "posture_check_violation_severity_level": 0,
        "last_evaluated_at": NEVER,
    }
