# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What the module `netmaker_info` does and returns, apart from its documentation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from .api import Api
from .client import Client, Opener
from .errors import NetmakerError, NetmakerRefusedError
from .key import key_of
from .network import network_of, policy_of
from .options import Connection, connection_of
from .server import probe
from .views import egress_view, host_view, node_view

SUBSETS = ("networks", "hosts", "nodes", "egress", "enrollment_keys")


def login(client: Client) -> str:
    """A token for the user of the connection. Costs one login, which servers from 1.6 on ration."""
    connection = client.connection
    body = {"username": connection.username, "password": connection.password}
    what = f"logging in as {connection.username}"
    try:
        answer = client.send("POST", "/api/users/adm/authenticate", body, what=what)
    except NetmakerError as error:
        if error.status != 400:
            raise
        fix = "correct username and password; single sign-on users and servers without basic_auth need an api_token."
        raise NetmakerError("auth_failed", str(error).partition(" Fix:")[0], fix=fix, status=400) from None
    found = answer if isinstance(answer, dict) else {}
    if found.get("pre_auth_token"):
        raise NetmakerError(
            "mfa_required",
            f"{what}: the user has a second factor, which a play cannot give.",
            fix="use master_key, or an access token of that user as api_token.",
        )
    token = str(found.get("AuthToken") or "")
    if not token:
        raise NetmakerError("auth_failed", f"{what}: the server gave no token.", fix="use master_key or api_token.")
    client.hide(token)
    return token


def _authenticated(opener: Callable[..., Opener], connection: Connection) -> tuple[Client, str | None]:
    """A client with a credential, and the token when it took a login."""
    client = Client(opener, connection)
    if connection.credential or not connection.username:
        return client, None
    token = login(client)
    return Client(opener, replace(connection, credential=token)), token


def _gathered(api: Api, subsets: frozenset[str], only: str | None) -> dict[str, Any]:
    """What is asked for. ``only`` limits networks, nodes, egress and keys to one network."""
    found: dict[str, Any] = {}
    networks = api.networks() if subsets & {"networks", "egress"} else []
    names = [str(raw.get("netid")) for raw in networks if only in {None, raw.get("netid")}]
    if "networks" in subsets:
        mine = [raw for raw in networks if raw.get("netid") in names]
        found["networks"] = [
            network_of(raw, policy_of(raw["netid"], api.policies(raw["netid"]))).settings for raw in mine
        ]
    if subsets & {"hosts", "nodes"}:
        hosts = [host_view(raw) for raw in api.hosts()]
        called = {host["id"]: host["name"] for host in hosts}
        if "hosts" in subsets:
            found["hosts"] = sorted(hosts, key=lambda host: (str(host["name"]), str(host["id"])))
        if "nodes" in subsets:
            nodes = [{**node_view(raw), "host_name": called.get(raw.get("hostid"))} for raw in api.nodes(only)]
            found["nodes"] = sorted(nodes, key=lambda node: (str(node["network"]), str(node["host_name"])))
    if "egress" in subsets:
        found["egress"] = [egress_view(row) for name in names for row in api.egress(name)]
    if "enrollment_keys" in subsets:
        now = datetime.now(UTC)
        keys = [key_of(raw) for raw in api.enrollment_keys()]
        found["enrollment_keys"] = [key.settings(now) for key in keys if only is None or only in key.networks]
    return found


def run_info(opener: Callable[..., Opener], params: Mapping[str, Any]) -> dict[str, Any]:
    """Body of module `netmaker_info`; returns its result."""
    subsets = frozenset(SUBSETS if "all" in params["gather"] else params["gather"])
    if params["return_token"] and not params["username"]:
        raise NetmakerRefusedError(
            "invalid_value", "return_token has nothing to return without a login.", fix="give username and password."
        )
    connection = connection_of(params)
    server = probe(Client(opener, connection))
    client, token = _authenticated(opener, connection)
    return {
        "changed": False,
        "actions": [],
        "server": server.shown,
        "server_version": server.version,
        "api_token": token if params["return_token"] else None,
        **_gathered(Api(client), subsets, params["network"]),
        "warnings": server.warnings,
    }
