# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""The routes of the Netmaker server that are used here: the only place that knows paths and their traps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from .client import Client
from .errors import NetmakerError

Json = dict[str, Any]


def _rows(answer: Any) -> list[Json]:
    """A list, which some versions write as null when it is empty."""
    return [row for row in answer or [] if isinstance(row, dict)]


class Api:
    """Objects of the server by kind. Reads return fresh lists; writes return nothing, since only reads tell."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def networks(self) -> list[Json]:
        return _rows(self.client.get("/api/networks", what="listing networks"))

    def create_network(self, body: Json) -> None:
        self.client.send("POST", "/api/networks", body, what=f"creating network {body['netid']}")

    def update_network(self, body: Json) -> None:
        name = body["netid"]
        self.client.send("PUT", f"/api/networks/{_part(name)}", body, what=f"updating network {name}")

    def delete_network(self, name: str) -> None:
        self.client.send("DELETE", f"/api/networks/{_part(name)}", what=f"deleting network {name}", force="true")

    def policies(self, network: str) -> list[Json]:
        return _rows(self.client.get("/api/v1/acls", what=f"listing policies of {network}", network=network))

    def update_policy(self, body: Json) -> None:
        self.client.send("PUT", "/api/v1/acls", body, what=f"updating policy {body['id']}")

    def enrollment_keys(self) -> list[Json]:
        found = _rows(self.client.get("/api/v1/enrollment-keys", what="listing enrollment keys"))
        for key in found:
            self.client.hide(str(key.get("value", "")), str(key.get("token", "")))
        return found

    def create_key(self, body: Json) -> None:
        self.client.send("POST", "/api/v1/enrollment-keys", body, what=f"creating enrollment key {body['tags'][0]}")

    def update_key(self, key: Mapping[str, Any], body: Json) -> None:
        path = f"/api/v1/enrollment-keys/{_part(key['value'])}"
        self.client.send("PUT", path, body, what=f"updating enrollment key {name_of(key)}")

    def delete_key(self, key: Mapping[str, Any]) -> None:
        path = f"/api/v1/enrollment-keys/{_part(key['value'])}"
        self.client.send("DELETE", path, what=f"deleting enrollment key {name_of(key)}")

    def hosts(self) -> list[Json]:
        return _rows(self.client.get("/api/hosts", what="listing hosts"))

    def update_host(self, body: Json) -> None:
        self.client.send("PUT", f"/api/hosts/{_part(body['id'])}", body, what=f"updating host {body.get('name')}")

    def delete_host(self, host: Mapping[str, Any]) -> None:
        """Take the record of a host away, by the route that takes every credential or, before 1.5.1, the other."""
        what, number = f"deleting host {host.get('name')}", _part(host["id"])
        try:
            self.client.send("DELETE", f"/api/v1/ui/hosts/{number}", what=what, force="true")
        except NetmakerError as error:
            if error.code != "route_missing":
                raise
            self.client.send("DELETE", f"/api/hosts/{number}", what=what, force="true")

    def join(self, host: str, network: str) -> None:
        path = f"/api/hosts/{_part(host)}/networks/{_part(network)}"
        self.client.send("POST", path, what=f"joining host {host} to {network}")

    def leave(self, host: str, network: str) -> None:
        path = f"/api/hosts/{_part(host)}/networks/{_part(network)}"
        self.client.send("DELETE", path, what=f"taking host {host} out of {network}", force="true")

    def pending(self, network: str) -> list[Json]:
        """Hosts that wait for approval; the server does not filter them itself, and old ones lack the route."""
        try:
            rows = _rows(self.client.get("/api/v1/pending_hosts", what="listing pending hosts", network=network))
        except NetmakerError as error:
            if error.code not in {"route_missing", "server_error"}:
                raise
            return []
        return [row for row in rows if row.get("network") == network]

    def nodes(self, network: str | None = None) -> list[Json]:
        """Nodes of hosts, in ``network`` or in all."""
        return [node for node in self.nodes_and_clients(network) if not node.get("is_static")]

    def nodes_and_clients(self, network: str | None = None) -> list[Json]:
        """Nodes of hosts and, with ``is_static``, external clients, which the server lists together."""
        path = f"/api/nodes/{_part(network)}" if network else "/api/nodes"
        return _rows(self.client.get(path, what=f"listing nodes of {network or 'all networks'}"))

    def update_node(self, body: Json) -> None:
        path = f"/api/nodes/{_part(body['network'])}/{_part(body['id'])}"
        self.client.send("PUT", path, body, what=f"updating node {body['id']} of {body['network']}")

    def make_gateway(self, network: str, node: str) -> None:
        path = f"/api/nodes/{_part(network)}/{_part(node)}/gateway"
        self.client.send("POST", path, {}, what=f"making node {node} a gateway of {network}")

    def unmake_gateway(self, network: str, node: str) -> None:
        path = f"/api/nodes/{_part(network)}/{_part(node)}/gateway"
        self.client.send("DELETE", path, what=f"making node {node} no gateway of {network}")

    def assign_gateway(self, network: str, node: str, gateway: str) -> None:
        path = f"/api/nodes/{_part(network)}/{_part(node)}/gateway/assign"
        self.client.send("POST", path, {}, what=f"relaying node {node} through {gateway}", gw_id=gateway)

    def unassign_gateway(self, network: str, node: str) -> None:
        path = f"/api/nodes/{_part(network)}/{_part(node)}/gateway/unassign"
        self.client.send("POST", path, {}, what=f"relaying node {node} no longer")

    def egress(self, network: str) -> list[Json]:
        return _rows(self.client.get("/api/v1/egress", what=f"listing egress of {network}", network=network))

    def create_egress(self, body: Json) -> None:
        what = f"adding egress {body['range'] or body['domain']} of {body['network']}"
        self.client.send("POST", "/api/v1/egress", body, what=what)

    def update_egress(self, body: Json) -> None:
        what = f"updating egress {body['range'] or body['domain']} of {body['network']}"
        self.client.send("PUT", "/api/v1/egress", body, what=what)

    def delete_egress(self, row: Mapping[str, Any]) -> None:
        what = f"deleting egress {row.get('range') or row.get('domain')} of {row.get('network')}"
        self.client.send("DELETE", "/api/v1/egress", what=what, id=str(row["id"]))


def name_of(key: Mapping[str, Any]) -> str:
    """The name of an enrollment key: its first tag."""
    tags = key.get("tags") or [""]
    return str(tags[0])


def _part(text: object) -> str:
    """``text`` as one part of a path."""
    return quote(str(text), safe="")
