# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What the link layer of one host is made of. `parse` builds it from a module's parameters and checks them."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

HOST = "host"
KINDS = (HOST, "warp", "wireguard", "netmaker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Uplink:
    """A way in and out of a bridge. ``device`` is None for kind `host`; ``subnet`` is that of the bridge it serves.

    ``masquerade`` marks an exit: nothing behind it may open connections. ``relay``: packets may
    leave by the device that they came in by.
    """

    name: str
    kind: str
    device: str | None
    gateway_port: str
    bridge_port: str
    mac: str
    table: int
    mtu: int
    subnet: IPv4Network | None
    prefixes: tuple[IPv4Network, ...]
    relay: bool
    masquerade: bool

    @property
    def ports(self) -> tuple[str, ...]:
        """Names under which its packets come to the kernel: the gateway end and the device."""
        return (self.gateway_port,) if self.device is None else (self.gateway_port, self.device)


@dataclass(frozen=True, slots=True, kw_only=True)
class VethPair:
    """Joins two bridges: (name, MAC address) of both ends."""

    peer1: tuple[str, str]
    peer2: tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Endpoint:
    """A container's service that the host's firewall has to know. ``public_port`` is None unless it is published."""

    protocol: str
    address: IPv4Address
    port: int
    gateway_port: str
    public_port: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkLayer:
    """Everything on one host; an empty one stands for a host without our links."""

    uplinks: tuple[Uplink, ...] = ()
    veth_pairs: tuple[VethPair, ...] = ()
    published: tuple[Endpoint, ...] = ()
    host_services: tuple[Endpoint, ...] = ()

    @property
    def bridge_ports(self) -> tuple[str, ...]:
        """Ends whose frames belong to Open vSwitch alone."""
        inter = [end[0] for pair in self.veth_pairs for end in (pair.peer1, pair.peer2)]
        return tuple(sorted([uplink.bridge_port for uplink in self.uplinks] + inter))

    @property
    def gateway_ports(self) -> tuple[str, ...]:
        return tuple(sorted(uplink.gateway_port for uplink in self.uplinks))

    @property
    def devices(self) -> tuple[str, ...]:
        return tuple(sorted(uplink.device for uplink in self.uplinks if uplink.device is not None))
