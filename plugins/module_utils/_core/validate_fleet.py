# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Checks across nodes: subnets, overlays and meshes."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network
from itertools import combinations, product

from .._errors import Fault
from .model import Fleet, Member
from .report import Report
from .tunnels import gateway_peer

_Claim = tuple[IPv4Network, str, str]


def check_fleet(fleet: Fleet, faults: list[Fault]) -> None:
    """Record what is wrong between the nodes of ``fleet``."""
    report = Report(faults)
    for (kind, _network), members in fleet.meshes.items():
        _check_overlay(members, report)
        _check_relay(members, report)
        if kind == "wireguard":
            _check_tunnels(members, report)
    _check_overlaps(fleet, report)
    _check_ambiguous(fleet, report)


def _check_overlaps(fleet: Fleet, report: Report) -> None:
    """Subnets and overlays must be disjoint. In order of address, a network can only overlap the widest before it."""
    widest: _Claim | None = None
    claims = sorted(_claims(fleet), key=lambda claim: (int(claim[0].network_address), claim[0].prefixlen))
    for claim in claims:
        network, origin, key = claim
        if widest is not None and network.overlaps(widest[0]):
            problem = f"it overlaps {widest[0]} of {widest[1]}.{widest[2]}."
            report.fault(origin, key, network, problem, "give every bridge and every overlay a network of its own.")
        if widest is None or network.broadcast_address > widest[0].broadcast_address:
            widest = claim


def _claims(fleet: Fleet) -> Iterator[_Claim]:
    for node in fleet.nodes.values():
        for bridge in node.bridges:
            if bridge.subnet is not None:
                yield bridge.subnet, bridge.origin, "subnet"
    for members in fleet.meshes.values():
        first = next((member.uplink for member in members if member.uplink.address is not None), None)
        if first is not None and first.address is not None:
            yield first.address.network, first.origin, "address"


def _check_overlay(members: tuple[Member, ...], report: Report) -> None:
    uplinks = [member.uplink for member in members if member.uplink.address is not None]
    entries = [(uplink.address.ip, uplink.origin, "address", uplink.address) for uplink in uplinks if uplink.address]
    report.unique(entries, "this overlay address", "give every node of a mesh its own address.")
    for uplink in uplinks[1:]:
        overlay, first = uplink.address, uplinks[0].address
        if overlay is not None and first is not None and overlay.network != first.network:
            problem = f"its network is {overlay.network}, that of {uplinks[0].origin} is {first.network}."
            report.fault(uplink.origin, "address", overlay, problem, "use one overlay network for one mesh.")


def _check_relay(members: tuple[Member, ...], report: Report) -> None:
    uplinks = [member.uplink for member in members]
    relays = [uplink for uplink in uplinks if uplink.relay]
    for extra in relays[1:]:
        problem = f"the relay of {extra.network} is already {relays[0].origin}."
        report.fault(extra.origin, "relay", "true", problem, "keep one relay a network.")
    hidden = [uplink for uplink in uplinks if uplink.endpoint is None]
    if len(hidden) > 1 and not any(relay.endpoint for relay in relays):
        names = ", ".join(uplink.origin.partition(":")[0] for uplink in hidden)
        problem = f"{names} cannot reach each other: none has an endpoint and {hidden[0].network} has no relay."
        report.fault(hidden[1].origin, "endpoint", "(not set)", problem, "set relay: true on a node with an endpoint.")


def _check_tunnels(members: tuple[Member, ...], report: Report) -> None:
    uplinks = [member.uplink for member in members]
    keys = [
        (uplink.public_key, uplink.origin, "public_key", uplink.public_key) for uplink in uplinks if uplink.public_key
    ]
    report.unique(keys, "this public key", "make a key pair for every node with `wg genkey`.")
    for uplink in uplinks:
        if uplink.prefixes and gateway_peer(uplink, members) is None:
            problem = "nothing says which peer these are behind: the network has neither a relay nor exactly two nodes."
            report.fault(uplink.origin, "prefixes", ", ".join(map(str, uplink.prefixes)), problem, "remove them.")


def _check_ambiguous(fleet: Fleet, report: Report) -> None:
    """Mesh uplinks that serve one bridge must not lead to the same destination."""
    names = {mesh: {member.node.name for member in members} for mesh, members in fleet.meshes.items()}
    shared: dict[tuple[tuple[str, str], tuple[str, str]], set[str]] = {}
    for node in fleet.nodes.values():
        for first, second in combinations([uplink for uplink in node.uplinks if uplink.is_mesh], 2):
            if node.served_bridge(first) is not node.served_bridge(second):
                continue
            meshes = (first.kind, first.network), (second.kind, second.network)
            if meshes not in shared:
                shared[meshes] = names[meshes[0]] & names[meshes[1]]
            both = ", ".join(sorted(shared[meshes] - {node.name}))
            fix = "give a bridge one way to every destination."
            if meshes[0] == meshes[1]:
                problem = f"{first.origin} joins the same mesh for the same bridge."
                report.fault(second.origin, "network", second.network, problem, fix)
            elif both:
                problem = f"{both} can also be reached through {first.origin}."
                report.fault(second.origin, "network", second.network, problem, fix)
            elif first.prefixes or second.prefixes:
                for mine, other in product(fleet.prefixes(node, first), fleet.prefixes(node, second)):
                    if mine.overlaps(other):
                        report.fault(second.origin, "prefixes", other, f"it overlaps {mine} of {first.origin}.", fix)
