# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Access policies: the two that each network is born with, and creation, which the master key may not do."""

from __future__ import annotations

import uuid
from typing import Any

from aiohttp import web

from . import answers
from .answers import Problem
from .call import NO_RECORD, Call, Route
from .settings import MASTER
from .state import State
from .store import Document

EVERYTHING = {"id": "tag", "name": "*", "value": "*"}


def default_policies(network: str, now: str) -> list[Document]:
    """All nodes may reach each other, and gateways everybody."""
    gateways = {"id": "tag", "name": f"{network}.gateways", "value": f"{network}.gateways"}
    return [
        _policy(network, "all-gateways", "All Gateways", gateways, now),
        _policy(network, "all-nodes", "All Nodes", EVERYTHING, now),
    ]


def _policy(network: str, name: str, title: str, source: dict[str, str], now: str) -> Document:
    return {
        "id": f"{network}.{name}",
        "default": True,
        "meta_data": "",
        "name": title,
        "network_id": network,
        "policy_type": "device-policy",
        "src_type": [source],
        "dst_type": [EVERYTHING],
        "protocol": "all",
        "type": "Any",
        "ports": [],
        "allowed_traffic_direction": 1,
        "enabled": True,
        "created_by": "auto",
        "created_at": now,
    }


class Policies:
    def __init__(self, state: State) -> None:
        self._state = state
        self._store = state.store

    def routes(self) -> list[Route]:
        path = "/api/v1/acls"
        return [
            Route("GET", path, self._list),
            Route("POST", path, self._create),
            Route("PUT", path, self._update),
            Route("DELETE", path, self._delete),
        ]

    def _list(self, call: Call) -> web.Response:
        name = call.query.get("network", "")
        if not name:
            raise Problem(400, "network id param is missing")
        listed = [policy for policy in self._store.all("acls") if policy["network_id"] == name]
        listed.sort(key=lambda policy: str(policy["id"]))
        return answers.wrapped(listed, f"policies of {name}")

    def _create(self, call: Call) -> web.Response:
        if call.caller == MASTER:
            raise Problem(400, NO_RECORD)
        body: dict[str, Any] = call.document()
        if body.get("allowed_traffic_direction") != 1:
            raise Problem(400, "one way policies are not for this edition")
        policy = {**_policy("", "", "", EVERYTHING, self._state.stamp()), **body}
        policy.update(id=str(uuid.uuid4()), default=False, created_by=call.caller)
        return answers.wrapped(self._store.put("acls", policy["id"], policy), "created the policy")

    def _update(self, call: Call) -> web.Response:
        body = call.document()
        policy = self._found(body.get("id", ""))
        policy["enabled"] = body.get("enabled", False)
        if not policy["default"]:
            policy.update({field: value for field, value in body.items() if field in policy})
        self._store.put("acls", policy["id"], policy)
        return answers.wrapped(None, "updated the policy")

    def _delete(self, call: Call) -> web.Response:
        policy = self._found(call.query.get("acl_id", ""))
        if policy["default"]:
            raise Problem(400, "the default policy cannot be deleted")
        self._store.delete("acls", policy["id"])
        return answers.wrapped(None, "deleted the policy")

    def _found(self, key: str) -> Document:
        policy = self._store.get("acls", key)
        if policy is None:
            raise Problem(400, NO_RECORD)
        return policy
