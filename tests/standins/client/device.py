# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The WireGuard device, its addresses and routes."""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import json
import subprocess
import time

from .files import DEFAULT_MTU, DEVICE, Document
from .tools import run

PATIENCE = 10.0
SECOND = 1_000_000_000


class Device:
    def __init__(self, private: str) -> None:
        self._private = private
        self._go: subprocess.Popen[bytes] | None = None
        self._applied: Document | None = None

    def apply(self, wanted: Document) -> None:
        """Make it what the server said last. Raises CalledProcessError."""
        if not wanted or wanted == self._applied:
            return
        self._ensure()
        run("wg", "syncconf", DEVICE, "/dev/stdin", data=self._configuration(wanted))
        run("ip", "link", "set", DEVICE, "mtu", str(wanted["host"]["mtu"] or DEFAULT_MTU), "up")
        self._set_addresses({_interface(node["address"]) for node in wanted["nodes"] if node["connected"]})
        self._set_routes(wanted["egress_network_routes"])
        self._applied = wanted

    def _configuration(self, wanted: Document) -> str:
        lines = ["[Interface]", f"PrivateKey = {self._private}", f"ListenPort = {wanted['host']['listenport']}"]
        for peer in wanted["peers"]:
            if peer["Remove"]:
                continue
            allowed = ", ".join(_interface(item) for item in peer["AllowedIPs"] or [])
            key = base64.b64encode(bytes(peer["PublicKey"])).decode()
            lines += ["[Peer]", f"PublicKey = {key}", f"AllowedIPs = {allowed}"]
            lines.append(f"PersistentKeepalive = {peer['PersistentKeepaliveInterval'] // SECOND}")
            if peer["Endpoint"] and peer["Endpoint"]["IP"]:
                lines.append(f"Endpoint = {peer['Endpoint']['IP']}:{peer['Endpoint']['Port']}")
        return "\n".join(lines) + "\n"

    def _set_addresses(self, wanted: set[str]) -> None:
        """Also none, after the last network was left."""
        shown = json.loads(run("ip", "-j", "-4", "address", "show", "dev", DEVICE) or "[]")
        present = {f"{item['local']}/{item['prefixlen']}" for link in shown for item in link.get("addr_info", [])}
        for address in present - wanted:
            run("ip", "address", "del", address, "dev", DEVICE)
        for address in wanted - present:
            run("ip", "address", "add", address, "dev", DEVICE)

    def _set_routes(self, routes: list[Document]) -> None:
        """In the main table. One that is there already, by whomever, is left alone."""
        ranges = {
            (item["network"], str(item["route_metric"])) for route in routes for item in route["egress_ranges_metric"]
        }
        shown = json.loads(run("ip", "-j", "-4", "route", "show", "dev", DEVICE) or "[]")
        present = {(item["dst"], str(item.get("metric", 0))) for item in shown if item.get("protocol") != "kernel"}
        for destination, metric in present - ranges:
            run("ip", "route", "del", destination, "dev", DEVICE, "metric", metric)
        for destination, metric in ranges - present:
            with contextlib.suppress(subprocess.CalledProcessError):
                run("ip", "route", "add", destination, "dev", DEVICE, "metric", metric)

    def _ensure(self) -> None:
        """In the kernel, or else by wireguard-go; either way it ends with the daemon."""
        if _answers():
            return
        with contextlib.suppress(subprocess.CalledProcessError):
            run("ip", "link", "add", DEVICE, "type", "wireguard")
            return
        self._go = subprocess.Popen(["wireguard-go", "-f", DEVICE], stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE
        while not _answers():
            if time.monotonic() > deadline or self._go.poll() is not None:
                raise SystemExit("the device did not come up")
            time.sleep(0.05)

    def remove(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            run("ip", "link", "del", DEVICE)
        if self._go:
            self._go.terminate()
            self._go.wait()


def _answers() -> bool:
    return subprocess.run(["wg", "show", DEVICE], capture_output=True, check=False).returncode == 0


def _interface(network: Document) -> str:
    """{IP, Mask} as ADDRESS/LENGTH."""
    mask = ipaddress.ip_address(base64.b64decode(network["Mask"]))
    return str(ipaddress.ip_interface(f"{network['IP']}/{mask}"))
