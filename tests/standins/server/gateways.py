# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gateways, and the nodes that they relay."""

from __future__ import annotations

from aiohttp import web

from . import answers
from .answers import Problem
from .call import BAD_NODE, Call, Route
from .memberships import make_gateway, relay, unlink
from .nodes import found, shown
from .state import State


class Gateways:
    """Gateways relay nodes that nobody can call."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._store = state.store

    def routes(self) -> list[Route]:
        one = "/api/nodes/{network}/{nodeid}"
        made = [Route("POST", f"{one}/{name}", self._create) for name in ("gateway", "createrelay", "createingress")]
        unmade = [
            Route("DELETE", f"{one}/{name}", self._delete) for name in ("gateway", "deleterelay", "deleteingress")
        ]
        assign = Route("POST", one + "/gateway/assign", self._assign)
        return [*made, *unmade, assign, Route("POST", one + "/gateway/unassign", self._unassign)]

    def _create(self, call: Call) -> web.Response:
        """A body is needed, if only an empty object."""
        node = found(self._state, call.path["nodeid"], call.path["network"])
        call.document()
        if node["isrelay"]:
            raise Problem(500, "node is already acting as a relay")
        if node["isrelayed"]:
            raise Problem(500, "gateway cannot be created on a relayed node")
        make_gateway(self._state, node)
        return answers.bare(shown(self._state, node))

    def _delete(self, call: Call) -> web.Response:
        """Also of a node that is none."""
        node = found(self._state, call.path["nodeid"], call.path["network"])
        unlink(self._state, node)
        node.update(isrelay=False, is_gw=False, isingressgateway=False, relaynodes=[], tags={})
        self._store.put("nodes", node["id"], {**node, "metadata": ""})
        return answers.bare(shown(self._state, node))

    def _assign(self, call: Call) -> web.Response:
        node = found(self._state, call.path["nodeid"], call.path["network"])
        if node["relayedby"]:
            raise Problem(400, "node is already using a gw")
        gateway = found(self._state, call.query.get("gw_id", ""), call.path["network"])
        if not gateway["is_gw"]:
            raise Problem(400, f"node {node['id']} is not a gateway")
        relay(self._state, node, gateway)
        return answers.wrapped(shown(self._state, node), "assigned gateway")

    def _unassign(self, call: Call) -> web.Response:
        node = found(self._state, call.path["nodeid"], call.path["network"])
        gateway = self._store.get("nodes", node["relayedby"])
        if gateway is None:
            raise Problem(400, BAD_NODE)
        relayed = [item for item in gateway["relaynodes"] or [] if item != node["id"]]
        self._store.put("nodes", gateway["id"], {**gateway, "relaynodes": relayed})
        node.update(isrelayed=False, relayedby="")
        return answers.wrapped(shown(self._state, self._store.put("nodes", node["id"], node)), "unassigned gateway")
