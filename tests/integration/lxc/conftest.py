# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A booted host with Open vSwitch and a bridge, and the module run on it by Ansible."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lab import rootfs
from lab.base import wait_for
from lab.host import Host

MODULE = "op_dbus.socket_network.lxc_service"
IMAGE = "/srv/guest.tar.zst"
SETUP = (
    "ovs-vsctl --may-exist add-br mesh -- set bridge mesh datapath_type=netdev fail_mode=secure"
    " external_ids:op-dbus-owner=socket_bridge",
    "ovs-ofctl add-flow mesh priority=0,actions=NORMAL",
    "ip address replace 10.0.0.1/24 dev mesh",
    "ip link set mesh up",
)
"""A bridge that forwards everything; what is on it in production is the business of others."""


@dataclass
class Site:
    """The host, and the containers that tests describe on it."""

    host: Host
    sha256: str
    made: set[str] = field(default_factory=set)

    def prepare(self) -> None:
        self.host.run("; ".join(("set -e", *SETUP)))

    def describe(self, number: int, name: str, **changes: Any) -> dict[str, Any]:
        """Parameters of a container with address 10.0.0.NUMBER, whose guest serves HTTP on port 9999."""
        self.made.add(name)
        return {
            "id": str(number),
            "name": name,
            "veth": f"veth{number}",
            "bridge": "mesh",
            "ipv4_address": f"10.0.0.{number}/24",
            "gateway": "10.0.0.1",
            "mac": f"02:00:0a:00:00:{number:02x}",
            "ofport": 32768 + number,
            "mtu": 1280,
            "image": {"path": IMAGE, "sha256": self.sha256},
            "missing_controllers": "warn",
            "services": [{"name": "web", "protocol": "tcp", "port": 9999, "health": {"http": "/"}}],
            **changes,
        }

    def call(self, check: bool = False, **parameters: Any) -> dict[str, Any]:
        """Run the module, whatever comes of it."""
        return self.host.ansible(MODULE, parameters, check=check)

    def apply(self, **parameters: Any) -> dict[str, Any]:
        result = self.call(**parameters)
        assert not result["failed"], result["msg"]
        return result

    def unchanged(self, **parameters: Any) -> dict[str, Any]:
        """Run the module where nothing is to be done."""
        result = self.apply(**parameters)
        assert (result["changed"], result["actions"]) == (False, [])
        return result

    def output(self, command: str) -> str:
        return self.host.run(command, check=False).stdout.strip()

    def answers(self, address: str) -> bool:
        """Whether the guest's web server answers the host over the bridge."""
        return bool(self.output(f"curl --silent --max-time 2 http://{address}:9999/"))

    def wait_for_answer(self, address: str) -> None:
        wait_for(f"an answer of {address}", lambda: self.answers(address))

    def clear(self) -> None:
        """Delete what the test has made."""
        for name in sorted(self.made):
            assert self.call(name=name, state="absent")["failed"] is False
        self.made.clear()


@pytest.fixture(scope="session")
def booted() -> Iterator[Site]:
    systems = rootfs.build()
    with Host("lxc") as host:
        with Path(systems.image).open("rb") as image:
            subprocess.run(host.enter("sh", "-c", f"cat > {IMAGE}"), stdin=image, check=True, timeout=60)
        site = Site(host, systems.sha256)
        site.prepare()
        yield site


@pytest.fixture
def site(booted: Site) -> Iterator[Site]:
    yield booted
    booted.clear()
