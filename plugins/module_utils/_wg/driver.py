# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Doing it: the driver that turns decisions into steps and waits, with a deadline, until they hold."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from .._errors import RefusedError, SocketNetworkError
from .._files import FileSpec, found, write_atomic
from .._plan import Plan, Step
from .._runner import Runner
from .config import Tunnel
from .health import MAX_HANDSHAKE_AGE, Health, health
from .plan import decide, describe, is_ours, refuse_foreign, runtime_reasons, wanted_file, wanted_runtime
from .profile import DIRECTORY, parse, path_of, render
from .runtime import INSTALL, Runtime, Unit, read, read_unit, unit_of


def addresses_of(host: str) -> frozenset[str]:
    """Addresses that the name ``host`` has now; empty when that cannot be told."""
    try:
        return frozenset(str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM))
    except OSError:
        return frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """Plans and changes one tunnel. ``deadline``: seconds that a start may take.

    ``lenient`` takes missing packages for "nothing exists yet": in check mode, and where nothing is to be started.
    """

    runner: Runner
    device: str
    lenient: bool = False
    directory: str = DIRECTORY
    deadline: float = 30.0
    clock: Callable[[], float] = time.time
    resolve: Callable[[str], frozenset[str]] = addresses_of

    @property
    def path(self) -> str:
        return path_of(self.device, self.directory)

    @property
    def unit(self) -> str:
        return unit_of(self.device)

    def read(self) -> Runtime:
        """The state found now."""
        return read(self.runner, self.device, lenient=self.lenient)

    def stored(self) -> Tunnel:
        """The tunnel configured earlier, for state `up`."""
        file = found(self.path, secret=True)
        if file is None:
            raise RefusedError(f"There is no {self.path} to bring up.", fix="run it with state `present` first.")
        refuse_foreign(self.device, self.path, file.content)
        return parse(file.content, device=self.device, source=self.path).tunnel

    def plan_running(self, want: Tunnel) -> Plan:
        """Plan that makes ``want`` the configuration, started at boot and running now."""
        runtime, file, now = self.read(), found(self.path, secret=True), self.clock()
        decision = decide(want, runtime, file=file, path=self.path, now=now, resolve=self.resolve)
        steps: list[Step] = []
        if decision.sync:
            steps.append(Step(f"synchronise {self.device}: {', '.join(decision.sync)}", partial(self._sync, want)))
        if decision.write:
            verb = "create" if file is None else "update"
            steps.append(Step(f"{verb} {self.path}", partial(self._write, want)))
        if decision.enable:
            steps.append(Step(f"enable {self.unit}", partial(self._systemctl, "enable")))
        if decision.leftover:
            steps.append(Step(f"remove device {self.device} left outside {self.unit}", self._remove_device))
        if decision.restart:
            verb = "restart" if runtime.unit.running else "start"
            steps.append(Step(f"{verb} {self.unit}: {', '.join(decision.restart)}", partial(self._restart, want)))
        if not steps:
            return Plan()
        after = wanted_runtime(want, runtime, now, self.resolve)
        return Plan(tuple(steps), self._describe(file, runtime), self._describe(wanted_file(want, self.path), after))

    def plan_stopped(self, *, remove: bool = False) -> Plan:
        """Plan that stops the tunnel, also at boot; with ``remove`` its file goes too."""
        runtime, file = self.read(), found(self.path, secret=True)
        refuse_foreign(self.device, self.path, file.content if file else None)
        steps: list[Step] = []
        if runtime.unit.active not in ("inactive", "failed") or runtime.device is not None:
            steps.append(Step(f"stop {self.unit}", self._stop))
        if runtime.unit.enabled:
            steps.append(Step(f"disable {self.unit}", partial(self._systemctl, "disable")))
        gone = remove and file is not None
        if gone:
            steps.append(Step(f"remove {self.path}", partial(os.unlink, self.path)))
        if not steps:
            return Plan()
        after = Runtime(replace(runtime.unit, active="inactive", enabled=False))
        return Plan(tuple(steps), self._describe(file, runtime), self._describe(None if gone else file, after))

    def is_foreign(self) -> bool:
        """True when the configuration of this device was made by somebody else."""
        file = found(self.path, secret=True)
        return file is not None and not is_ours(file.content)

    def wait_healthy(self, seconds: float, max_age: int = MAX_HANDSHAKE_AGE) -> Health:
        """Wait until a peer has answered lately; raise when none does within ``seconds``."""
        state = Health("down")

        def answered() -> bool:
            nonlocal state
            state = health(self.read(), self.clock(), max_age)
            return state.ok

        if not self._wait(answered, seconds, pause=0.5):
            last = "there was none yet" if state.age is None else f"the latest is {state.age} s old"
            raise SocketNetworkError(
                f"{self.device} has no fresh handshake after {seconds:g} s (health {state.state}): {last}, {state.rx} "
                f"bytes received, {state.tx} bytes sent. Traffic that has to leave by it stays blocked.",
                fix="check both keys, the endpoint, and that its UDP port can be reached from this host.",
            )
        return state

    def _describe(self, file: FileSpec | None, runtime: Runtime) -> str:
        return describe(self.path, file.content if file else None, file.mode if file else 0, runtime)

    @contextlib.contextmanager
    def _stripped(self, want: Tunnel) -> Iterator[tuple[Path, str]]:
        """A private directory and the text that wg itself reads, after wg-quick has accepted the file."""
        with tempfile.TemporaryDirectory(prefix="op-dbus-wg-") as directory:
            staged = Path(directory, f"{self.device}.conf")
            write_atomic(str(staged), render(want), 0o600)
            try:
                answer = self.runner.run(["wg-quick", "strip", str(staged)], what=f"Checking the file of {self.device}")
            except FileNotFoundError as error:
                raise RefusedError("wg-quick is not on this host.", fix=INSTALL) from error
            if "PrivateKey" not in answer.stdout or answer.stdout.count("[Peer]") != len(want.peers):
                raise RefusedError(
                    f"wg-quick strip left out parts of the configuration of {self.device}; applying that would drop "
                    "its peers.",
                    fix="check that /usr/bin/wg-quick is the one of the package wireguard-tools.",
                )
            yield Path(directory), answer.stdout

    def _sync(self, want: Tunnel) -> None:
        """Change keys and peers of the running device; sessions of unchanged peers stay."""
        device = self.read().device
        port = device.listen_port if device else 0
        with self._stripped(want) as (directory, text):
            # Without a port in it syncconf would open a new one, and NAT mappings on the way would be lost.
            kept = f"[Interface]\nListenPort = {port}\n" if want.listen_port is None and port else "[Interface]\n"
            stripped = directory / "stripped"
            write_atomic(str(stripped), text.replace("[Interface]\n", kept, 1), 0o600)
            self.runner.run(["wg", "syncconf", self.device, str(stripped)], what=f"Changing the peers of {self.device}")
        self._settle(want, 2.0)

    def _write(self, want: Tunnel) -> None:
        with self._stripped(want):
            spec = wanted_file(want, self.path)
        write_atomic(spec.path, spec.content, spec.mode)

    def _systemctl(self, verb: str) -> None:
        self.runner.run(["systemctl", "--quiet", verb, self.unit], what=f"{verb.capitalize()} {self.unit}")

    def _remove_device(self) -> None:
        self.runner.run(["ip", "link", "delete", "dev", self.device], what=f"Removing device {self.device}")

    def _restart(self, want: Tunnel) -> None:
        """Start anew without waiting in systemctl: wg-quick retries an endpoint's name for ever."""
        if read_unit(self.runner, self.device).active == "failed":
            self._systemctl("reset-failed")
        self.runner.run(["systemctl", "--no-block", "restart", self.unit], what=f"Starting {self.unit}")
        state = Unit()

        def ended() -> bool:
            nonlocal state
            state = read_unit(self.runner, self.device)
            return not state.busy and state.active in ("active", "failed", "inactive")

        if not self._wait(ended, self.deadline):
            raise SocketNetworkError(
                f"{self.unit} has not started within {self.deadline:g} s ({state.active}); it keeps trying. "
                f"{self._journal()}",
                fix="an endpoint's name that does not resolve or network-online.target holds it back; "
                "give the endpoint as an address.",
            )
        if not state.running:
            raise SocketNetworkError(f"{self.unit} did not start ({state.result}). {self._journal()}")
        self._settle(want, 5.0)

    def _settle(self, want: Tunnel, seconds: float) -> None:
        """Wait until the device is what was asked for, listening included; anything else is a failure."""
        remaining: list[str] = []

        def settled() -> bool:
            nonlocal remaining
            runtime = self.read()
            restart, sync = runtime_reasons(want, runtime, self.clock(), None)
            listening = runtime.device is not None and runtime.device.listen_port > 0
            remaining = restart + sync + ([] if listening else ["open a port"])
            return not remaining

        if not self._wait(settled, seconds):
            raise SocketNetworkError(
                f"{self.device} is not as configured: {', '.join(remaining)} still to do.",
                fix="look at `wg show` there; WireGuard drops a peer that has this host's own public key.",
            )

    def _stop(self) -> None:
        """Stop the unit and make sure that the device is gone, also when its file or its process is."""
        self._systemctl("stop")
        if read_unit(self.runner, self.device).active == "failed":
            self._systemctl("reset-failed")
        if self.read().link is not None:
            self._remove_device()

    def _journal(self) -> str:
        """The last words of the unit."""
        argv = ["journalctl", "--unit", self.unit, "--lines", "4", "--output", "cat", "--no-pager", "--quiet"]
        lines = self.runner.run(argv, ok=range(256)).stdout.split("\n")
        return f"It said: {' / '.join(line.strip() for line in lines if line.strip()) or 'nothing'}."

    def _wait(self, done: Callable[[], bool], seconds: float, pause: float = 0.1) -> bool:
        """True as soon as ``done()`` holds, False after ``seconds`` without it."""
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() >= end:
                return False
            time.sleep(pause)
        return True
