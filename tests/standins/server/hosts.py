# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts: names are not unique, a PUT resets what it leaves out, a host that is not there is a server error."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from aiohttp import web

from . import answers
from .access import HOST_TOKEN_LIFE, UNAUTHORIZED, is_password
from .answers import Problem
from .call import NO_RECORD, Call, Route, host_id
from .memberships import add_node, node_of, remove_node
from .pull import host_for_api, pull
from .state import State
from .store import Document

SECOND = 1_000_000_000
RESET = {"isstaticport": False, "isstatic": False, "isdefault": False, "autoupdate": False}
"""What a PUT sets to this when the body leaves it out."""

LARGEST_PAGE = 100


class Hosts:
    def __init__(self, state: State) -> None:
        self._state = state
        self._store = state.store

    def routes(self) -> list[Route]:
        member = "/api/hosts/{hostid}/networks/{network}"
        return [
            Route("GET", "/api/hosts", self._list),
            Route("GET", "/api/v1/hosts", self._page, since_1_5_1=True),
            Route("POST", "/api/hosts/adm/authenticate", self._authenticate, "open"),
            Route("POST", "/api/hosts/sync", lambda _call: answers.wrapped(None, "sync was asked for")),
            Route("POST", "/api/hosts/{hostid}/sync", self._sync),
            Route("GET", "/api/hosts/{hostid}", self._get, since_1_5_1=True),
            Route("PUT", "/api/hosts/{hostid}", self._update),
            Route("DELETE", "/api/hosts/{hostid}", self._delete, "host", since_1_5_1=True),
            Route("DELETE", "/api/v1/ui/hosts/{hostid}", self._delete, since_1_5_1=True),
            Route("POST", member, self._join),
            Route("DELETE", member, self._leave),
            Route("GET", "/api/v1/host", self._pull, "host"),
            Route("GET", "/api/v1/pending_hosts", self._pending),
        ]

    def _list(self, _call: Call) -> web.Response:
        return answers.bare([host_for_api(host) for host in self._store.all("hosts")])

    def _page(self, call: Call) -> web.Response:
        size = _number(call.query.get("per_page", ""))
        size = size if 1 <= size <= LARGEST_PAGE else 10
        page = _number(call.query.get("page", "")) or 1
        word = call.query.get("q", "")
        hosts = [host_for_api(host) for host in self._store.all("hosts")]
        hosts = [host for host in hosts if any(word in str(host[field]) for field in ("id", "name", "endpointip"))]
        hosts.sort(key=lambda host: str(host["name"]))
        content = {
            "data": hosts[(page - 1) * size : page * size],
            "page": page,
            "per_page": size,
            "total": len(hosts),
            "total_pages": max(1, -(-len(hosts) // size)),
        }
        return answers.wrapped(content, "fetched hosts")

    def _get(self, call: Call) -> web.Response:
        host = self._store.get("hosts", host_id(call.path["hostid"]))
        if host is None:
            raise Problem(404, NO_RECORD)
        return answers.wrapped(host_for_api(host), f"fetched host {host['name']}")

    def _update(self, call: Call) -> web.Response:
        """The host is the one that the body names; the path is not read."""
        body = call.document(500)
        host = self._found(body.get("id"))
        host.update({field: bool(body.get(field, default)) for field, default in RESET.items()})
        for field in ("name", "mtu", "listenport"):
            host[field] = body.get(field) or host[field]
        for field in ("endpointip", "endpointipv6"):
            host[field] = _address(body.get(field, "")) if body.get(field) else host[field]
        host["persistentkeepalive"] = body.get("persistentkeepalive", 0) * SECOND or host["persistentkeepalive"]
        host["dns_status"] = str(body.get("dns", "")).lower().strip() or host["dns_status"]
        host["firewallinuse"] = body.get("firewallinuse", "")
        host["verbosity"] = body.get("verbosity", 0)
        host["os_version"] = ""
        if host["isdefault"]:
            host["isstaticport"] = True
        self._store.put("hosts", host["id"], host)
        return answers.bare(host_for_api(host), kind=answers.PLAIN)

    def _delete(self, call: Call) -> web.Response:
        host = self._found(call.path["hostid"])
        nodes = [node for node in self._store.all("nodes") if node["hostid"] == host["id"]]
        if nodes and call.query.get("force") != "true":
            raise Problem(500, "host still has associated nodes")
        for node in nodes:
            remove_node(self._state, node)
        self._store.delete("hosts", host["id"])
        return answers.wrapped(host_for_api(host), f"deleted host {host['name']}")

    def _join(self, call: Call) -> web.Response:
        host = self._found(call.path["hostid"])
        name = call.path["network"]
        network = self._store.get("networks", name)
        if network is None:
            raise Problem(500, NO_RECORD)
        if node_of(self._state, host["id"], name):
            raise Problem(500, f"host already part of network {name}")
        add_node(self._state, host, network)
        return answers.empty()

    def _leave(self, call: Call) -> web.Response:
        key, name = host_id(call.path["hostid"]), call.path["network"]
        host = self._store.get("hosts", key)
        node = node_of(self._state, key, name)
        forced = call.query.get("force") == "true"
        if node is None:
            raise (
                Problem(400, "node not found")
                if forced or not host
                else Problem(500, f"host not part of the network {name}")
            )
        if forced:
            remove_node(self._state, node)
        else:
            self._store.put("nodes", node["id"], {**node, "pendingdelete": True})
        return answers.empty()

    def _sync(self, call: Call) -> web.Response:
        self._found(call.path["hostid"])
        return answers.empty()

    def _pending(self, call: Call) -> web.Response:
        """Hosts join at once here, so none ever waits."""
        if not call.query.get("network"):
            raise Problem(400, "network id param is missing")
        return answers.wrapped([], "returned pending hosts")

    def _authenticate(self, call: Call) -> web.Response:
        """What netclient does before it pulls."""
        body = call.document()
        host = self._store.get("hosts", host_id(body.get("id")))
        if host is None:
            raise Problem(400, NO_RECORD)
        if not is_password(str(body.get("password", "")), host["hostpass"]):
            raise UNAUTHORIZED
        token = self._state.tokens.issue({"host": host["id"]}, HOST_TOKEN_LIFE)
        answer = answers.wrapped({"ID": host["id"], "AuthToken": token}, "host authorized")
        answer.content_type, answer.charset = answers.PLAIN, "utf-8"
        return answer

    def _pull(self, call: Call) -> web.Response:
        """What a host asks for again and again. That it asked counts as its check-in."""
        host = self._store.get("hosts", host_id(call.caller))
        if host is None:
            raise Problem(500, NO_RECORD)
        for node in self._store.all("nodes"):
            if node["hostid"] == host["id"]:
                self._store.put("nodes", node["id"], {**node, "lastcheckin": int(self._state.now())})
                if node["pendingdelete"]:
                    remove_node(self._state, node)
        return answers.bare(pull(self._state, self._store.get("hosts", host["id"]) or host))

    def _found(self, key: Any) -> Document:
        host = self._store.get("hosts", host_id(key))
        if host is None:
            raise Problem(500, NO_RECORD)
        return host


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0


def _address(text: str) -> str:
    """What is no address counts as none."""
    try:
        return str(ip_address(text))
    except ValueError:
        return ""
