# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-in clients in network namespaces, and the wire and the certificate that they need to reach a server."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from lab import base
from lab.base import wait_for
from lab.netns import Namespace
from tests.standins.programs import build_client

PRIVATE = """
set -e
mkdir -p "$1"
mount -t tmpfs netclient "$1"
mkdir "$1/upper" "$1/work"
mount -t overlay netclient -o "lowerdir=/etc,upperdir=$1/upper,workdir=$1/work" /etc
mkdir -p /run/wireguard
mount -t tmpfs netclient /run/wireguard
exec sleep infinity
"""
"""An /etc and a /run/wireguard of its own for each client."""


class Client:
    """A host with the stand-in client. ``trusted`` is the certificate that it takes for the server's."""

    def __init__(self, namespace: Namespace, directory: Path, trusted: Path) -> None:
        directory.mkdir(parents=True)
        self.namespace = namespace
        self._program = build_client(directory)
        self._log = directory / "log"
        self._trusted = trusted
        argv = ["unshare", "--mount", "sh", "-c", PRIVATE, "sh", str(directory / "etc")]
        self._holder = namespace.start(*argv, log=self._log)
        self._daemon: subprocess.Popen[bytes] | None = None
        wait_for("the client's own /etc", lambda: self.run("sh", "-c", "grep -q ' /run/wireguard ' /proc/mounts") == 0)

    def enter(self, *argv: str) -> list[str]:
        trust = f"SSL_CERT_FILE={self._trusted}"
        return ["nsenter", f"--target={self._holder.pid}", "--mount", "--net", "env", trust, *argv]

    def run(self, *argv: str) -> int:
        return subprocess.run(self.enter(*argv), capture_output=True, timeout=30, check=False).returncode

    def netclient(self, *words: str) -> int:
        """Run one of its commands. Returns the exit status."""
        return self.run("python3", str(self._program), *words)

    def start(self) -> Client:
        with self._log.open("ab") as log:
            self._daemon = subprocess.Popen(self.enter("python3", str(self._program), "daemon"), stdout=log, stderr=log)
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
