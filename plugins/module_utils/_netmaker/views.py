# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What modules return of hosts, nodes and egress rows: chosen fields only, so that no secret slips through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HOST_FIELDS = {
    "id": "id",
    "name": "name",
    "public_key": "publickey",
    "version": "version",
    "os": "os",
    "listen_port": "listenport",
    "static_port": "isstaticport",
    "static_endpoint": "isstatic",
    "endpoint_ip": "endpointip",
    "endpoint_ip6": "endpointipv6",
    "mtu": "mtu",
    "keepalive": "persistentkeepalive",
    "auto_update": "autoupdate",
    "dns": "dns",
    "is_default": "isdefault",
    "nodes": "nodes",
}
"""Our names of a host's fields -> the server's."""
_NODE_FIELDS = {
    "id": "id",
    "host_id": "hostid",
    "network": "network",
    "connected": "connected",
    "status": "status",
    "last_check_in": "lastcheckin",
}


def host_view(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A host, with what is empty as None and DNS as a boolean."""
    found = {ours: raw.get(theirs) for ours, theirs in HOST_FIELDS.items()}
    found |= {name: found[name] or None for name in ("endpoint_ip", "endpoint_ip6")}
    return {**found, "dns": raw.get("dns") == "yes", "nodes": list(raw.get("nodes") or ())}


def node_view(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A node, with addresses without their length."""
    found = {ours: raw.get(theirs) for ours, theirs in _NODE_FIELDS.items()}
    return {
        **found,
        "address": bare(raw.get("address")),
        "address6": bare(raw.get("address6")),
        "is_gateway": bool(raw.get("is_gw")),
        "relayed_by": raw.get("relayedby") or None,
        "relays": list(raw.get("relaynodes") or ()),
        "pending_delete": bool(raw.get("pendingdelete")),
    }


def egress_view(raw: Mapping[str, Any]) -> dict[str, Any]:
    """An egress row; ``nodes`` has the metric by node."""
    return {
        "id": raw.get("id"),
        "name": raw.get("name"),
        "network": raw.get("network"),
        "description": raw.get("description") or "",
        "range": raw.get("range") or None,
        "domain": raw.get("domain") or None,
        "nat": bool(raw.get("nat")),
        "enabled": bool(raw.get("status")),
        "nodes": dict(raw.get("nodes") or {}),
    }


def bare(address: object) -> str | None:
    """An address without its length."""
    return str(address).partition("/")[0] or None if address else None
