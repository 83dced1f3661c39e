# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What module lxc_service has to make for one node, as plain data."""

from __future__ import annotations

from typing import Any

from .model import Container, Fleet, Node, Service

WITHOUT_UPLINK_MTU = 1500


def container_specs(fleet: Fleet, host: str) -> list[dict[str, Any]]:
    """The containers of ``host``, in the order of their names."""
    node = fleet.nodes[host]
    return [_container(node, container) for container in node.containers]


def container_mtu(node: Node, container: Container) -> int:
    """The container's own MTU, or the smallest of the uplinks it may use: its exit, meshes and the host's."""
    if container.mtu is not None:
        return container.mtu
    usable = [
        uplink.mtu
        for uplink in node.uplinks
        if not uplink.is_exit or uplink.name == container.egress
        if (served := node.served_bridge(uplink)) is not None and served.name == container.bridge
    ]
    return min(usable, default=WITHOUT_UPLINK_MTU)


def _container(node: Node, container: Container) -> dict[str, Any]:
    image = container.image
    return {
        "id": container.id,
        "name": container.name,
        "veth": container.veth,
        "bridge": container.bridge,
        "ipv4_address": str(container.address),
        "gateway": str(node.bridge(container.bridge).gateway),
        "mac": container.mac,
        "ofport": container.ofport,
        "mtu": container_mtu(node, container),
        "memory": container.memory,
        "swap": container.swap,
        "cpus": container.cpus,
        "nesting": container.nesting,
        "running": container.running,
        "autostart": container.autostart,
        "unprivileged": container.unprivileged,
        "template": container.template,
        "image": {"path": image.path, "sha256": image.sha256} if image else None,
        "tree": container.tree,
        "services": [_service(service) for service in container.services],
    }


def _service(service: Service) -> dict[str, Any]:
    health = service.health
    return {
        "name": service.name,
        "protocol": service.protocol,
        "port": service.port,
        "exposed_to": sorted(service.exposed_to),
        "public_port": service.public_port,
        "health": {health.kind: health.argument or True} if health else None,
    }
