# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Plan netclient on a host: files, unit, membership; and the waits that tell whether it has worked."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from .._errors import RefusedError, SocketNetworkError
from .._files import FileSpec, found, plan_files
from .._netmaker_server.machine import Machine, read_units
from .._plan import Plan, Step
from .._runner import Runner
from . import layout
from .hidden import MARK, run_hidden
from .leftovers import leftover_steps
from .state import State, read_state

REGISTER_SECONDS = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """``certificate`` None leaves the CA as it is. ``token`` is set when the host has to join ``network``."""

    network: str
    name: str
    listen_port: int
    endpoint: str | None = None
    certificate: str | None = None
    hosts: dict[str, str] = field(default_factory=dict)
    refuse_lookups: bool = False
    token: str | None = field(default=None, repr=False)

    @property
    def register(self) -> list[str]:
        """Without -j the port is not fixed; -i needs -e."""
        argv = [layout.PROGRAM, "register", "-t", MARK, "-p", str(self.listen_port), "-j", "-o", self.name]
        return argv + (["-e", self.endpoint, "-i"] if self.endpoint else [])


class Driver:
    """``wait`` is in seconds. ``directory`` is netclient's own, another one in tests."""

    def __init__(self, runner: Runner, wait: float, check: bool, directory: str = layout.DIRECTORY) -> None:
        self.runner = runner
        self.wait = wait
        self.check = check
        self.directory = directory
        self.machine = Machine(runner, read_units(runner, [layout.UNIT]))

    def state(self) -> State:
        return read_state(self.directory)

    def plan_present(self, want: Wanted) -> Plan:
        if not self.check and not Path(layout.PROGRAM).exists():
            raise RefusedError(f"{layout.PROGRAM} is not on this host.", fix="install it; role netmaker does.")
        specs = [layout.unit_file(layout.PROGRAM)]
        if want.certificate is not None:
            specs.append(layout.certificate_file(want.certificate))
        files = plan_files([*specs, *self._hosts(want.hosts, want.refuse_lookups)])
        stale = {spec.path for spec in specs if found(spec.path) != spec}
        steps = list(files.steps)
        if layout.CA_PATH in stale:
            steps.append(Step("trust the CA", self._update_certificates))
        if layout.UNIT_PATH in stale or self.machine.units[layout.UNIT].reload:
            steps.append(Step("reload systemd", partial(self.machine.systemctl, "daemon-reload")))
        read = (layout.PROGRAM, layout.UNIT_PATH, layout.CA_PATH)
        again = bool(stale) or self.machine.units[layout.UNIT].older_than(read)
        steps += self.machine.run(layout.UNIT, again=again)
        after = files.after
        if want.token is not None:
            steps.append(Step(f"join {want.network}", partial(self._join, want)))
            after += f"member of {want.network}\n"
        return Plan(tuple(steps), files.before, after)

    def plan_absent(self) -> Plan:
        """Stop it and remove what we made, the program and the identity; a node on the server is the API's matter."""
        steps = self.machine.end([layout.UNIT])
        files = plan_files(self._hosts({}, refused=False), absent=[layout.UNIT_PATH, layout.CA_PATH, layout.PROGRAM])
        steps += files.steps
        steps += leftover_steps(self.runner, self.machine.units[layout.UNIT].active)
        if Path(layout.UNIT_PATH).exists():
            steps.append(Step("reload systemd", partial(self.machine.systemctl, "daemon-reload")))
        if Path(layout.CA_PATH).exists():
            steps.append(Step("trust the CA no more", self._update_certificates))
        if self._has_device():
            steps.append(Step(f"remove device {layout.DEVICE}", self._remove_device))
        if Path(self.directory).exists():
            steps.append(Step(f"remove {self.directory}", partial(shutil.rmtree, self.directory)))
        return Plan(tuple(steps), files.before, files.after)

    def wait_for(self, network: str, address: str, handshake: bool) -> None:
        """Until netclient has taken ``address`` over, and with ``handshake`` until a peer has answered.

        With the last address of a device the kernel drops all its routes, and networkd does not notice that of its own.
        """
        self._until(
            lambda: self.state().addresses.get(network) == address and address in self._device_addresses(),
            f"{layout.DEVICE} has not got the address {address}",
        )
        self.runner.run(["networkctl", "reconfigure", layout.DEVICE], what=f"Giving {layout.DEVICE} its routes again")
        if handshake:
            self._until(self._answered, f"no peer of {layout.DEVICE} has answered")

    # ------------------------------------------------------------ parts

    def _hosts(self, entries: dict[str, str], refused: bool) -> list[FileSpec]:
        spec = layout.hosts_file(layout.HOSTS_PATH, entries, refused)
        have = found(layout.HOSTS_PATH)
        return [spec] if spec.content != (have.content if have else "") else []

    def _update_certificates(self) -> None:
        try:
            self.runner.run(["update-ca-certificates"], what="Updating the certificates that the host trusts")
        except FileNotFoundError as error:
            fix = "install package ca-certificates; role netmaker does."
            raise RefusedError("update-ca-certificates is not on this host.", fix=fix) from error

    def _join(self, want: Wanted) -> None:
        """Exit codes tell nothing: 0 also when the server did not answer. What netclient wrote down does."""
        status, output = run_hidden(want.register, str(want.token), REGISTER_SECONDS)
        words = " / ".join(line.strip() for line in output.splitlines() if line.strip())[-600:]
        self._until(
            lambda: want.network in self.state().addresses,
            f"`netclient register` ended with {status} and said: {words}. It has not joined {want.network}",
        )

    def _has_device(self) -> bool:
        return Path("/sys/class/net", layout.DEVICE).exists()

    def _device_addresses(self) -> str:
        return self.runner.run(["ip", "-4", "-o", "address", "show", "dev", layout.DEVICE], ok=(0, 1)).stdout

    def _answered(self) -> bool:
        lines = self.runner.run(["wg", "show", layout.DEVICE, "latest-handshakes"], ok=(0, 1)).stdout.splitlines()
        return any(line.split()[-1] != "0" for line in lines if line.strip())

    def _remove_device(self) -> None:
        if self._has_device():
            self.runner.run(["ip", "link", "delete", "dev", layout.DEVICE], what=f"Removing device {layout.DEVICE}")

    def _until(self, done: Callable[[], bool], problem: str) -> None:
        end = time.monotonic() + self.wait
        while not done():
            if time.monotonic() >= end:
                raise SocketNetworkError(
                    f"{problem} within {self.wait:g} s.",
                    fix=f"see `journalctl -u {layout.UNIT}`. It needs the server's API (HTTPS), its broker (MQTT over "
                    "TLS), which must run, and UDP to a public host of the mesh.",
                )
            time.sleep(0.25)
