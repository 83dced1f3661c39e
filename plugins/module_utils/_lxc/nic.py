# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""The container's network device as the kernel has it: a guest's root can take its address, a run gives it back."""

from __future__ import annotations

import fcntl
import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

from .health import in_network_of
from .spec import ContainerSpec

DEVICE = "eth0"
_ADDRESS, _NETMASK, _MTU, _HARDWARE, _FLAGS = 0x8915, 0x891B, 0x8921, 0x8927, 0x8913
_UP = 1


@dataclass(frozen=True, slots=True)
class Nic:
    """eth0 of a container. ``address`` and ``gateway`` are None when there is none."""

    mac: str
    mtu: int
    is_up: bool
    address: IPv4Interface | None
    gateway: IPv4Address | None

    def text(self) -> str:
        state = "up" if self.is_up else "down"
        return f"eth0 {state} mac {self.mac} mtu {self.mtu} address {self.address} gateway {self.gateway}\n"


def wanted(spec: ContainerSpec) -> Nic:
    return Nic(spec.mac, spec.mtu, True, spec.address, spec.gateway)


def found(pid: int) -> Nic | None:
    """The device in the network of process ``pid``; None when it has none, or is gone."""
    try:
        text = in_network_of(pid, _device)
        routes = Path(f"/proc/{pid}/net/route").read_text(encoding="ascii")
    except OSError:
        return None
    mac, mtu, flags, address = text.split(" ")
    interface = IPv4Interface(address) if address else None
    return Nic(mac, int(mtu), bool(int(flags) & _UP), interface, _gateway(routes))


def repair(spec: ContainerSpec, pid: int) -> tuple[list[str], str]:
    """argv, and its standard input, that give the running container its device settings back."""
    interface = spec.address
    lines = [
        f"link set dev {DEVICE} address {spec.mac} mtu {spec.mtu} up",
        f"address replace {interface.with_prefixlen} broadcast {interface.network.broadcast_address} dev {DEVICE}",
        f"route replace default via {spec.gateway} dev {DEVICE}",
    ]
    argv = ["nsenter", f"--net=/proc/{pid}/ns/net", "ip", "-batch", "-"]
    return argv, "\n".join(lines) + "\n"


def _device() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:

        def ask(request: int) -> bytes:
            return fcntl.ioctl(handle, request, struct.pack("16s240x", DEVICE.encode()))[16:]

        mac = ask(_HARDWARE)[2:8].hex(":")
        mtu = struct.unpack_from("i", ask(_MTU))[0]
        flags = struct.unpack_from("H", ask(_FLAGS))[0]
        try:
            address = f"{socket.inet_ntoa(ask(_ADDRESS)[4:8])}/{socket.inet_ntoa(ask(_NETMASK)[4:8])}"
        except OSError:
            address = ""
    return f"{mac} {mtu} {flags} {address}"


def _gateway(routes: str) -> IPv4Address | None:
    """Gateway of the default route through eth0 in the text of /proc/PID/net/route, whose numbers are little-endian."""
    for line in routes.splitlines()[1:]:
        device, destination, gateway, *_rest = line.split()
        if device == DEVICE and destination == "00000000" and gateway != "00000000":
            return IPv4Address(struct.pack("<I", int(gateway, 16)))
    return None
