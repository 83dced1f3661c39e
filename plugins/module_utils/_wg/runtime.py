# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What a tunnel does right now: its unit, its link and its WireGuard state, read from three commands.

Nothing here trusts a file: a peer removed by hand or a deleted device shows although the configuration is unchanged.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from ipaddress import IPv4Interface

from .._errors import RefusedError
from .._runner import Runner

INSTALL = "install the package wireguard-tools, as role warp does."
UNIT_PROPERTIES = ("LoadState", "ActiveState", "UnitFileState", "Result", "Job")


@dataclass(frozen=True, slots=True)
class Unit:
    """``systemctl show`` of wg-quick@DEVICE.service. ``busy``: systemd still works on a job for it."""

    loaded: bool = False
    active: str = "inactive"
    enabled: bool = False
    result: str = "success"
    busy: bool = False

    @property
    def running(self) -> bool:
        return self.active == "active"


@dataclass(frozen=True, slots=True)
class Link:
    """The network device. Only IPv4 addresses count."""

    mtu: int
    addresses: frozenset[IPv4Interface]
    up: bool


@dataclass(frozen=True, slots=True)
class PeerState:
    """A peer as the device holds it. ``handshake`` is in seconds since 1970, 0 for never; rx and tx in bytes."""

    public_key: str
    endpoint: str | None = None
    allowed_ips: frozenset[str] = frozenset()
    keepalive: int = 0
    handshake: int = 0
    rx: int = 0
    tx: int = 0
    preshared_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Device:
    """``wg show DEVICE dump``. ``peers`` by public key."""

    private_key: str | None = field(repr=False)
    public_key: str | None
    listen_port: int
    peers: dict[str, PeerState]


@dataclass(frozen=True, slots=True)
class Runtime:
    """All of it. ``link`` is None when there is no such device; ``device`` when it is none of WireGuard's.

    ``tools`` is False when the package wireguard-tools is missing (only seen in check mode).
    """

    unit: Unit = Unit()
    link: Link | None = None
    device: Device | None = None
    tools: bool = True


def unit_of(device: str) -> str:
    """The unit that the package wireguard-tools ships for ``device``."""
    return f"wg-quick@{device}.service"


def parse_unit(text: str) -> Unit:
    """``systemctl show --property=…`` lines."""
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return Unit(
        loaded=values.get("LoadState") == "loaded",
        active=values.get("ActiveState", "inactive"),
        enabled=values.get("UnitFileState") == "enabled",
        result=values.get("Result", ""),
        busy=values.get("Job", "") not in ("", "0"),
    )


def parse_link(text: str) -> Link | None:
    """``ip -j addr show DEVICE``; None for its empty answer."""
    found = [entry for entry in json.loads(text or "[]") if entry]
    if not found:
        return None
    addresses = [
        IPv4Interface(f"{address['local']}/{address['prefixlen']}")
        for address in found[0].get("addr_info", ())
        if address.get("family") == "inet"
    ]
    return Link(mtu=found[0]["mtu"], addresses=frozenset(addresses), up="UP" in found[0]["flags"])


def parse_dump(text: str) -> Device:
    """``wg show DEVICE dump``: a line for the device (4 fields) and one for each peer (8 fields), tab-separated."""
    first, *rest = text.splitlines()
    private_key, public_key, listen_port, _mark = first.split("\t")
    peers = [parse_peer(line) for line in rest if line]
    return Device(
        private_key=_value(private_key),
        public_key=_value(public_key),
        listen_port=int(listen_port),
        peers={peer.public_key: peer for peer in peers},
    )


def parse_peer(line: str) -> PeerState:
    """One peer of ``wg show DEVICE dump``."""
    public_key, preshared, endpoint, allowed, handshake, received, sent, keepalive = line.split("\t")
    return PeerState(
        public_key=public_key,
        preshared_key=_value(preshared),
        endpoint=_value(endpoint),
        allowed_ips=frozenset((_value(allowed) or "").split(",")) - {""},
        handshake=int(handshake),
        rx=int(received),
        tx=int(sent),
        keepalive=0 if keepalive == "off" else int(keepalive),
    )


def _value(text: str) -> str | None:
    return None if text == "(none)" else text


def read(runner: Runner, device: str, *, lenient: bool = False) -> Runtime:
    """The state of ``device`` on this host, from at most three commands.

    ``lenient`` (check mode on a host that is not provisioned yet) takes a missing tool for "nothing exists yet";
    otherwise it is refused with the package to install.
    """
    try:
        unit = read_unit(runner, device)
        answer = runner.run(["ip", "-j", "addr", "show", "dev", device], ok=(0, 1), what=f"Reading link {device}")
        link = parse_link(answer.stdout) if answer.rc == 0 else None
        dump = runner.run(["wg", "show", device, "dump"], ok=(0, 1), what=f"Reading tunnel {device}")
    except FileNotFoundError as error:
        if lenient:
            return Runtime(tools=False)
        raise RefusedError(f"{error.filename or 'A tool'} is not on this host.", fix=INSTALL) from error
    if not unit.loaded and not lenient:
        raise RefusedError(f"systemd knows no {unit_of(device)}.", fix=INSTALL)
    return Runtime(unit, link, parse_dump(dump.stdout) if dump.rc == 0 and dump.stdout else None)


def read_unit(runner: Runner, device: str) -> Unit:
    """Only the unit's part of it."""
    argv = ["systemctl", "show", unit_of(device), f"--property={','.join(UNIT_PROPERTIES)}"]
    return parse_unit(runner.run(argv, what=f"Reading {unit_of(device)}").stdout)
