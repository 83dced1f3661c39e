# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""WireGuard tunnels between the nodes of a mesh: who is whose peer, and what lies behind each."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any

from .model import Fleet, Member, Uplink


def tunnel(fleet: Fleet, uplink: Uplink) -> dict[str, Any]:
    """The tunnel of ``uplink`` (kind wireguard) without its private key."""
    return {
        "name": uplink.device,
        "address": str(uplink.address),
        "listen_port": uplink.listen_port,
        "mtu": uplink.mtu,
        "public_key": uplink.public_key,
        "peers": _peers(uplink, fleet.members(uplink.network, uplink.kind)),
    }


def _peers(uplink: Uplink, members: tuple[Member, ...]) -> list[dict[str, Any]]:
    """One peer for every member that can be reached directly; the relay also carries what can only be relayed.

    Two nodes reach each other directly when one of them has an endpoint.
    """
    others = [member for member in members if member.uplink is not uplink]
    direct = [member for member in others if uplink.endpoint or member.uplink.endpoint]
    behind = {member.node.name: _behind(member) for member in direct}
    forwarder = gateway_peer(uplink, members)
    if forwarder is not None and forwarder.node.name in behind:
        for member in others:
            if member.node.name not in behind:
                behind[forwarder.node.name] += _behind(member)
        behind[forwarder.node.name] += uplink.prefixes
    return [
        {
            "name": member.node.name,
            "public_key": member.uplink.public_key,
            "endpoint": member.uplink.endpoint,
            "allowed_ips": [str(network) for network in sorted(set(behind[member.node.name]))],
            "keepalive": uplink.keepalive if uplink.endpoint is None else 0,
        }
        for member in direct
    ]


def gateway_peer(uplink: Uplink, members: tuple[Member, ...]) -> Member | None:
    """The peer that forwards what is behind no single peer: the relay, or the only other node."""
    others = [member for member in members if member.uplink is not uplink]
    relays = [member for member in others if member.uplink.relay]
    if len(relays) == 1:
        return relays[0]
    return others[0] if len(others) == 1 else None


def _behind(member: Member) -> list[IPv4Network]:
    """What ``member`` itself answers for: its overlay address and the subnet of its bridge."""
    networks = [IPv4Network(member.uplink.address.ip)] if member.uplink.address else []
    return [*networks, *([member.subnet] if member.subnet else [])]
