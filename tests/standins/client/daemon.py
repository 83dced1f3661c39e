# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon. Where the real one is told of changes by MQTT, this one asks the server once a second."""

from __future__ import annotations

import argparse
import base64
import signal
import subprocess
import sys
import time
from pathlib import Path

from .api import Refused, ask, log_in
from .device import Device
from .files import LAST_PULL, VERSION, Document, current_server, identity, load, save

POLL = 1.0
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
TOKEN_LIFE = 600.0
FROM_SERVER = (
    "name",
    "listenport",
    "mtu",
    "isstatic",
    "isstaticport",
    "endpointip",
    "autoupdate",
    "dns_status",
    "nodes",
)
"""What the server may change of the host."""


class Daemon:
    """Sets up the device from the files, then keeps files and device as the server wants them."""

    def __init__(self) -> None:
        self._host = identity()
        self._device = Device(base64.b64encode(bytes(self._host["privatekey"])).decode())
        self._token = ""
        self._token_time = 0.0
        self._complaint = ""

    def run(self) -> int:
        print(f"[netclient stand-in] THIS IS A STAND-IN for netclient {VERSION}, for tests only", flush=True)
        FORWARDING.write_text("1")
        try:
            while True:
                self._turn()
                time.sleep(POLL)
        finally:
            self._device.remove()

    def _turn(self) -> None:
        server = current_server()
        if not server:
            return
        try:
            self._pull(server)
            complaint = ""
        except Refused as error:
            complaint = f"pull refused: {error}"
            self._token = ""
            if error.status in (400, 401):
                self._forget_all()
        except (OSError, ValueError, KeyError) as error:
            complaint = f"pull failed: {error}"
        if complaint != self._complaint:
            print(f"[netclient stand-in] {complaint or 'pulls again'}", flush=True)
            self._complaint = complaint
        try:
            self._device.apply(load(LAST_PULL))
        except subprocess.CalledProcessError as error:
            print(f"[netclient stand-in] {error}: {error.stderr}", flush=True)

    def _pull(self, server: Document) -> None:
        if not self._token or time.monotonic() - self._token_time > TOKEN_LIFE:
            self._token, self._token_time = log_in(server, self._host), time.monotonic()
        pulled = ask("GET", f"{server['API']}/api/v1/host", token=self._token)
        wanted = {field: pulled[field] for field in ("host", "nodes", "peers", "egress_network_routes")}
        if wanted == load(LAST_PULL):
            return
        save(LAST_PULL, wanted)
        save("nodes.json", {node["network"]: node for node in wanted["nodes"]})
        host = load("netclient.json")
        fields = (
            "name",
            "listenport",
            "mtu",
            "isstatic",
            "isstaticport",
            "endpointip",
            "autoupdate",
            "dns_status",
            "nodes",
        )
        host.update({field: wanted["host"][field] for field in fields})
        save("netclient.json", host)

    def _forget_all(self) -> None:
        """The server does not know this host any more, so it wipes what it knows of the server."""
        save("nodes.json", {})
        last = load(LAST_PULL)
        if last:
            save(LAST_PULL, {**last, "nodes": [], "peers": [], "egress_network_routes": []})


def daemon(_words: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    return Daemon().run()
