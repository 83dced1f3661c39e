# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Reading containers and their services from inventory data."""

from __future__ import annotations

import re

from . import names
from .model import SOURCES, Container, Health, Image, Service
from .readers import Item, Problem

PROTOCOLS = ("tcp", "udp")

_CONTAINER_KEYS = frozenset(
    {
        *("id", "name", "veth", "bridge", "ipv4_address", "template", "egress", "services"),
        *("memory", "swap", "cpus", "features", "mtu", "running", "autostart", "unprivileged", "image", "tree"),
    }
)
_CONTAINER_NEEDS = ("id", "name", "veth", "bridge", "ipv4_address")
_SERVICE_KEYS = frozenset({"name", "protocol", "port", "exposed", "exposed_to", "public_port", "health"})
_SERVICE_NEEDS = ("name", "protocol", "port")
_HEALTH_KEYS = frozenset({"tcp", "http", "command"})
_SHA256 = re.compile(r"[0-9a-f]{64}")
_EXPOSED = frozenset({"local", "mesh"})
_NOWHERE: frozenset[str] = frozenset()


def read_container(item: Item) -> Container | None:
    """The container that ``item`` describes, or None when what identifies it is missing or wrong."""
    item.keys(_CONTAINER_NEEDS, _CONTAINER_KEYS, "a container")
    container_id = item.text("id", names.container_id_problem)
    name = item.text("name", names.container_problem)
    veth = item.text("veth", names.interface_problem)
    bridge = item.text("bridge")
    address = item.interface("ipv4_address")
    template = item.text("template")
    egress = item.text("egress")
    services = tuple(service for service in map(_service, item.items("services")) if service)
    memory, swap = item.number("memory", 16, 1 << 24), item.number("swap", 0, 1 << 24)
    cpus, mtu = item.quantity("cpus", 1024), item.number("mtu", 576, 9000)
    nesting = _nesting(item.item("features"))
    running, autostart = item.flag("running", True), item.flag("autostart", True)
    unprivileged = item.flag("unprivileged", True)
    image, tree = _image(item.item("image")), item.text("tree", _path_problem)
    if item.has("image") and item.has("tree"):
        item.fault("tree", tree, "a container comes from an image or from a tree, not both.", "remove one of them.")
    if container_id is None or name is None or veth is None or bridge is None or address is None:
        return None
    return Container(
        id=container_id,
        name=name,
        veth=veth,
        bridge=bridge,
        address=address,
        template=template or "debian-13",
        egress=egress,
        services=tuple(sorted(services, key=lambda service: service.name)) if len(services) > 1 else services,
        memory=memory,
        swap=swap,
        cpus=cpus,
        nesting=nesting,
        mtu=mtu,
        running=running,
        autostart=autostart,
        unprivileged=unprivileged,
        image=image,
        tree=tree,
        origin=item.origin,
    )


def _service(item: Item) -> Service | None:
    item.keys(_SERVICE_NEEDS, _SERVICE_KEYS, "a service")
    name = item.text("name", names.service_problem)
    protocol = item.choice("protocol", PROTOCOLS)
    port = item.number("port", 1, 65535)
    public_port = item.number("public_port", 1, 65535)
    exposed_to = _exposed_to(item)
    health = _health(item.item("health")) if item.has("health") else None
    published = "internet" in exposed_to
    if public_port is not None and not published:
        item.fault("public_port", public_port, "the service is not published.", "add internet to exposed_to.")
    if name is None or protocol is None or port is None:
        return None
    return Service(
        name=name,
        protocol=protocol,
        port=port,
        exposed_to=exposed_to,
        public_port=(public_port or port) if published else None,
        health=health,
        origin=item.origin,
    )


def _exposed_to(item: Item) -> frozenset[str]:
    exposed = item.flag("exposed", False)
    if not item.has("exposed_to"):
        return _EXPOSED if exposed else _NOWHERE
    sources = set()
    for source in item.values("exposed_to"):
        if isinstance(source, str) and source in SOURCES:
            sources.add(source)
        else:
            item.fault("exposed_to", source, "nobody knows this source.", f"choose from {', '.join(SOURCES)}.")
    if sources and item.has("exposed") and not exposed:
        item.fault("exposed", False, "exposed_to says the opposite.", "remove exposed or empty exposed_to.")
    return frozenset(sources)


def _health(item: Item | None) -> Health | None:
    if item is None:
        return None
    item.keys((), _HEALTH_KEYS, "a health check")
    tcp, path, command = item.flag("tcp", False), item.text("http", _url_path_problem), item.text("command")
    kinds = [key for key in sorted(_HEALTH_KEYS) if item.has(key)]
    if len(kinds) != 1:
        item.fault("", kinds, "a health check is of exactly one kind.", "keep one of tcp, http and command.")
        return None
    if command is not None:
        return Health(kind="command", argument=command)
    if path is not None:
        return Health(kind="http", argument=path)
    return Health(kind="tcp") if tcp else None


def _nesting(item: Item | None) -> bool:
    if item is None:
        return False
    item.keys((), frozenset({"nesting"}), "features")
    return item.flag("nesting", False)


def _image(item: Item | None) -> Image | None:
    if item is None:
        return None
    item.keys(("path", "sha256"), frozenset({"path", "sha256"}), "an image")
    path, digest = item.text("path", _path_problem), item.text("sha256", _sha256_problem)
    return Image(path=path, sha256=digest) if path and digest else None


def _path_problem(value: str) -> Problem:
    if value.startswith("/") and ".." not in value.split("/"):
        return None
    return "this is not an absolute path.", "write it like /var/lib/op-dbus/images/debian-13.tar.zst."


def _url_path_problem(value: str) -> Problem:
    return None if value.startswith("/") else ("the path of a URL starts with a slash.", "write it like /health.")


def _sha256_problem(value: str) -> Problem:
    if _SHA256.fullmatch(value):
        return None
    return "a SHA-256 is 64 hexadecimal digits in lower case.", "take what sha256sum prints."
