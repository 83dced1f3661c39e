# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Gateways by the names people use: a node's id, or the name of its host."""

from __future__ import annotations

from collections.abc import Iterable

from .api import Api
from .errors import NetmakerError


def gateway_id(api: Api, wanted: str, networks: Iterable[str]) -> str:
    """The node id of the gateway ``wanted``, a node id or a host's name, in one of ``networks``."""
    names = {str(host.get("id")): str(host.get("name")) for host in api.hosts()}
    found: list[str] = []
    for network in sorted(networks):
        for node in api.nodes(network):
            if wanted in {node.get("id"), node.get("hostid"), names.get(str(node.get("hostid")))}:
                found.append(str(node["id"]))
                if node.get("is_gw") or node.get("isrelay"):
                    return str(node["id"])
    if found:
        raise NetmakerError(
            "not_found",
            f"{wanted} is no gateway in {', '.join(sorted(networks))}.",
            fix="make it one first (netmaker_node with gateway: true).",
        )
    raise NetmakerError(
        "host_not_found",
        f"No node of {wanted} in {', '.join(sorted(networks))}.",
        fix="let the gateway join first, and write its host's name or its node's id.",
    )
