# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real WireGuard ends in network namespaces, without systemd: wireguard-go, each with a /run/wireguard of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.op_dbus.socket_network.plugins.module_utils._runner import Result, checked

from lab.base import wait_for
from lab.netns import Namespace

PRIVATE_RUN = "mkdir -p /run/wireguard && mount -t tmpfs wireguard /run/wireguard && exec wireguard-go -f "
UNIT = "Result=success\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled\n"


def generate_key() -> str:
    return _tool("genkey")


def public_key(private: str) -> str:
    return _tool("pubkey", private)


def _tool(verb: str, data: str = "") -> str:
    done = subprocess.run(["wg", verb], input=data, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()


class End:
    """A WireGuard device in a namespace, and a Runner there. The unit of its device passes for active."""

    def __init__(self, namespace: Namespace, device: str, log: Path) -> None:
        self.namespace = namespace
        self.device = device
        self.private_key = generate_key()
        self.process = namespace.start("unshare", "--mount", "sh", "-c", PRIVATE_RUN + device, log=log)
        wait_for(f"{device} in {namespace.name}", lambda: self.answer(["wg", "show", device]).rc == 0)

    @property
    def public_key(self) -> str:
        return public_key(self.private_key)

    def answer(self, argv: Sequence[str], stdin: str | None = None) -> Result:
        """Run ``argv`` in the namespace, whatever comes of it."""
        if tuple(argv[:2]) == ("systemctl", "show"):
            return Result(tuple(argv), 0, UNIT, "")
        inside = ["nsenter", f"--target={self.process.pid}", "--mount", "--net", *argv]
        done = subprocess.run(inside, input=stdin, capture_output=True, text=True, timeout=30, check=False)
        return Result(tuple(argv), done.returncode, done.stdout, done.stderr)

    def run(self, argv: Sequence[str], *, stdin: str | None = None, ok: Sequence[int] = (0,), what: str = "") -> Result:
        """The Runner of the drivers."""
        return checked(self.answer(argv, stdin), ok, what)

    def plug(self, address: str, mtu: int) -> None:
        """What wg-quick does to the link."""
        self.run(["ip", "address", "add", address, "dev", self.device])
        self.run(["ip", "link", "set", self.device, "mtu", str(mtu), "up"])

    def listen(self, port: int, *peers: tuple[str, str], endpoint: str | None = None) -> None:
        """A plain other end: peers are (public key, allowed networks); with ``endpoint`` it calls the first."""
        text = f"[Interface]\nPrivateKey = {self.private_key}\nListenPort = {port}\n"
        for key, allowed in peers:
            text += f"[Peer]\nPublicKey = {key}\nAllowedIPs = {allowed}\n"
        if endpoint:
            text += f"Endpoint = {endpoint}\nPersistentKeepalive = 1\n"
        self.run(["wg", "setconf", self.device, "/dev/stdin"], stdin=text)
