# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes: full-replace PUTs that check little, and an egress route of old that does nothing."""

from __future__ import annotations

import random
from ipaddress import ip_address, ip_network
from typing import Any

from aiohttp import web

from . import answers
from .answers import Problem
from .call import BAD_NODE, NO_RECORD, Call, Route
from .memberships import remove_node
from .pull import node_for_client, pull
from .state import State
from .store import Document

ONLINE_WITHIN = 600
"""Seconds since the last check-in."""

CHANGEABLE: dict[str, Any] = {
    "network": "",
    "networkrange": "",
    "networkrange6": "",
    "address": "",
    "address6": "",
    "connected": False,
    "pendingdelete": False,
    "expdatetime": 0,
    "isrelayed": False,
    "relayedby": "",
    "relaynodes": None,
    "is_gw": False,
    "is_auto_relay": False,
    "auto_assign_gw": False,
    "ingressdns": "",
    "ingresspersistentkeepalive": 0,
    "ingressmtu": 0,
    "isinternetgateway": False,
    "metadata": "",
    "tags": {},
}
"""What a PUT changes, and what it becomes when the body leaves it out."""


class Nodes:
    def __init__(self, state: State) -> None:
        self._state = state
        self._store = state.store

    def routes(self) -> list[Route]:
        one = "/api/nodes/{network}/{nodeid}"
        return [
            Route("GET", "/api/nodes", self._all),
            Route("GET", "/api/nodes/{network}", self._of_network),
            Route("GET", "/api/v1/nodes/{network}/status", self._status),
            Route("GET", one, self._get, "host", since_1_5_1=True),
            Route("PUT", one, self._update),
            Route("DELETE", one, self._delete, "host", since_1_5_1=True),
            Route("POST", one + "/creategateway", self._create_nothing),
            Route("DELETE", one + "/deletegateway", self._delete_nothing),
        ]

    def _all(self, _call: Call) -> web.Response:
        return answers.bare([self._shown(node) for node in self._store.all("nodes")])

    def _of_network(self, call: Call) -> web.Response:
        """An unknown network has no nodes. The order is no order."""
        nodes = [self._shown(node) for node in self._store.all("nodes") if node["network"] == call.path["network"]]
        random.shuffle(nodes)
        return answers.bare(nodes)

    def _status(self, call: Call) -> web.Response:
        if self._store.get("networks", call.path["network"]) is None:
            raise Problem(400, NO_RECORD)
        nodes = [self._shown(node) for node in self._store.all("nodes") if node["network"] == call.path["network"]]
        fields = ("id", "is_static", "is_user_node", "status")
        return answers.wrapped({node["id"]: {field: node[field] for field in fields} for node in nodes}, "node status")

    def _get(self, call: Call) -> web.Response:
        node = found(self._state, call.path["nodeid"], call.path["network"])
        content = pull(self._state, self._store.get("hosts", node["hostid"]) or {})
        shown = {"node": node_for_client(node), "host": content["host"], "peers": content["peers"]}
        return answers.bare({**shown, "host_peers": content["peers"], "server_config": content["server_config"]})

    def _update(self, call: Call) -> web.Response:
        """Every field that is left out is reset. Another node's address is as good as any in the range."""
        node = found(self._state, call.path["nodeid"], call.path["network"])
        body = call.document()
        if self._store.get("hosts", str(body.get("hostid", ""))) is None:
            raise Problem(500, NO_RECORD)
        self._check_address(node, body)
        before = node["address"]
        node.update({field: body.get(field, default) for field, default in CHANGEABLE.items()})
        if node["relayedby"]:
            node["isrelayed"] = True
        node["isrelay"] = node["is_gw"]
        node["isingressgateway"] = node["isingressgateway"] or node["is_gw"]
        node.update(
            lastmodified=int(self._state.now()), posture_check_violations=[], last_evaluated_at=self._state.stamp()
        )
        if node["address"] != before:
            self._state.release(node["network"], before)
            self._state.take(node["network"], node["address"])
        return answers.bare(self._shown(self._store.put("nodes", node["id"], node)))

    def _check_address(self, node: Document, body: Document) -> None:
        network = self._store.get("networks", node["network"])
        block = network and network["addressrange"]
        try:
            good = not block or ip_address(str(body.get("address", "")).partition("/")[0]) in ip_network(block)
            good = good and (not block or "/" in body["address"])
        except ValueError:
            good = False
        if not good:
            raise Problem(500, f"invalid address provided; out of network range for node {node['id']}")

    def _delete(self, call: Call) -> web.Response:
        """Without force it only waits for the client, unless the client itself asks."""
        node = found(self._state, call.path["nodeid"], call.path["network"])
        if call.query.get("force") == "true" or call.caller == node["hostid"]:
            remove_node(self._state, node)
        else:
            self._store.put("nodes", node["id"], {**node, "pendingdelete": True})
        return answers.wrapped(None, f"{node['id']} deleted.")

    def _create_nothing(self, call: Call) -> web.Response:
        """The route that made egress ranges until 0.90: it checks them, says yes, and keeps nothing."""
        node = found(self._state, call.path["nodeid"], call.path["network"])
        network = self._store.get("networks", node["network"]) or {}
        for text in call.document().get("ranges") or []:
            if ip_network(text, strict=False).overlaps(ip_network(network["addressrange"])):
                raise Problem(400, "the range is part of the overlay network")
        return answers.bare(self._shown(node))

    def _delete_nothing(self, call: Call) -> web.Response:
        return answers.bare(self._shown(found(self._state, call.path["nodeid"], call.path["network"])))

    def _shown(self, node: Document) -> Document:
        return shown(self._state, node)


def found(state: State, key: str, network: str) -> Document:
    """Raises Problem for a node that is not there or not in that network."""
    node = state.store.get("nodes", key)
    if node is None:
        raise Problem(400, BAD_NODE)
    if node["network"] != network:
        raise Problem(400, "network url param does not match node network")
    return node


def shown(state: State, node: Document) -> Document:
    """As the API shows it."""
    fresh = state.now() - node["lastcheckin"] <= ONLINE_WITHIN
    status = "disconnected" if not node["connected"] else "online" if fresh else "offline"
    return {**node, "status": status}
