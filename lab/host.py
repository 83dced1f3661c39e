# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A booted Debian host: systemd-nspawn on an overlay of the cached root file system, linked to bridges.

::

    with Host("example") as host:
        host.run(["systemctl", "is-active", "ssh"])
        host.ansible("ansible.builtin.ping")
        host.power_cut()
        host.boot()
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import base, remote
from lab.base import LabError, wait_for
from lab.ledger import Ledger, cgroup_directories, is_alive, start_time
from lab.netns import Namespace
from lab.node import ENVIRONMENT, Entered

MANAGEMENT = "mgmt"
"""The bridge that ssh uses. No default route goes there."""


@dataclass(frozen=True, slots=True)
class Link:
    """A device of a host on a bridge of the fabric namespace. With ``gateway`` it carries the default route."""

    device: str
    bridge: str
    address: str
    gateway: str | None = None

    @property
    def network_file(self) -> str:
        route = f"Gateway={self.gateway}\n" if self.gateway else ""
        match = f"[Match]\nName={self.device}\n\n"
        return f"{match}[Network]\nLinkLocalAddressing=no\nIPv6AcceptRA=no\nAddress={self.address}\n{route}"


ALONE = (Link("mgmt0", MANAGEMENT, "198.18.0.2/24"), Link("wan0", "wan", "192.0.2.10/24", "192.0.2.1"))
"""Links of a host in a namespace of its own."""


class Host(Entered):
    """``fabric`` is the namespace with the bridges of ``links``; without one the host gets a namespace of its own.

    ``names`` are further entries of its /etc/hosts, as {name: address}.
    """

    def __init__(
        self,
        name: str,
        *,
        fabric: Namespace | None = None,
        links: Sequence[Link] = ALONE,
        directory: Path | None = None,
        names: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.directory = directory or base.STATE / "hosts" / name
        self.ledger = Ledger(self.directory / "ledger")
        self._alone = fabric is None
        self.fabric = fabric or Namespace(f"snl-{name}", self.ledger)
        self.links = tuple(links)
        self.names = dict(names or {})
        self.root = self.directory / "root"
        self.log = self.directory / "console.log"

    def __enter__(self) -> Host:
        try:
            return self.create().boot()
        except BaseException:
            self.destroy()
            raise

    def __exit__(self, *_error: object) -> None:
        self.destroy()

    # ---------------------------------------------------------------- life

    def create(self, rootfs: Path | None = None) -> Host:
        """Make the overlay, keys and (for a host alone) the namespace. A leftover of the same name is removed first."""
        self.destroy()
        self.directory.mkdir(parents=True)
        self.ledger.record("directory", self.directory)
        if self._alone:
            self.fabric.create()
            self.fabric.add_bridge(MANAGEMENT, "198.18.0.1/24")
            self.fabric.add_bridge("wan", "192.0.2.1/24")
        upper, work = self._layers()
        self.root.mkdir()
        self.ledger.record("mount", self.root)
        options = f"lowerdir={rootfs or _cached_rootfs()},upperdir={upper},workdir={work}"
        base.run(["mount", "-t", "overlay", f"snl-{self.name}", "-o", options, str(self.root)])
        self._personalise()
        return self

    def boot(self, *, wait: bool = True) -> Host:
        """Start, also again on the same overlay after stop() or power_cut(); wait for systemd and ssh."""
        if self.is_running:
            raise LabError(f"{self.name} runs already")
        cgroup = f"socket-network-lab-{self.name}"
        self.ledger.record("cgroup", cgroup)
        with self.log.open("ab") as output:
            process = subprocess.Popen(
                self.fabric.enter("sh", "-c", _JOIN_CGROUP, "sh", *_cgroup_files(cgroup), "--", *self._nspawn()),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._process = process
        (self.directory / "pid").write_text(f"{process.pid} {start_time(process.pid)}\n")
        self.ledger.record_process(process.pid)
        for link in self.links:
            self._plug(link)
        if wait:
            self.wait_until_up()
        return self

    def wait_until_up(self, timeout: float = 90.0) -> None:
        """Wait for systemd's verdict and for ssh."""
        wait_for(f"{self.name} to boot (console: {self.log})", self._is_booted, timeout=timeout, interval=0.2)
        remote.wait_for_ssh(self.fabric, self.address, self.name)

    def stop(self, timeout: float = 30.0) -> None:
        """Orderly shutdown; the overlay stays for the next boot()."""
        if self.is_running:
            os.kill(self.leader, signal.SIGRTMIN + 3)
            self._wait_for_end(timeout)

    def power_cut(self) -> None:
        """End every process at once, as when the plug is pulled; the overlay stays for the next boot()."""
        if self.is_running:
            self._wait_for_end(15.0, self._kill_children)

    def destroy(self) -> None:
        """Power cut, then remove every trace of the host. Nothing happens when there is none."""
        with contextlib.suppress(LabError):
            self.power_cut()
        faults = self.ledger.release()
        if faults:
            raise LabError(f"{self.name} could not be removed: {'; '.join(faults)}")
        if self.directory.exists():
            shutil.rmtree(self.directory)
            with contextlib.suppress(OSError):
                self.directory.parent.rmdir()

    # ---------------------------------------------------------------- use

    @property
    def address(self) -> str:
        """Management address."""
        return next(link.address for link in self.links if link.bridge == MANAGEMENT).partition("/")[0]

    @property
    def is_running(self) -> bool:
        pid, started = self._supervisor()
        return is_alive(pid, started)

    @property
    def leader(self) -> int:
        """Process id, seen from this machine, of the host's init. Raises LabError when the host is down."""
        inits = [pid for pid in self._children() if _is_init(pid)]
        if inits:
            return inits[0]
        raise LabError(f"{self.name} is not running; its console: {self.log}")

    def enter(self, *argv: str) -> list[str]:
        """The command line that runs ``argv`` inside the host."""
        return ["nsenter", "--target", str(self.leader), "--all", "--wd=/", *ENVIRONMENT, *argv]

    def watch(self, *argv: str) -> list[str]:
        """The same for a program that runs until it is interrupted: in the host's network, to be within reach."""
        return ["nsenter", "--target", str(self.leader), "--net", *argv]

    @property
    def ssh_arguments(self) -> str:
        """What ssh needs to reach the host from this machine (for ansible_ssh_common_args)."""
        return f"-F {self.directory / 'ssh_config'}"

    @property
    def inventory_line(self) -> str:
        """The host in an INI inventory."""
        return f'{self.name} ansible_ssh_common_args="{self.ssh_arguments}" ansible_python_interpreter=/usr/bin/python3'

    def ansible(
        self, module: str, arguments: dict[str, object] | None = None, *, check: bool = False, diff: bool = False
    ) -> dict[str, object]:
        """Run one module on the host. Returns its result, ``failed`` being True or False."""
        return remote.run_module(self, module, arguments or {}, check=check, diff=diff)

    def playbook(
        self, plays: object, *, check: bool = False, diff: bool = False, extra: Mapping[str, object] | None = None
    ) -> remote.PlaybookRun:
        """Run plays, given as the data that their YAML would hold, on this host."""
        return remote.run_playbook(self, plays, check=check, diff=diff, extra=extra)

    # ---------------------------------------------------------------- parts

    def _layers(self) -> tuple[Path, Path]:
        """Upper and work directory; on a tmpfs where the state directory is an overlay itself: those do not stack."""
        top = self.directory / "layers"
        top.mkdir()
        kind = base.run(["stat", "--file-system", "--format=%T", str(top)]).stdout.strip()
        if kind.startswith("overlay"):
            self.ledger.record("mount", top)
            base.run(["mount", "-t", "tmpfs", "snl-layers", str(top)])
        (top / "upper").mkdir()
        (top / "work").mkdir()
        (top / "lxc").mkdir()
        return top / "upper", top / "work"

    def _personalise(self) -> None:
        known = {"localhost": "127.0.0.1", self.name: "127.0.1.1", **self.names}
        files = {
            "etc/hostname": f"{self.name}\n",
            "etc/hosts": "".join(f"{address} {name}\n" for name, address in known.items()),
            "etc/resolv.conf": "",
            "etc/machine-id": hashlib.sha256(f"lab {self.name}".encode()).hexdigest()[:32] + "\n",
            "var/lib/apt/periodic/update-success-stamp": "",
            **{f"etc/systemd/network/10-{link.device}.network": link.network_file for link in self.links},
        }
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        os.utime(self.root / "var/lib/apt/lists")
        remote.install_keys(self.root, self.directory, self.name, self.address, self.fabric)

    def _nspawn(self) -> list[str]:
        unit = [] if Path("/run/systemd/system").is_dir() else ["--keep-unit"]
        return [
            *("systemd-nspawn", "--quiet", "--boot", "--register=no", *unit, "--private-network", "--capability=all"),
            *("--console=pipe", "--resolv-conf=off", "--timezone=off", "--link-journal=no", "--bind=/dev/net/tun"),
            f"--directory={self.root}",
            f"--machine={self.name}",
            f"--bind={self.directory / 'layers/lxc'}:/var/lib/lxc",
            *(f"--network-veth-extra={self._port(link)}:{link.device}" for link in self.links),
        ]

    def _port(self, link: Link) -> str:
        return f"{hashlib.sha256(self.name.encode()).hexdigest()[:5]}-{link.device}"

    def _plug(self, link: Link) -> None:
        """nspawn makes the pair; its outer end belongs on the bridge."""
        port = self._port(link)

        def plugged() -> bool:
            words = ["ip", "-n", self.fabric.name, "link", "set", port, "master", link.bridge, "up"]
            return base.run(words, check=False).returncode == 0

        wait_for(f"{self.name}'s link {link.device} (console: {self.log})", lambda: plugged() or not self.is_running)
        if not self.is_running:
            raise LabError(f"{self.name} did not start; its console says: {self._last_words()}")

    def _last_words(self) -> str:
        return self.log.read_text(errors="replace")[-1500:]

    def _supervisor(self) -> tuple[int, str]:
        """Process id and start time of nspawn itself; zero before the first boot."""
        path = self.directory / "pid"
        if not path.exists():
            return 0, ""
        pid, _space, started = path.read_text().strip().partition(" ")
        return int(pid), started

    def _children(self) -> list[int]:
        """Of nspawn: the host's init, or what becomes of it while the host starts."""
        pid, started = self._supervisor()
        if not is_alive(pid, started):
            return []
        try:
            return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        except OSError:
            return []

    def _kill_children(self) -> None:
        for pid in self._children():
            os.kill(pid, signal.SIGKILL)

    def _is_booted(self) -> bool:
        if not self.is_running:
            raise LabError(f"{self.name} ended while booting; its console says: {self._last_words()}")
        with contextlib.suppress(LabError):
            state = self.run(["systemctl", "is-system-running"], check=False, timeout=10).stdout.strip()
            return state in ("running", "degraded")
        return False

    def _wait_for_end(self, timeout: float, push: Callable[[], object] = lambda: None) -> None:
        """``push`` is called again and again: a host that just starts may have a new process each time."""
        process = getattr(self, "_process", None)

        def ended() -> bool:
            with contextlib.suppress(ProcessLookupError):
                push()
            if process is not None:
                process.poll()  # reap it, when it is this process' child
            return not self.is_running

        try:
            wait_for(f"{self.name} to end", ended, timeout=timeout)
        except LabError:
            os.kill(self._supervisor()[0], signal.SIGKILL)
            wait_for(f"{self.name} to be killed", ended, timeout=10.0)
        remote.forget_connections(self.fabric, self.address)


_JOIN_CGROUP = 'while [ "$1" != -- ]; do echo $$ > "$1" || exit 1; shift; done; shift; exec "$@"'


def _cgroup_files(name: str) -> list[str]:
    """Make a cgroup for one host in every hierarchy. Without systemd nobody else does, and hosts would share theirs."""
    if Path("/run/systemd/system").is_dir():
        return []
    files = []
    for directory in cgroup_directories(name):
        directory.mkdir(exist_ok=True)
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if (directory / setting).exists():
                (directory / setting).write_text((directory.parent / setting).read_text())
        files.append(str(directory / "cgroup.procs"))
    return files


def _is_init(pid: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    name = words.partition("\n")[0].split()[1]
    return name in ("systemd", "init")


def _cached_rootfs() -> Path:
    from lab import rootfs  # noqa: PLC0415 - building is only needed when no root file system was handed in

    return rootfs.build_rootfs(lambda _text: None)
