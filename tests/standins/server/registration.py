# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How netclient registers a host: with the token of an enrollment key, of which it spends a use."""

from __future__ import annotations

import base64

from aiohttp import web

from . import answers
from .access import hash_password
from .answers import Problem
from .call import Call, Route, host_id
from .keys import NOBODY, key_of, spend
from .memberships import add_node, node_of, relay
from .pull import server_config
from .state import NEVER, State
from .store import Document

OLDEST = (0, 17, 0)
KEEPALIVE = 20_000_000_000
FROM_CLIENT = (
    *("publickey", "daemoninstalled", "debug", "verbosity", "version", "isstaticport", "isstatic", "mtu"),
    *("endpointip", "endpointipv6", "interfaces"),
)
"""What a host that registers again may change; among the rest, its name stays."""


class Registration:
    def __init__(self, state: State) -> None:
        self._state = state
        self._store = state.store

    def routes(self) -> list[Route]:
        return [Route("POST", "/api/v1/host/register/{token}", self._register, "open")]

    def _register(self, call: Call) -> web.Response:
        key = key_of(self._store, call.path["token"])
        body = call.document(500)
        known = self._store.get("hosts", host_id(body.get("id")))
        if known and not key["networks"]:
            raise Problem(400, "host already exists")
        if _version(str(body.get("version", ""))) < OLDEST:
            raise Problem(400, f"bad client version on register: {body.get('version', '')}")
        if not body.get("traffickeypublic"):
            raise Problem(400, "missing traffic key")
        spend(self._store, key, self._state.now())
        host = self._known(known, body) if known else self._new(body)
        self._store.put("hosts", host["id"], host)
        self._state.later(lambda: self._join(key, host["id"]))
        return answers.bare({"server_config": server_config(self._state), "requested_host": host}, kind=answers.PLAIN)

    def _new(self, body: Document) -> Document:
        config = self._state.config
        now = self._state.stamp()
        return {
            **EMPTY,
            **{field: value for field, value in body.items() if field in EMPTY},
            "traffickeypublic": _as_text(body["traffickeypublic"]),
            "hostpass": hash_password(str(body.get("hostpass", ""))),
            "autoupdate": config["netclientautoupdate"],
            "dns_status": "yes" if config["manage_dns"] else "no",
            "nodes": [],
            "listenport": self._port(body),
            "persistentkeepalive": KEEPALIVE,
            "created_at": now,
            "updated_at": now,
        }

    def _known(self, host: Document, body: Document) -> Document:
        changed = {field: body.get(field, EMPTY[field]) for field in FROM_CLIENT}
        return {**host, **changed, "listenport": body.get("listenport") or host["listenport"]}

    def _port(self, body: Document) -> int:
        """Not one that another host with the same endpoint uses, unless the port is static."""
        port, endpoint = int(body.get("listenport", 0)), body.get("endpointip", "")
        if body.get("isstaticport") or not endpoint:
            return port
        used = {host["listenport"] for host in self._store.all("hosts") if host["endpointip"] == endpoint}
        while port in used:
            port += 1
        return port

    def _join(self, key: Document, host: str) -> None:
        for name in key["networks"]:
            network, current = self._store.get("networks", name), self._store.get("hosts", host)
            if network is None or current is None or node_of(self._state, host, name):
                continue
            node = add_node(self._state, current, network)
            gateway = self._store.get("nodes", key["relay"]) if key["relay"] != NOBODY else None
            if gateway and gateway["network"] == name:
                relay(self._state, node, gateway)


EMPTY: Document = {
    "id": "",
    "verbosity": 0,
    "firewallinuse": "",
    "version": "",
    "ipforwarding": False,
    "daemoninstalled": False,
    "autoupdate": False,
    "hostpass": "",
    "name": "",
    "os": "",
    "os_family": "",
    "os_version": "",
    "kernel_version": "",
    "interface": "",
    "debug": False,
    "listenport": 0,
    "wg_public_listen_port": 0,
    "mtu": 0,
    "publickey": [],
    "macaddress": "",
    "traffickeypublic": None,
    "nodes": [],
    "interfaces": [],
    "defaultinterface": "",
    "endpointip": "",
    "endpointipv6": "",
    "isdocker": False,
    "isk8s": False,
    "isstaticport": False,
    "isstatic": False,
    "isdefault": False,
    "dns_status": "",
    "persistentkeepalive": 0,
    "location": "",
    "country_code": "",
    "enable_flow_logs": False,
    "created_at": NEVER,
    "updated_at": NEVER,
}


def _as_text(data: str | list[int]) -> str:
    """Bytes come as numbers or in base64, and are told in base64."""
    return data if isinstance(data, str) else base64.b64encode(bytes(data)).decode()


def _version(text: str) -> tuple[int, ...]:
    if text == "dev":
        return (999,)
    try:
        return tuple(int(part) for part in text.lstrip("v").partition("-")[0].split("."))
    except ValueError:
        return ()
