# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh of two hosts, "one" and "two", built from objects that the real server recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker.api import Api
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker.egress import row_of
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker.membership import (
    Found,
    Selector,
    find_host,
    wanted_membership,
)
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker.network import network_of
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker.node_plan import NodePlanner

from tests.unit.netmaker.doubles import client, recorded

HOSTS: list[dict[str, Any]] = recorded("hosts", "GET /api/hosts")
NODES: list[dict[str, Any]] = recorded("nodes", "GET /api/nodes/mesh")
ROW: dict[str, Any] = recorded("egress", "GET /api/v1/egress?network=mesh")[0]
NETWORK: dict[str, Any] = recorded("networks", "GET /api/networks")[0]
ONE, TWO = (next(host for host in HOSTS if host["name"] == name) for name in ("one", "two"))
NODE_ONE, NODE_TWO = (next(node for node in NODES if node["hostid"] == host["id"]) for host in (ONE, TWO))
PARAMS: dict[str, Any] = {
    "network": "mesh",
    "host_id": None,
    "public_key": None,
    "host_name": "one",
    "state": "present",
    "join": False,
    "address": None,
    "address6": None,
    "fixed_addresses": None,
    "host": None,
    "gateway": None,
    "relay_via": None,
    "egress": None,
    "egress_purge": False,
    "purge_host": False,
}
ITEM: dict[str, Any] = {
    "range": None,
    "domain": None,
    "nat": False,
    "metric": 256,
    "name": None,
    "description": None,
    "enabled": True,
}


def row(number: str, **fields: Any) -> dict[str, Any]:
    """A row for 10.0.0.0/24 through host "one" unless told otherwise."""
    base = {"id": number, "range": "10.0.0.0/24", "nodes": {NODE_ONE["id"]: 256}, "nat": False, "status": True}
    return {**ROW, **base, "domain": "", "created_at": f"2026-01-0{number}T00:00:00Z", **fields}


def one(**fields: Any) -> dict[str, Any]:
    return {**NODE_ONE, "address": "10.100.0.1/16", "is_gw": False, "relayedby": "", **fields}


def two(**fields: Any) -> dict[str, Any]:
    return {**NODE_TWO, "address": "10.100.0.2/16", "is_gw": False, "relayedby": "", **fields}


def mesh(*rows: dict[str, Any], nodes: list[dict[str, Any]] | None = None, **host: Any) -> Found:
    """The mesh as found from the side of host "one", which has the fields ``host``."""
    hosts = [{**ONE, **host}, TWO]
    return Found(
        network=network_of(NETWORK),
        host=find_host(Selector(None, None, "one"), hosts),
        nodes=tuple([one(), two()] if nodes is None else nodes),
        rows=tuple(row_of(raw) for raw in rows),
        names={str(raw["id"]): str(raw["name"]) for raw in hosts},
    )


def planner(url: str = "http://127.0.0.1:1", read: Callable[[], Found] | None = None, **params: Any) -> NodePlanner:
    """Plans for host "one" with these parameters of the module."""
    egress = params.get("egress")
    if egress is not None:
        params["egress"] = [{**ITEM, **item} for item in egress]

    def never() -> NoReturn:
        raise AssertionError("planning must not look at the server")

    return NodePlanner(Api(client(url)), wanted_membership({**PARAMS, **params}), read or never, read or never)
