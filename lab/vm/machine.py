# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host of the lab as a virtual machine. Vagrant makes it, libvirt starts and stops it, ssh is the way in."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from lab import base
from lab.base import LabError, wait_for
from lab.ledger import Ledger
from lab.node import ENVIRONMENT, Entered
from lab.vm.hypervisor import LOGS, virsh

PREFIX = "snl-"
BOOT_TIMEOUT = 300.0
ADOPTION_TIMEOUT = 2400.0
"""Of an ordinary box, emulated: it installs its packages meanwhile."""


def console(name: str) -> Path:
    """Where libvirt writes what a machine says on its serial line."""
    return LOGS / f"{PREFIX}{name}-console.log"


class Machine(Entered):
    """``domain`` is its name in libvirt. Methods as those of a `lab.host.Host`, as far as it has them."""

    patience: ClassVar[float] = 120.0

    def __init__(self, name: str, directory: Path, ledger: Ledger) -> None:
        self.name = name
        self.domain = PREFIX + name
        self.directory = directory
        self.ledger = ledger
        self.log = console(name)

    # ---------------------------------------------------------------- life

    @property
    def is_running(self) -> bool:
        return virsh("domstate", self.domain, check=False) == "running"

    def boot(self, *, wait: bool = True) -> Machine:
        """Start, also again on the same disk after stop() or power_cut()."""
        virsh("start", self.domain)
        self.record()
        if wait:
            self.wait_until_up()
        return self

    def record(self) -> None:
        """Write its process down, so that it ends also when libvirt is gone."""
        pid = Path(f"/run/libvirt/qemu/{self.domain}.pid")
        with contextlib.suppress(OSError):
            self.ledger.record_process(int(pid.read_text()))

    def wait_until_up(self, timeout: float = BOOT_TIMEOUT) -> None:
        """Wait for ssh and for systemd's verdict."""
        wait_for(f"{self.name} to boot (console: {self.log})", self._is_booted, timeout=timeout, interval=1.0)

    def stop(self, timeout: float = 120.0) -> None:
        """Orderly shutdown; the disk stays for the next boot()."""
        if self.is_running:
            self.run(["systemctl", "--no-block", "poweroff"], check=False)
            wait_for(f"{self.name} to end", lambda: not self.is_running, timeout=timeout, interval=0.5)
        self._forget_connections()

    def power_cut(self) -> None:
        """As when the plug is pulled; the disk stays for the next boot()."""
        if self.is_running:
            virsh("destroy", self.domain)
        self._forget_connections()

    def reset(self) -> None:
        """As when the reset button is pressed: no shutdown, and up again at once."""
        virsh("reset", self.domain)
        self._forget_connections()

    # ---------------------------------------------------------------- use

    @property
    def address(self) -> str:
        """Management address, which libvirt gave it."""
        leases = virsh("domifaddr", self.domain, "--source", "lease")
        for line in leases.splitlines():
            if " ipv4 " in line:
                return line.split()[-1].partition("/")[0]
        raise LabError(f"{self.name} has no address: {leases}")

    @property
    def ssh_config(self) -> Path:
        return self.directory / "ssh_config"

    def enter(self, *argv: str) -> list[str]:
        """The command line that runs ``argv`` on the machine."""
        return ["ssh", "-F", str(self.ssh_config), self.name, shlex.join([*ENVIRONMENT, *argv])]

    def watch(self, *argv: str) -> list[str]:
        """The same for a program that runs until it is interrupted: with a terminal it ends when ssh does."""
        ssh, *words = self.enter(*argv)
        return [ssh, "-tt", *words]

    def adopt(self, key: Path, vagrant_key: Path, script: str) -> None:
        """Let root in with the lab's ``key`` and run ``script``, through the user that every Vagrant box has."""
        address = self.address
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "address").write_text(address + "\n")
        self.ssh_config.write_text(_ssh_config(self.name, address, "root", key, self.directory))
        first = self.directory / "ssh_config.vagrant"
        first.write_text(_ssh_config(self.name, address, "vagrant", vagrant_key, self.directory))
        allow = f"install -d -m 700 /root/.ssh && echo {shlex.quote(key.with_suffix('.pub').read_text().strip())}"
        whole = f"set -e\n{allow} >/root/.ssh/authorized_keys\n{script}"
        base.run(["ssh", "-F", str(first), self.name, "sudo", "sh", "-s"], data=whole, timeout=ADOPTION_TIMEOUT)
        base.run(["ssh", "-F", str(first), "-O", "exit", self.name], check=False)
        self.record()

    def instance(self, key: Path) -> dict[str, object]:
        """What Molecule wants to know of an instance."""
        address = (self.directory / "address").read_text().strip()
        return {"instance": self.name, "address": address, "user": "root", "port": 22, "identity_file": str(key)}

    # ---------------------------------------------------------------- parts

    def _is_booted(self) -> bool:
        if not self.is_running:
            raise LabError(f"{self.name} ended while booting; console: {self.log}")
        with contextlib.suppress(LabError):
            state = self.run(["systemctl", "is-system-running"], check=False, timeout=15).stdout.strip()
            return state in ("running", "degraded")
        return False

    def _forget_connections(self) -> None:
        """End the ssh connections that are kept open, Ansible's too: they would hang when the machine is back."""
        address = (self.directory / "address").read_text().strip()
        for line in base.run(["ss", "-Htnp", "dst", address]).stdout.splitlines():
            for pid in re.findall(r'"ssh",pid=(\d+)', line):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGTERM)


def _ssh_config(name: str, address: str, user: str, key: Path, directory: Path) -> str:
    options = {
        "HostName": address,
        "User": user,
        "IdentityFile": key,
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": "/dev/null",
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "no",
        "ConnectTimeout": 10,
        "ServerAliveInterval": 5,
        "ServerAliveCountMax": 3,
        "ControlMaster": "auto",
        "ControlPath": directory / f"{user}.control",
        "ControlPersist": 300,
        "LogLevel": "ERROR",
    }
    return f"Host {name}\n" + "".join(f"  {option} {value}\n" for option, value in options.items())


def write_instances(machines: Sequence[Machine], key: Path, path: Path) -> None:
    """Molecule's own record of its instances, from which it makes their connection options. JSON is YAML."""
    path.write_text(json.dumps([machine.instance(key) for machine in machines]) + "\n")
    path.chmod(0o600)
