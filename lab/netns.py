# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network namespaces, bridges and links of the lab."""

from __future__ import annotations

import subprocess
from pathlib import Path

from lab import base
from lab.base import LabError
from lab.ledger import Ledger


class Namespace:
    """A network namespace that the lab made. Everything in it vanishes with the ledger's release."""

    def __init__(self, name: str, ledger: Ledger) -> None:
        self.name = name
        self.ledger = ledger

    @property
    def path(self) -> Path:
        return Path("/run/netns", self.name)

    def create(self) -> Namespace:
        self.ledger.record("netns", self.name)
        base.run(["ip", "netns", "add", self.name])
        self.sysctl(ipv6__conf__all__disable_ipv6=1, ipv6__conf__default__disable_ipv6=1)
        self.ip("link", "set", "lo", "up")
        return self

    def enter(self, *argv: str) -> list[str]:
        """The command line that runs ``argv`` inside. Not `ip netns exec`: that remounts /sys under nspawn's feet."""
        return ["nsenter", f"--net={self.path}", *argv]

    def watch(self, *argv: str) -> list[str]:
        """The same for a program that runs until it is interrupted."""
        return self.enter(*argv)

    def run(self, *argv: str, data: str | None = None, check: bool = True, timeout: float = 30.0) -> str:
        return base.run(self.enter(*argv), data=data, check=check, timeout=timeout).stdout

    def ip(self, *words: str) -> None:
        base.run(self.enter("ip", *words))

    def sysctl(self, **values: int) -> None:
        """Set net.* values of this namespace, dots written as double underscores; what the kernel lacks is left out."""
        self.run("sysctl", "-qew", *(f"net.{key.replace('__', '.')}={value}" for key, value in values.items()))

    def add_bridge(self, name: str, address: str | None = None) -> None:
        self.ip("link", "add", name, "address", "02:42:00:00:00:01", "type", "bridge")
        self.sysctl(**{f"ipv6__conf__{name}__disable_ipv6": 1})
        if address:
            self.ip("address", "add", address, "dev", name)
        self.ip("link", "set", name, "up")

    def connect(self, bridge: str, other: Namespace, device: str, *addresses: str) -> None:
        """Give ``other`` a device on a bridge of this namespace."""
        port = f"{bridge}-{other.name.rpartition('-')[2]}"[:15]
        self.ip("link", "add", port, "type", "veth", "peer", "name", device, "netns", other.name)
        self.ip("link", "set", port, "master", bridge, "up")
        for address in addresses:
            other.ip("address", "add", address, "dev", device)
        other.ip("link", "set", device, "up")

    def start(self, *argv: str, log: Path) -> subprocess.Popen[bytes]:
        """Run a server inside, its output in ``log``; the ledger ends it."""
        with log.open("ab") as output:
            process = subprocess.Popen(
                self.enter(*argv), stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        self.ledger.record_process(process.pid)
        return process


class ThisMachine(Namespace):
    """The machine's own network namespace, where libvirt's machines can be plugged in. Only links are made in it."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__("", ledger)

    def create(self) -> ThisMachine:
        return self

    def enter(self, *argv: str) -> list[str]:
        return list(argv)

    def add_bridge(self, name: str, address: str | None = None) -> None:
        """A bridge on which this machine itself says nothing, unless it gets an address."""
        if Path("/sys/class/net", name).exists():
            raise LabError(f"this machine has a link {name} that no lab wrote down; rename or delete it")
        self.ledger.record("link", name)
        super().add_bridge(name, address)
