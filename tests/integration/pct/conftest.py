# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in for a Proxmox host, and the module run on it."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.pct.machine import PROGRAM, Machine
from tests.lib.containers import XRAY_CLIENT

MODULE = "lxc_service"
IMAGE = "/run/debian.tar.zst"
DIGEST = hashlib.sha256(b"template\n").hexdigest()
CONF = "/etc/pve/lxc/102.conf"


class Site:
    """What tests do on the host."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def describe(self, **changes: Any) -> dict[str, Any]:
        """Parameters of container 102."""
        return {
            **XRAY_CLIENT,
            "nesting": True,
            "image": {"path": IMAGE, "sha256": DIGEST},
            "services": [{"name": "web", "protocol": "tcp", "port": 9999, "health": {"command": "true"}}],
            **changes,
        }

    def call(self, check: bool = False, **parameters: Any) -> dict[str, Any]:
        """Run the module, whatever comes of it."""
        return self.machine.module(MODULE, check, parameters)

    def apply(self, **parameters: Any) -> dict[str, Any]:
        result = self.call(**parameters)
        assert not result["failed"], result["msg"]
        return result

    def unchanged(self, **parameters: Any) -> dict[str, Any]:
        """Run the module where nothing is to be done."""
        result = self.apply(**parameters)
        assert (result["changed"], result["actions"]) == (False, [])
        return result

    def refused(self, **parameters: Any) -> str:
        """Message of a run that fails and changes nothing."""
        before = self.state()
        result = self.call(**parameters)
        assert result["failed"]
        assert self.state() == before
        return str(result["msg"])

    def conf(self) -> str:
        return self.machine.sh(f"cat {CONF}")

    def state(self) -> str:
        """All that the module may change."""
        files = "/etc/pve /etc/op-dbus /usr/local/lib/op-dbus"
        return self.machine.sh(
            f"find {files} -type f -printf '%p %m\\n' -exec cat {{}} + 2>/dev/null; ip -br link | cut -d' ' -f1;"
            " ovs-vsctl show;"
            " ovs-vsctl --columns=name,ofport,ofport_request,external_ids list Interface"
        )

    def port(self, column: str) -> str:
        return self.machine.sh(f"ovs-vsctl get Interface veth102i0 {column}")

    def clear(self) -> None:
        self.machine.sh(
            "kill $(cat /run/pct-stand-in/* 2>/dev/null) 2>/dev/null; : > /run/pct-stand-in.log;"
            " rm -rf /run/pct-stand-in /etc/pve/lxc/* /etc/op-dbus /usr/local/lib/op-dbus;"
            " echo '{\"ids\": {}}' > /etc/pve/.vmlist;"
            " for one in $(ovs-vsctl list-ports mesh); do ovs-vsctl del-port $one; done;"
            " for one in /sys/class/net/veth* /sys/class/net/fwbr*; do ip link delete ${one##*/} 2>/dev/null; done;"
            " ovs-vsctl remove Interface mesh mtu_request 1500; ip link set mesh mtu 1500"
        )


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    machine = Machine(Path(tempfile.mkdtemp(prefix="pct-")))
    yield machine
    machine.close()


@pytest.fixture(params=[PROGRAM])
def site(machine: Machine) -> Iterator[Site]:
    """Its only parameter puts the word stand-in into the names of the tests."""
    site = Site(machine)
    yield site
    site.clear()
