# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Everything that identifies derives here from a stable key (a name or an address), never from a list position."""

from __future__ import annotations

import hashlib
from ipaddress import IPv4Address, IPv4Interface

ROUTER_MAC = "02:00:00:00:00:01"
"""The only MAC address that a container ever sees."""

COOKIE_OWNER = 0x6F6F
"""Upper 16 bits of the cookie of every flow that this collection owns."""

CONTAINER_CLASS = 0x10000
UPLINK_CLASS = 0x20000
CLASS_MASK = 0x30000
"""Logical port ids in reg0/reg1: class in bits 16-17, number in bits 0-15."""

_CONTAINER_OFPORT = 32768
_LINK_OFPORT = 49152
_LINK_OFPORTS = 16000


def digest16(key: str) -> int:
    """A 16 bit number from 1 to 65535 for ``key``."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % 0xFFFF + 1


def container_mac(address: IPv4Address) -> str:
    """``02:00:`` and the four bytes of the address."""
    return ":".join(["02", "00", *(f"{byte:02x}" for byte in address.packed)])


def link_mac(port: str) -> str:
    """MAC address of a gateway or inter-bridge port: ``02:01:`` and a digest of its name."""
    return ":".join(["02", "01", *(f"{byte:02x}" for byte in hashlib.sha256(port.encode()).digest()[:4])])


def container_register(address: IPv4Address) -> int:
    """Logical port id of a container: the low 16 bits of its address, in the container class."""
    return CONTAINER_CLASS | int(address) & 0xFFFF


def container_ofport(interface: IPv4Interface) -> int:
    """OpenFlow port of a container: 32768 and up, which OVS never hands out by itself, plus its host bits.

    Bridge subnets are /18 or longer, so the result stays below the ports of links.
    """
    return _CONTAINER_OFPORT + (int(interface.ip) & int(interface.network.hostmask))


def link_ofport(port: str) -> int:
    """OpenFlow port of an uplink's bridge end or an inter-bridge port, from its name: 49152 to 65151."""
    return _LINK_OFPORT + digest16(port) % _LINK_OFPORTS


def routing_table(number: int) -> int:
    """Kernel routing table of an uplink: beyond the tables that distributions and netclient use."""
    return 0x10000 + number
