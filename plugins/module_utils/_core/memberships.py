# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What Netmaker has to know of a host: its membership of a network, as plain data."""

from __future__ import annotations

from typing import Any

from .model import Fleet


def netmaker_membership(fleet: Fleet, host: str) -> dict[str, Any] | None:
    """The membership of ``host``, None without one; filter `netmaker_memberships` describes the keys.

    The relay of a network carries what hosts without an endpoint say to each other, so all of them go through it.
    """
    node = fleet.nodes[host]
    uplink = next((uplink for uplink in node.uplinks if uplink.kind == "netmaker"), None)
    if uplink is None or uplink.address is None:
        return None
    served = node.served_bridge(uplink)
    members = fleet.members(uplink.network, uplink.kind)
    relay = next((member.node.name for member in members if member.uplink.relay), None)
    return {
        "network": uplink.network,
        "host": host,
        "uplink": uplink.name,
        "device": uplink.device,
        "address": str(uplink.address.ip),
        "addresses": {
            member.node.name: str(member.uplink.address.ip) for member in members if member.uplink.address is not None
        },
        "listen_port": uplink.listen_port,
        "endpoint": uplink.endpoint,
        "gateway": uplink.relay,
        "relay_via": None if uplink.endpoint is not None else relay,
        "egress": [str(served.subnet)] if served is not None and served.subnet is not None else [],
        "mtu": uplink.mtu,
    }
