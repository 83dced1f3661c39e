# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What a tunnel is, and building one from module parameters with every fault reported at once.

Addresses and allowed networks are IPv4 only: the socket network drops IPv6 until it has an IPv6 pipeline, and an
address nobody filters would be a way around it. Endpoints, which only carry the tunnel, may be IPv6.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, ip_address
from typing import Any, TypeVar

from .._errors import RefusedError

Value = TypeVar("Value")


MTUS = range(576, 9001)
PORTS = range(1, 65536)
KEEPALIVES = range(65536)
_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}\Z")
PEER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}\Z")
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """The other end. ``keepalive`` is in seconds, 0 for none; no ``endpoint`` means that the peer calls us."""

    name: str
    public_key: str
    endpoint: str | None = None
    allowed_ips: tuple[IPv4Network, ...] = ()
    keepalive: int = 0
    preshared_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tunnel:
    """A WireGuard device as it should be. Without ``listen_port`` the kernel picks one."""

    device: str
    private_key: str = field(repr=False)
    addresses: tuple[IPv4Interface, ...]
    mtu: int
    listen_port: int | None = None
    peers: tuple[Peer, ...] = ()


class Faults:
    """Collects what is wrong with one request, so that the operator sees all of it at once."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._lines: list[str] = []

    def add(self, where: str, problem: str, fix: str) -> None:
        self._lines.append(f"{where}: {problem} Fix: {fix}")

    def take(self, where: str, read: Callable[[], Value], otherwise: Value) -> Value:
        """What ``read`` returns; a ConfigFault becomes a fault here, and ``otherwise`` stands in for the value."""
        try:
            return read()
        except ConfigFault as fault:
            self.add(where, fault.problem, fault.fix)
            return otherwise

    def raise_if_any(self) -> None:
        if self._lines:
            lines = "\n".join(f"  {number}. {line}" for number, line in enumerate(self._lines, 1))
            raise RefusedError(f"The tunnel {self._device} cannot be configured; nothing was changed.\n{lines}")


class ConfigFault(ValueError):
    """One value that cannot be used. Its text never holds a secret."""

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.fix = fix


def check_device(name: str) -> str:
    """``name`` if both the kernel and a systemd unit name can hold it."""
    if not _DEVICE.match(name):
        raise RefusedError(
            f"The device name {name!r} cannot be used.",
            fix="take 1 to 15 letters, digits, dots, hyphens and underscores, with a letter or digit first.",
        )
    return name


def read_key(text: str, *, secret: bool) -> str:
    """``text`` if it is a WireGuard key: base64 of 32 bytes."""
    text = text.strip()
    try:
        usable = len(text) == 44 and len(base64.b64decode(text, validate=True)) == 32
    except (binascii.Error, ValueError):
        usable = False
    if not usable:
        seen = f"{len(text)} characters (not shown)" if secret else repr(text)
        raise ConfigFault(f"{seen} is not a WireGuard key.", "give base64 of 32 bytes, as `wg genkey` prints it.")
    return text


def read_address(text: str) -> IPv4Interface:
    """An address of the device, with the length of its network."""
    if ":" in text:
        raise ConfigFault(f"{text!r} is IPv6, which this network drops.", "give IPv4 addresses only.")
    try:
        return IPv4Interface(text)
    except ValueError as error:
        raise ConfigFault(f"{text!r} is not an IPv4 address ({error}).", "write it as 172.16.0.2/32.") from error


def read_network(text: str) -> IPv4Network:
    """A network that a peer may send from and be sent to."""
    if ":" in text:
        raise ConfigFault(f"{text!r} is IPv6, which this network drops.", "give IPv4 networks only.")
    try:
        network = IPv4Network(text, strict=False)
    except ValueError as error:
        raise ConfigFault(f"{text!r} is not an IPv4 network ({error}).", "write it as 10.0.0.0/24.") from error
    if "/" in text and IPv4Interface(text).ip != network.network_address:
        raise ConfigFault(f"{text!r} has host bits set.", f"write {network} or {IPv4Interface(text).ip}/32.")
    return network


def read_endpoint(text: str) -> str:
    """``host:port`` or ``[IPv6]:port``."""
    host, colon, port = text.strip().rpartition(":")
    form = "write host:port, 192.0.2.1:51820 or [2001:db8::1]:51820."
    if not colon or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigFault(f"{text!r} has no port between 1 and 65535.", form)
    if host.startswith("[") and host.endswith("]"):
        try:
            return f"[{IPv6Address(host[1:-1])}]:{int(port)}"
        except ValueError as error:
            raise ConfigFault(f"{text!r} has no IPv6 address in its brackets.", form) from error
    if ":" in host or not _HOST.match(host):
        raise ConfigFault(f"{text!r} has no usable host.", form)
    if re.fullmatch(r"[0-9.]+", host):
        try:
            IPv4Address(host)
        except ValueError as error:
            raise ConfigFault(f"{text!r} has no usable host.", form) from error
    return f"{host}:{int(port)}"


def split_endpoint(endpoint: str) -> tuple[str, int, bool]:
    """Host without brackets, port, and whether the host is an address rather than a name."""
    host, _colon, port = endpoint.rpartition(":")
    host = host.strip("[]")
    try:
        ip_address(host)
    except ValueError:
        return host, int(port), False
    return host, int(port), True


def read_number(value: object, numbers: range) -> int:
    """``value`` if it lies within ``numbers``."""
    try:
        number = int(str(value).strip())
    except ValueError:
        number = numbers.start - 1
    if number not in numbers:
        raise ConfigFault(f"{value!r} is out of range.", f"take a number from {numbers.start} to {numbers.stop - 1}.")
    return number


def read_all(faults: Faults, where: str, given: Sequence[str], read: Callable[[str], Value]) -> list[Value]:
    """Every usable value of the list ``given``; the others become faults."""
    values: list[Value] = []
    for text in given:
        try:
            values.append(read(text))
        except ConfigFault as fault:
            faults.add(where, fault.problem, fault.fix)
    return values


def read_peer(faults: Faults, where: str, given: Mapping[str, Any], *, name: str) -> Peer:
    """A peer from module parameters. What is wrong with them goes to ``faults``."""
    preshared, endpoint, networks = (given.get(key) for key in ("preshared_key", "endpoint", "allowed_ips"))
    if not PEER_NAME.match(name):
        faults.add(f"{where}.name", f"{name!r} cannot be written as a comment.", "take letters, digits and hyphens.")
    if not networks:
        faults.add(f"{where}.allowed_ips", "the peer could not carry a packet.", "name the networks behind it.")
    public_key = faults.take(f"{where}.public_key", lambda: read_key(given["public_key"], secret=False), "")
    return Peer(
        name=name,
        public_key=public_key,
        preshared_key=faults.take(f"{where}.preshared_key", lambda: optional(preshared, read_secret), None),
        endpoint=faults.take(f"{where}.endpoint", lambda: optional(endpoint, read_endpoint), None),
        allowed_ips=tuple(sorted(set(read_all(faults, f"{where}.allowed_ips", networks or (), read_network)))),
        keepalive=faults.take(f"{where}.keepalive", lambda: read_number(given.get("keepalive") or 0, KEEPALIVES), 0),
    )


def optional(given: str | None, read: Callable[[str], str]) -> str | None:
    """``given`` as ``read`` has it, or None when nothing was given."""
    return read(given) if given else None


def read_secret(text: str) -> str:
    """A private or preshared key."""
    return read_key(text, secret=True)


def check_peers(faults: Faults, where: str, peers: Iterable[Peer]) -> None:
    """Add what several peers cannot share: a name, a key, a network (WireGuard gives it to the last one only)."""
    listed = list(peers)
    for label, values in (
        ("name", [peer.name for peer in listed]),
        ("public key", [peer.public_key for peer in listed if peer.public_key]),
        ("allowed network", [str(network) for peer in listed for network in peer.allowed_ips]),
    ):
        for value, count in sorted(Counter(values).items()):
            if count > 1:
                faults.add(where, f"{count} peers have the {label} {value}.", "give it to one peer only.")


def build(
    faults: Faults,
    *,
    device: str,
    where: str,
    private_key: str,
    addresses: Sequence[str],
    mtu: object,
    listen_port: object,
    peers: Sequence[Peer],
) -> Tunnel:
    """The tunnel made of these parts; raises RefusedError with every fault found until now."""
    found = read_all(faults, f"{where}addresses", addresses, read_address)
    if not addresses:
        faults.add(f"{where}addresses", "the device would have no address.", "give at least one.")
    port = 0
    if listen_port is not None:
        port = faults.take(f"{where}listen_port", lambda: read_number(listen_port, PORTS), 0)
    check_peers(faults, f"{where}peers", peers)
    tunnel = Tunnel(
        device=device,
        private_key=faults.take(f"{where}private_key", lambda: read_secret(private_key), ""),
        addresses=tuple(sorted(set(found))),
        mtu=faults.take(f"{where}mtu", lambda: read_number(mtu, MTUS), 0),
        listen_port=port or None,
        peers=tuple(sorted(peers, key=lambda peer: peer.name)),
    )
    faults.raise_if_any()
    return tunnel


def warp_tunnel(device: str, config: Mapping[str, Any]) -> Tunnel:
    """The tunnel of ``config`` as module `warp_tunnel` takes it."""
    faults = Faults(device)
    return build(
        faults,
        device=device,
        where="config.",
        private_key=config["private_key"],
        addresses=config["addresses"],
        mtu=config["mtu"],
        listen_port=None,
        peers=[read_peer(faults, "config.peer", config["peer"], name="warp")],
    )


def mesh_tunnel(params: Mapping[str, Any]) -> Tunnel:
    """The tunnel of the parameters of module `wireguard_uplink`."""
    faults = Faults(params["name"])
    peers = [read_peer(faults, f"peers[{peer['name']}]", peer, name=peer["name"]) for peer in params["peers"] or ()]
    return build(
        faults,
        device=params["name"],
        where="",
        private_key=params["private_key"],
        addresses=[params["address"]],
        mtu=params["mtu"],
        listen_port=params["listen_port"],
        peers=peers,
    )
