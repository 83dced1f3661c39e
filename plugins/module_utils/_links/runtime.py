# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Links, rules and routes as the kernel has them: one vocabulary for what is wanted and what is found."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network

from .layer import LinkLayer, Uplink

MAIN_TABLE = 254
RULE_PRIORITY = 1000
UNREACHABLE_METRIC = 4278198272
"""Of the kill switch's route: worse than anything a tool would choose for itself."""

DEFAULT = IPv4Network("0.0.0.0/0")


@dataclass(frozen=True, slots=True, order=True)
class Link:
    """One end of a veth pair. ``mac`` and ``mtu`` are None when any value will do."""

    name: str
    peer: str
    mac: str | None
    mtu: int | None
    arp: bool
    up: bool = True

    def __str__(self) -> str:
        facts = [f"link {self.name} veth peer {self.peer}"]
        if self.mac is not None:
            facts.append(f"address {self.mac}")
        if self.mtu is not None:
            facts.append(f"mtu {self.mtu}")
        return " ".join([*facts, "arp on" if self.arp else "arp off", "up" if self.up else "down"])


@dataclass(frozen=True, slots=True, order=True)
class Rule:
    """Packets that come in by ``iif`` are routed by ``table``."""

    iif: str
    table: int
    priority: int = RULE_PRIORITY

    def __str__(self) -> str:
        return f"rule {self.priority} iif {self.iif} lookup {self.table}"


@dataclass(frozen=True, slots=True)
class Route:
    """A route; ``how`` says the rest: directly reached by ``device``, unreachable, or what somebody else made it."""

    table: int
    destination: IPv4Network
    device: str | None
    how: str = "scope link"

    def __str__(self) -> str:
        by = "" if self.device is None else f" dev {self.device}"
        return f"route table {self.table} {self.destination}{by} {self.how}"


def kill_switch(table: int) -> Route:
    """Answers when the device is down, so that the host's own default route is never asked."""
    return Route(table, DEFAULT, None, f"unreachable metric {UNREACHABLE_METRIC}")


def uplink_rules(uplink: Uplink) -> list[Rule]:
    """The host's own uplink needs none: its packets go by the main table."""
    return [] if uplink.device is None else [Rule(port, uplink.table) for port in uplink.ports]


def uplink_routes(uplink: Uplink) -> list[Route]:
    """Ways to the bridge, to what lies behind the device, and the kill switch.

    The host's own uplink has its route in the main table: ICMP errors that the host makes for a container need it.
    """
    own = MAIN_TABLE if uplink.device is None else uplink.table
    routes = [] if uplink.subnet is None else [Route(own, uplink.subnet, uplink.gateway_port)]
    if uplink.device is not None:
        routes += [Route(own, prefix, uplink.device) for prefix in uplink.prefixes]
        routes.append(kill_switch(own))
    return routes


def wanted_links(layer: LinkLayer) -> dict[str, Link]:
    """Every veth end of ``layer`` by name. Bridge ends answer no ARP: their frames belong to Open vSwitch alone."""
    links = []
    for uplink in layer.uplinks:
        links.append(Link(uplink.gateway_port, uplink.bridge_port, uplink.mac, uplink.mtu, arp=True))
        links.append(Link(uplink.bridge_port, uplink.gateway_port, None, uplink.mtu, arp=False))
    for pair in layer.veth_pairs:
        links.append(Link(pair.peer1[0], pair.peer2[0], pair.peer1[1], None, arp=False))
        links.append(Link(pair.peer2[0], pair.peer1[0], pair.peer2[1], None, arp=False))
    return {link.name: link for link in links}


def wanted_rules(layer: LinkLayer) -> frozenset[Rule]:
    return frozenset(rule for uplink in layer.uplinks for rule in uplink_rules(uplink))


def wanted_routes(layer: LinkLayer) -> frozenset[Route]:
    """All routes, also those of devices that are not there yet."""
    return frozenset(route for uplink in layer.uplinks for route in uplink_routes(uplink))
