# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""The hosts of a Netmaker server as the inventory shows them: fields chosen one by one, none of them secret.

A host is ``{name, id, public_key, version, os, endpoint, endpoint6, listen_port, mtu, networks: {network: {node_id,
address, address6, connected, gateway, relayed_by, egress: [range]}}}``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker.client import Client
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker.server import probe
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker.values import address_or_none, flag

Raw = Mapping[str, Any]
Host = dict[str, Any]


def read_hosts(client: Client, networks: Sequence[str] = ()) -> list[Host]:
    """Members of the ``networks``, or of all of them, sorted by name. Raises NetmakerError."""
    probe(client)
    hosts = client.get("/api/hosts", what="listing hosts") or []
    nodes = client.get("/api/nodes", what="listing nodes") or []
    known = {node["network"] for node in nodes}
    wanted = sorted(known & set(networks) if networks else known)
    egress = {name: client.get("/api/v1/egress", what="listing egress", network=name) or [] for name in wanted}
    return shown_hosts(hosts, [node for node in nodes if node["network"] in wanted], egress)


def shown_hosts(hosts: Sequence[Raw], nodes: Sequence[Raw], egress: Mapping[str, Sequence[Raw]]) -> list[Host]:
    """Hosts without any of these ``nodes`` are left out, and so are nodes of plain WireGuard clients."""
    live = [node for node in nodes if not node.get("is_static") and not flag(node.get("pendingdelete"))]
    labels = _labels(hosts)
    owners = {node["id"]: labels.get(node["hostid"]) for node in live}
    members: dict[str, dict[str, Any]] = {}
    for node in live:
        ranges = sorted(row["range"] for row in egress.get(node["network"], ()) if _serves(row, node))
        members.setdefault(node["hostid"], {})[node["network"]] = _shown_node(node, owners, ranges)
    found = [_shown_host(host, labels[host["id"]], members[host["id"]]) for host in hosts if host["id"] in members]
    return sorted(found, key=lambda host: str(host["name"]))


def _labels(hosts: Sequence[Raw]) -> dict[str, str]:
    """Inventory name by host id. Netmaker's names need not be unique; a start of the id tells such hosts apart."""
    count = Counter(host["name"] for host in hosts)
    return {
        host["id"]: host["name"] if count[host["name"]] == 1 else f"{host['name']}-{host['id'][:8]}" for host in hosts
    }


def _serves(row: Raw, node: Raw) -> bool:
    return bool(row.get("status")) and bool(row.get("range")) and node["id"] in (row.get("nodes") or {})


def _shown_node(node: Raw, owners: Mapping[str, str | None], egress: list[str]) -> dict[str, Any]:
    return {
        "node_id": node["id"],
        "address": _bare(node.get("address")),
        "address6": _bare(node.get("address6")),
        "connected": flag(node.get("connected")),
        "gateway": flag(node.get("is_gw")) or flag(node.get("isrelay")),
        "relayed_by": owners.get(node.get("relayedby") or ""),
        "egress": egress,
    }


def _shown_host(host: Raw, name: str, networks: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "id": host["id"],
        "public_key": host.get("publickey") or None,
        "version": host.get("version") or None,
        "os": host.get("os") or None,
        "endpoint": _bare(host.get("endpointip")),
        "endpoint6": _bare(host.get("endpointipv6")),
        "listen_port": host.get("listenport") or None,
        "mtu": host.get("mtu") or None,
        "networks": networks,
    }


def _bare(text: object) -> str | None:
    """An address without its length."""
    found = address_or_none(text)
    return None if found is None else str(found)
