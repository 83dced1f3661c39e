# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients in network namespaces, the stand-in or the real one, and the certificate that they need to trust a server."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from lab import base
from lab.base import wait_for
from lab.netns import Namespace
from tests.integration.netmaker.servers import REAL, STAND_IN
from tests.standins.programs import build_client

PRIVATE = """
set -e
mkdir -p "$1"
mount -t tmpfs netclient "$1"
mkdir "$1/upper" "$1/work"
mount -t overlay netclient -o "lowerdir=/etc,upperdir=$1/upper,workdir=$1/work" /etc
mkdir -p /run/wireguard
for hidden in /run/systemd /run/dbus /run/wireguard; do
    [ ! -d "$hidden" ] || mount -t tmpfs netclient "$hidden"
done
touch /etc/netclient-may-start
exec sleep infinity
"""
"""An /etc and a /run/wireguard of its own for each client, which must not restart a unit of this machine."""


def client_kinds() -> list[str]:
    """Which clients tests run with."""
    return [STAND_IN, *([REAL] if os.environ.get("NETCLIENT_BINARY") else [])]


class Client:
    """A host with a client. ``trusted`` is the certificate that it takes for the server's."""

    def __init__(self, namespace: Namespace, directory: Path, trusted: Path, kind: str = STAND_IN) -> None:
        directory.mkdir(parents=True)
        self.namespace = namespace
        stand_in = ["python3", str(build_client(directory))]
        self._program = stand_in if kind == STAND_IN else [os.environ["NETCLIENT_BINARY"]]
        self._log = directory / "log"
        self.trusted = trusted
        argv = ["unshare", "--mount", "sh", "-c", PRIVATE, "sh", str(directory / "etc")]
        self._holder = namespace.start(*argv, log=self._log)
        self._daemon: subprocess.Popen[bytes] | None = None
        wait_for("the client's own /etc", lambda: self.run("test", "-e", "/etc/netclient-may-start") == 0)

    def enter(self, *argv: str) -> list[str]:
        trust = f"SSL_CERT_FILE={self.trusted}"
        return ["nsenter", f"--target={self._holder.pid}", "--mount", "--net", "env", trust, *argv]

    def run(self, *argv: str) -> int:
        return subprocess.run(self.enter(*argv), capture_output=True, timeout=30, check=False).returncode

    def netclient(self, *words: str) -> int:
        """Run one of its commands. Returns the exit status."""
        return self.run(*self._program, *words)

    def start(self) -> Client:
        with self._log.open("ab") as log:
            self._daemon = subprocess.Popen(self.enter(*self._program, "daemon"), stdout=log, stderr=log)
        self.namespace.ledger.record_process(self._daemon.pid)
        return self

    def stop(self) -> None:
        assert self._daemon is not None
        self._daemon.terminate()
        self._daemon.wait(10)

    def file(self, name: str) -> Any:
        """The content of a file of /etc/netclient; None when there is none."""
        done = subprocess.run(self.enter("cat", f"/etc/netclient/{name}"), capture_output=True, timeout=10, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def addresses(self) -> list[str] | None:
        """Of the device; None when there is no device."""
        argv = self.enter("ip", "-j", "-4", "address", "show", "dev", "netmaker")
        done = subprocess.run(argv, capture_output=True, timeout=10, check=False)
        if done.returncode:
            return None
        return [item["local"] for link in json.loads(done.stdout) for item in link.get("addr_info", [])]

    def routes(self) -> list[tuple[str, int]]:
        """Of the main table, to the device, but for the kernel's own: destination and metric."""
        argv = self.enter("ip", "-j", "-4", "route", "show", "dev", "netmaker")
        shown = json.loads(base.run(argv).stdout or "[]")
        return [(item["dst"], item["metric"]) for item in shown if item.get("protocol") != "kernel"]

    def pings(self, address: str) -> bool:
        return self.run("ping", "-c", "1", "-W", "1", address) == 0


def certificate(directory: Path, address: str) -> tuple[Path, Path]:
    """One that signs itself, for that IP address. Returns certificate and key."""
    made, key = directory / "server.crt", directory / "server.key"
    subject = ["-subj", "/CN=stand-in", "-addext", f"subjectAltName=IP:{address}"]
    files = ["-keyout", str(key), "-out", str(made)]
    base.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
              *subject, *files])  # fmt: skip
    return made, key
