# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Egress rows: nothing is unique, nothing is compared with anything, and a PUT without a status switches one off."""

from __future__ import annotations

import re
import uuid
from ipaddress import ip_network
from typing import Any

from aiohttp import web

from . import answers
from .answers import Problem
from .call import NO_RECORD, Call, Route
from .state import State
from .store import Document

DOMAIN = re.compile(r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}", re.IGNORECASE)


class Egress:
    def __init__(self, state: State) -> None:
        self._state = state
        self._store = state.store

    def routes(self) -> list[Route]:
        path = "/api/v1/egress"
        return [
            Route("GET", path, self._list),
            Route("POST", path, self._create),
            Route("PUT", path, self._update),
            Route("DELETE", path, self._delete),
        ]

    def _list(self, call: Call) -> web.Response:
        network = call.query.get("network", "")
        if not network:
            raise Problem(400, "network is required")
        rows = [row for row in self._store.all("egress") if row["network"] == network]
        return answers.wrapped(rows, "fetched egress resource list")

    def _create(self, call: Call) -> web.Response:
        body = call.document()
        target = _target(body)
        self._check(body)
        now = self._state.stamp()
        row = {
            "id": str(uuid.uuid4()),
            "name": body.get("name", ""),
            "network": body.get("network", ""),
            "description": body.get("description", ""),
            **_routing(body),
            **target,
            "mode": "direct_nat",
            "virtual_range": "",
            "domain_ans": [],
            "nat": bool(body.get("nat")),
            "status": True,
            "created_by": call.caller,
            "created_at": now,
            "updated_at": now,
        }
        return answers.wrapped(self._store.put("egress", row["id"], row), "created egress resource")

    def _update(self, call: Call) -> web.Response:
        """Every field is written, also those that the body leaves out; the network stays."""
        body = call.document()
        self._check_network(body)
        target = _target(body)
        row = self._found(body.get("id", ""))
        self._check_nodes(body)
        row.update(
            {**_routing(body), **target},
            name=body.get("name", ""),
            description=body.get("description", ""),
            nat=bool(body.get("nat")),
            mode="direct_nat" if body.get("nat") else "",
            status=bool(body.get("status")),
            updated_at=self._state.stamp(),
        )
        return answers.wrapped(self._store.put("egress", row["id"], row), "updated egress resource")

    def _delete(self, call: Call) -> web.Response:
        key = call.query.get("id", "")
        if not key:
            raise Problem(400, "id is required")
        self._store.delete("egress", self._found(key)["id"])
        return answers.wrapped(None, "deleted egress resource")

    def _check(self, body: Document) -> None:
        self._check_network(body)
        self._check_nodes(body)

    def _check_network(self, body: Document) -> None:
        if self._store.get("networks", str(body.get("network", ""))) is None:
            raise Problem(400, NO_RECORD)

    def _check_nodes(self, body: Document) -> None:
        nodes = body.get("nodes") or {}
        if any(not isinstance(metric, int) for metric in nodes.values()):
            raise Problem(400, "json: cannot unmarshal nodes")
        if body.get("tags"):
            return
        if len(nodes) > 1:
            raise Problem(400, "can only set one routing node on CE")
        for node in nodes:
            if self._store.get("nodes", node) is None:
                raise Problem(400, "invalid routing node")

    def _found(self, key: Any) -> Document:
        row = self._store.get("egress", str(key))
        if row is None:
            raise Problem(400, NO_RECORD)
        return row


def _target(body: Document) -> Document:
    """Range and domain: one of them, or neither."""
    if body.get("is_internet_gateway"):
        return {"range": "*", "domain": ""}
    domain, text = body.get("domain", ""), body.get("range", "")
    if text:
        try:
            if "/" not in text:
                raise ValueError("no prefix length")
            text = str(ip_network(text, strict=False))
        except ValueError as error:
            raise Problem(400, f"invalid CIDR address: {text}") from error
    if domain and not DOMAIN.fullmatch(domain):
        raise Problem(400, "bad domain name")
    return {"range": "" if domain else text, "domain": domain}


def _routing(body: Document) -> Document:
    tags = body.get("tags") or {}
    return {"nodes": {} if tags else body.get("nodes") or {}, "tags": tags}
