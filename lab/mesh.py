# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can join the lab's hosts: plain WireGuard between two of them, or Netmaker among three."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab.base import REPOSITORY


@dataclass(frozen=True, slots=True)
class Mesh:
    """A variant of the lab. ``names`` are what its hosts find in /etc/hosts, as {name: address}; ``tasks`` is how many
    site.yml shows at least.
    """

    name: str
    inventory: str
    hosts: tuple[str, ...]
    tasks: int
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def generated(self) -> Path:
        """What the inventory cannot know before the lab is up: keys, other secrets, paths of programs and images."""
        return REPOSITORY / self.inventory / "group_vars/all/generated.json"


DROPLET = "192.0.2.10"
WIREGUARD = Mesh("wireguard", "inventories/lab", ("vps-gateway", "oo1424oo"), 26)
NETMAKER = Mesh(
    "netmaker",
    "inventories/lab-netmaker",
    ("vps-gateway", "oo1424oo", "node3"),
    48,
    {"api.netmaker.example": DROPLET, "broker.netmaker.example": DROPLET},
)
MACHINES = Mesh("wireguard", "inventories/lab-vagrant", ("vps-gateway", "oo1424oo", "node3"), 26)
"""Plain WireGuard again, for hosts with kernels of their own."""
MESHES = {mesh.name: mesh for mesh in (WIREGUARD, NETMAKER)}
MESHES_OF_MACHINES = {mesh.name: mesh for mesh in (MACHINES, NETMAKER)}
