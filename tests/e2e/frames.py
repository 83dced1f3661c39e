# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames of the lab, built by hand: what a well-behaved kernel would never send."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

ROUTER = "02:00:00:00:00:01"
BROADCAST = "ff:ff:ff:ff:ff:ff"


def mac(address: str) -> bytes:
    return bytes.fromhex(address.replace(":", ""))


def ethernet(target: str, source: str, kind: int, payload: bytes) -> bytes:
    return mac(target) + mac(source) + struct.pack("!H", kind) + payload


def tagged(frame: bytes, vlan: int) -> bytes:
    """The frame with an 802.1Q tag."""
    return frame[:12] + struct.pack("!HH", 0x8100, vlan) + frame[12:]


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def tcp_syn(source: str, target: str, source_port: int, target_port: int) -> bytes:
    """An IPv4 packet that asks for a TCP connection."""
    addresses = IPv4Address(source).packed + IPv4Address(target).packed
    head = struct.pack("!HHIIBBHHH", source_port, target_port, 1000, 0, 5 << 4, 2, 64240, 0, 0)
    check = checksum(addresses + struct.pack("!BBH", 0, 6, len(head)) + head)
    segment = head[:16] + struct.pack("!H", check) + head[18:]
    packet = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 1, 0, 64, 6, 0) + addresses
    return packet[:10] + struct.pack("!H", checksum(packet)) + packet[12:] + segment


def arp(operation: int, sender_mac: str, sender: str, target_mac: str, target: str) -> bytes:
    """An ARP packet: operation 1 asks, 2 answers."""
    head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation)
    return head + mac(sender_mac) + IPv4Address(sender).packed + mac(target_mac) + IPv4Address(target).packed


def router_solicitation() -> bytes:
    """An IPv6 packet that asks all nodes for a router: what any host with IPv6 sends when a link comes up."""
    source = bytes.fromhex("fe80000000000000000000fffe000066")
    everyone = bytes.fromhex("ff020000000000000000000000000002")
    body = struct.pack("!BBHI", 133, 0, 0, 0)
    pseudo = source + everyone + struct.pack("!II", len(body), 58)
    body = struct.pack("!BBHI", 133, 0, checksum(pseudo + body), 0)
    return struct.pack("!IHBB", 6 << 28, len(body), 58, 255) + source + everyone + body
