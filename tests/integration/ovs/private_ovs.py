# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real ovsdb-server and ovs-vswitchd of one's own, with dummy devices: no root, no kernel, nothing shared."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
_DEADLINE = 10.0
_ANY_PROTOCOL = ",".join(f"OpenFlow1{minor}" for minor in range(6))


class PrivateOvs:
    """Open vSwitch whose files are all in ``directory``. Tools find it by ``environment``."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        variables = ("OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR", "OVS_SYSCONFDIR")
        self.environment: Mapping[str, str] = {name: str(directory) for name in variables}

    def run(self, *argv: str, stdin: str | None = None) -> str:
        """Output of a tool of this Open vSwitch, which has to succeed."""
        environment = {**os.environ, **self.environment}
        done = subprocess.run(
            argv, input=stdin, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(argv)} ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def vsctl(self, *arguments: str) -> str:
        return self.run("ovs-vsctl", "--timeout=20", *arguments).strip()

    def ofctl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.run("ovs-ofctl", "-O", "OpenFlow15", *arguments, stdin=stdin)

    def appctl(self, *arguments: str) -> str:
        return self.run("ovs-appctl", *arguments)

    def flows(self, bridge: str) -> list[str]:
        """All flows of ``bridge``, sorted, without counters."""
        dump = self.run("ovs-ofctl", "-O", _ANY_PROTOCOL, "--no-names", "--no-stats", "dump-flows", bridge)
        return sorted(line.strip() for line in dump.splitlines() if "actions=" in line)

    def state(self) -> str:
        """Everything that a module may change: the database's configuration and all flows."""
        columns = (
            "name",
            "datapath_type",
            "fail_mode",
            "protocols",
            "controller",
            "external_ids",
            "other_config",
            "ports",
        )
        database = ("ovsdb-client", "dump", f"unix:{self.directory}/db.sock", "Open_vSwitch")
        texts = [self.run(*database, "Bridge", *columns)]
        for bridge in self.vsctl("list-br").split():
            texts += [bridge, self.vsctl("--columns=name,ofport_request,external_ids", "list", "Interface")]
            texts += self.flows(bridge)
        return "\n".join(texts)

    def start_switch(self, *options: str) -> None:
        """Start ovs-vswitchd; it returns once it has configured the bridges in the database."""
        database = f"unix:{self.directory}/db.sock"
        self.run("ovs-vswitchd", *_daemon("ovs-vswitchd", self.directory), "--disable-system", *options, database)

    def stop(self, daemon: str, how: signal.Signals = signal.SIGTERM) -> None:
        """End ``daemon`` and wait until it is gone. A killed one leaves its pid file."""
        pid_file = self.directory / f"{daemon}.pid"
        if not pid_file.exists():
            return
        pid = int(pid_file.read_text(encoding="ascii"))
        try:
            os.kill(pid, how)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + _DEADLINE
        while _alive(pid) and time.monotonic() < deadline:
            time.sleep(0.01)


def _daemon(name: str, directory: Path) -> list[str]:
    files = (f"--pidfile={directory}/{name}.pid", f"--log-file={directory}/{name}.log")
    return ["--detach", "--no-chdir", *files, "-vconsole:off"]


def _alive(pid: int) -> bool:
    """False for a zombie too: whoever is its parent may be in no hurry."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@contextmanager
def private_ovs(directory: Path, *options: str) -> Iterator[PrivateOvs]:
    """A running Open vSwitch in ``directory``, whose path must be short enough for Unix sockets (100 characters)."""
    ovs = PrivateOvs(directory)
    ovs.run("ovsdb-tool", "create", f"{directory}/conf.db", SCHEMA)
    try:
        remote = f"--remote=punix:{directory}/db.sock"
        ovs.run("ovsdb-server", *_daemon("ovsdb-server", directory), remote, f"{directory}/conf.db")
        ovs.vsctl("--no-wait", "init")
        ovs.start_switch(*options)
        yield ovs
    finally:
        ovs.stop("ovs-vswitchd")
        ovs.stop("ovsdb-server")
