# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks: a PUT that ignores most fields, a DELETE that never fails and takes its time."""

from __future__ import annotations

import re
import uuid
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from aiohttp import web

from . import answers
from .answers import Problem
from .call import NO_RECORD, Call, Route
from .keys import forget_network, new_key
from .memberships import remove_node
from .policies import default_policies
from .state import State
from .store import Document

NAME = re.compile(r"[a-z0-9_-]+")
OLD_WORDS = ("auto_join", "auto_remove", "jit_enabled")
CHANGEABLE = {
    "auto_remove": False,
    "auto_remove_tags": None,
    "auto_remove_threshold": 0,
    "virtual_nat_pool_ipv4": "",
    "virtual_nat_site_prefixlen_ipv4": 0,
}
"""What a PUT changes, and what it becomes when the body leaves it out."""


class Networks:
    def __init__(self, state: State) -> None:
        self._state = state
        self._store = state.store

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/api/networks", self._list),
            Route("POST", "/api/networks", self._create),
            Route("GET", "/api/networks/{network}", self._get),
            Route("PUT", "/api/networks/{network}", self._update),
            Route("DELETE", "/api/networks/{network}", self._delete),
            Route("GET", "/api/v1/networks/stats", self._statistics),
        ]

    def _list(self, _call: Call) -> web.Response:
        return answers.bare([self._shown(network) for network in self._sorted()], kind=answers.PLAIN)

    def _statistics(self, _call: Call) -> web.Response:
        counts = [node["network"] for node in self._store.all("nodes")]
        listed = [{"Network": self._shown(item), "Hosts": counts.count(item["netid"])} for item in self._sorted()]
        return answers.wrapped(listed or None, "fetched networks with stats")

    def _get(self, call: Call) -> web.Response:
        network = self._store.get("networks", call.path["network"])
        if network is None:
            raise Problem(500, "no result found") if self._state.settings.old else Problem(404, NO_RECORD)
        return answers.bare(self._shown(network))

    def _create(self, call: Call) -> web.Response:
        body = call.document()
        name = _text(body, "netid")
        if len(name) > 32:
            raise Problem(400, "network name is longer than 32 characters")
        ranges = {field: _range(_text(body, field)) for field in ("addressrange", "addressrange6")}
        if not any(ranges.values()):
            raise Problem(400, "an IPv4 or IPv6 range is needed")
        self._check(name, ranges, body)
        network = self._store.put("networks", name, self._new(name, ranges, body))
        for policy in default_policies(name, self._state.stamp()):
            self._store.put("acls", policy["id"], policy)
        key = new_key(tags=[name], networks=[name], unlimited=True, groups=[], default=True)
        self._store.put("keys", key["value"], key)
        return answers.bare(self._shown(network))

    def _check(self, name: str, ranges: dict[str, Any], body: Document) -> None:
        if not NAME.fullmatch(name):
            raise Problem(400, "the network's name has characters that are not allowed")
        if self._store.get("networks", name):
            raise Problem(400, "invalid network name")
        if body.get("defaultkeepalive", 0) > 1000:
            raise Problem(400, "the keepalive must be at most 1000 seconds")
        for other in self._store.all("networks"):
            for field, wanted in ranges.items():
                if wanted and other[field] and wanted.overlaps(ip_network(other[field])):
                    raise Problem(400, "network cidr already in use")

    def _new(self, name: str, ranges: dict[str, Any], body: Document) -> Document:
        now = self._state.stamp()
        remove = bool(body.get("auto_remove"))
        return {
            "id": str(uuid.uuid4()),
            "netid": name,
            **{field: str(value or "") for field, value in ranges.items()},
            "defaultkeepalive": body.get("defaultkeepalive") or 20,
            "defaultmtu": body.get("defaultmtu") or 1280,
            "auto_join": True,
            "auto_remove": remove,
            "auto_remove_tags": body.get("auto_remove_tags") or [],
            "auto_remove_threshold": body.get("auto_remove_threshold") or (60 if remove else 0),
            "jit_enabled": bool(body.get("jit_enabled")),
            "virtual_nat_pool_ipv4": body.get("virtual_nat_pool_ipv4", ""),
            "virtual_nat_site_prefixlen_ipv4": body.get("virtual_nat_site_prefixlen_ipv4", 0),
            "nodes_updated_at": now,
            "created_by": "",
            "created_at": now,
            "updated_at": now,
        }

    def _update(self, call: Call) -> web.Response:
        body = call.document()
        network = self._store.get("networks", _text(body, "netid"))
        if network is None:
            raise Problem(400, NO_RECORD)
        changed = {field: body.get(field, default) for field, default in CHANGEABLE.items()}
        network.update(changed, updated_at=self._state.stamp())
        return answers.bare(self._shown(self._store.put("networks", network["netid"], network)))

    def _delete(self, call: Call) -> web.Response:
        """Whatever it is asked: success. With members, the record goes when they are gone."""
        name = call.path["network"]
        nodes = [node for node in self._store.all("nodes") if node["network"] == name]

        def finish() -> None:
            for node in nodes:
                remove_node(self._state, node)
            self._store.delete("networks", name)

        if nodes:
            self._state.later(finish)
        else:
            finish()
        self._state.later(lambda: self._forget(name))
        return answers.wrapped(None, "success")

    def _forget(self, name: str) -> None:
        """Egress rows are not among what goes."""
        forget_network(self._store, name)
        for policy in self._store.all("acls"):
            if policy["network_id"] == name:
                self._store.delete("acls", policy["id"])

    def _sorted(self) -> list[Document]:
        return sorted(self._store.all("networks"), key=lambda network: str(network["netid"]))

    def _shown(self, network: Document) -> Document:
        if not self._state.settings.old:
            return network
        shown = dict(network)
        for word in OLD_WORDS:
            shown[word] = "true" if network[word] else "false"
        shown["auto_remove_threshold_mins"] = shown.pop("auto_remove_threshold")
        shown["defaultacl"] = "yes"
        return shown


def _text(body: Document, field: str) -> str:
    value = body.get(field, "")
    if not isinstance(value, str):
        raise Problem(400, f"json: cannot unmarshal {field}")
    return value


def _range(text: str) -> IPv4Network | IPv6Network | None:
    if not text:
        return None
    try:
        if "/" not in text:
            raise ValueError("no prefix length")
        network = ip_network(text, strict=False)
    except ValueError as error:
        raise Problem(400, f"invalid CIDR address: {text}") from error
    if network.max_prefixlen - network.prefixlen <= 1:
        raise Problem(400, "the range is too small for a network")
    return network
