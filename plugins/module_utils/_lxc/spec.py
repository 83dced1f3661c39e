# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What a container shall be, checked as a whole before anything is touched."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Interface, NetmaskValueError
from typing import Any

from .._errors import RefusedError

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
SHA256 = re.compile(r"[0-9a-f]{64}")
PLAIN_PATH = re.compile(r"/[^\s'\"\\]*")
IMAGE_SUFFIXES = (".tar", ".tar.gz", ".tar.xz", ".tar.zst")
SMALLEST_MEMORY = 16
LARGEST_OFPORT = 65279


@dataclass(frozen=True, slots=True)
class Health:
    """How to see that a service works: ``kind`` is tcp, http (with a path) or command (with sh code)."""

    kind: str
    argument: str = ""


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """A port that the container serves."""

    name: str
    protocol: str
    port: int
    exposed_to: tuple[str, ...] = ()
    public_port: int | None = None
    health: Health | None = None

    def as_dict(self) -> dict[str, Any]:
        """The shape of the inventory."""
        return {
            "name": self.name,
            "protocol": self.protocol,
            "port": self.port,
            "exposed_to": list(self.exposed_to),
            "public_port": self.public_port,
            "health": {self.health.kind: self.health.argument or True} if self.health else None,
        }


@dataclass(frozen=True, slots=True)
class Source:
    """Where the root file system comes from: an archive with its digest, or the directory ``path`` without one."""

    path: str
    sha256: str = ""

    @property
    def identity(self) -> str:
        """What makes another root file system of it: an archive may move, a tree is its path."""
        return f"sha256:{self.sha256}" if self.sha256 else f"tree:{self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """One container. Memory and swap are in MiB; None is no limit."""

    id: str
    name: str
    veth: str
    bridge: str
    address: IPv4Interface
    gateway: IPv4Address
    mac: str
    ofport: int
    mtu: int
    memory: int | None = None
    swap: int | None = None
    cpus: float | None = None
    nesting: bool = False
    running: bool = True
    autostart: bool = True
    unprivileged: bool = True
    template: str = ""
    source: Source | None = None
    services: tuple[ServiceSpec, ...] = ()


def container_spec(params: Mapping[str, Any]) -> ContainerSpec:
    """Build the spec from the module's parameters; refuse with every fault in one message."""
    faults = [*_faults(params)]
    if faults:
        noun = "fault" if len(faults) == 1 else "faults"
        listed = " ".join(f"({number}) {fault}" for number, fault in enumerate(faults, 1))
        raise RefusedError(
            f"Container {params['name']!r} has {len(faults)} {noun}; nothing was changed. {listed}",
            fix="correct these keys of the container in lxc_service_containers.",
        )
    return ContainerSpec(
        **{key: params[key] for key in ("id", "name", "veth", "bridge", "mac", "ofport", "mtu")},
        **{key: params[key] for key in ("memory", "swap", "cpus", "nesting", "running", "autostart", "unprivileged")},
        address=IPv4Interface(params["ipv4_address"]),
        gateway=IPv4Address(params["gateway"]),
        template=params["template"],
        source=_source(params),
        services=tuple(_service(service) for service in params["services"]),
    )


def check_name(name: str) -> None:
    """Refuse what cannot be a container's name; it becomes a path, a unit name and a host name."""
    if not NAME.fullmatch(name):
        raise RefusedError(f"Container {name!r}: a name is lower case letters, digits and inner hyphens, at most 63.")


def _source(params: Mapping[str, Any]) -> Source | None:
    if params["image"]:
        return Source(params["image"]["path"], params["image"]["sha256"].lower())
    return Source(params["tree"].rstrip("/")) if params["tree"] else None


def _service(service: Mapping[str, Any]) -> ServiceSpec:
    return ServiceSpec(
        service["name"],
        service["protocol"],
        service["port"],
        tuple(sorted(service["exposed_to"] or ())),
        service["public_port"],
        _health(service["health"]),
    )


def _health(health: Mapping[str, Any] | None) -> Health | None:
    kind, argument = next(_kinds(health or {}), ("", None))
    if not kind:
        return None
    return Health(kind, "" if kind == "tcp" else str(argument))


def _kinds(health: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((kind, health[kind]) for kind in ("tcp", "http", "command") if health.get(kind))


def _faults(params: Mapping[str, Any]) -> Iterator[str]:
    missing = [key for key in ("id", "veth", "bridge", "ipv4_address", "gateway", "mac", "ofport") if not params[key]]
    if missing:
        yield f"missing: {', '.join(missing)}."
        return
    patterns = {"name": NAME, "id": ID, "veth": DEVICE, "bridge": DEVICE, "mac": MAC}
    for key, pattern in patterns.items():
        if not pattern.fullmatch(params[key]):
            yield f"{key} {params[key]!r} must match {pattern.pattern}."
    if MAC.fullmatch(params["mac"]) and int(params["mac"][:2], 16) & 1:
        yield f"mac {params['mac']!r} is a group address; a container needs a unicast one."
    yield from _network_faults(params)
    yield from _limit_faults(params)
    yield from _source_faults(params)
    yield from _service_faults(params["services"])


def _network_faults(params: Mapping[str, Any]) -> Iterator[str]:
    text = params["ipv4_address"]
    if "/" not in text:
        yield f"ipv4_address {text!r} lacks the prefix length, such as /24."
        return
    try:
        address, gateway = IPv4Interface(text), IPv4Address(params["gateway"])
    except (AddressValueError, NetmaskValueError) as error:
        yield f"ipv4_address {text!r} or gateway {params['gateway']!r} is no IPv4 address: {error}."
        return
    network = address.network
    if address.ip in (network.network_address, network.broadcast_address):
        yield f"ipv4_address {text!r} is the network or broadcast address."
    if gateway not in network:
        yield f"gateway {gateway} is outside {network}."
    if gateway == address.ip:
        yield f"gateway {gateway} is the container's own address."
    if not 1 <= params["ofport"] <= LARGEST_OFPORT:
        yield f"ofport {params['ofport']} must be 1 to {LARGEST_OFPORT}."
    if not 576 <= params["mtu"] <= 65535:
        yield f"mtu {params['mtu']} must be 576 to 65535."


def _limit_faults(params: Mapping[str, Any]) -> Iterator[str]:
    if params["memory"] is not None and params["memory"] < SMALLEST_MEMORY:
        yield f"memory {params['memory']} must be at least {SMALLEST_MEMORY} (MiB)."
    if params["swap"] is not None and params["swap"] < 0:
        yield f"swap {params['swap']} must not be negative (MiB)."
    if params["cpus"] is not None and not 0.01 <= params["cpus"] <= 1024:
        yield f"cpus {params['cpus']} must be 0.01 to 1024."


def _source_faults(params: Mapping[str, Any]) -> Iterator[str]:
    image, tree = params["image"], params["tree"]
    if image and tree:
        yield "image and tree exclude each other."
    if image and not (PLAIN_PATH.fullmatch(image["path"]) and image["path"].endswith(IMAGE_SUFFIXES)):
        yield f"image path {image['path']!r} must be absolute and end in {', '.join(IMAGE_SUFFIXES)}."
    if image and not SHA256.fullmatch(image["sha256"].lower()):
        yield f"image sha256 {image['sha256']!r} must be 64 hexadecimal digits."
    if tree and (not PLAIN_PATH.fullmatch(tree) or tree.rstrip("/") == ""):
        yield f"tree {tree!r} must be an absolute path of a directory other than /."


def _service_faults(services: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    names = [service["name"] for service in services]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"service {name!r} stands there more than once."
    for service in services:
        where = f"service {service['name']!r}"
        if not SERVICE.fullmatch(service["name"]):
            yield f"{where}: name must match {SERVICE.pattern}."
        if not 1 <= service["port"] <= 65535:
            yield f"{where}: port {service['port']} must be 1 to 65535."
        kinds = dict(_kinds(service["health"] or {}))
        if len(kinds) > 1:
            yield f"{where}: health is of one kind, not {', '.join(kinds)}."
        if service["protocol"] != "tcp" and {"tcp", "http"} & set(kinds):
            yield f"{where}: a {service['protocol']} service can only be checked by a command."
        if "http" in kinds and not re.fullmatch(r"/[\x21-\x7e]*", kinds["http"]):
            yield f"{where}: health http {kinds['http']!r} must be a path such as /health."
