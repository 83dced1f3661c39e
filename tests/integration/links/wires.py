# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host made of network namespaces: its link layer is real, its tunnels are veth pairs, its container is a namespace.

box 10.0.0.102 == ovs-U/gw-U == host == warp0 ====== exit 172.16.0.1 (and 203.0.113.9, "the internet")
                                     == nm-privacy = mesh 10.100.0.1 (and 10.1.0.202)
                                     == wan0 ======= wan  192.0.2.1, the host's default gateway
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible_collections.op_dbus.socket_network.plugins.module_utils._links.found import read_kernel
from ansible_collections.op_dbus.socket_network.plugins.module_utils._links.layer import LinkLayer
from ansible_collections.op_dbus.socket_network.plugins.module_utils._links.nftables import ruleset
from ansible_collections.op_dbus.socket_network.plugins.module_utils._links.parse import parse
from ansible_collections.op_dbus.socket_network.plugins.module_utils._links.runtime import (
    wanted_links,
    wanted_routes,
    wanted_rules,
)
from ansible_collections.op_dbus.socket_network.plugins.module_utils._links.steps import route_words, rule_words
from ansible_collections.op_dbus.socket_network.plugins.module_utils._runner import LocalRunner, Result

from lab.base import wait_for
from lab.ledger import Ledger
from lab.netns import Namespace
from tests.unit.links.layers import parameters

BOX = "10.0.0.102"
INTERNET = "203.0.113.9"
SERVICE = {"protocol": "tcp", "address": BOX, "port": 443, "gateway_port": "gw-host"}

SERVER = """
import socket, sys
server = socket.create_server(("", int(sys.argv[1])))
while True:
    client, (address, _port) = server.accept()
    segment = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
    client.sendall(f"{address} {segment}".encode())
    client.close()
"""
"""Tells each client its address and the size of segments to it."""

PROBE = """
import errno, socket, sys
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[3])) as client:
        print(client.recv(100).decode())
except TimeoutError:
    print("TIMEOUT")
except OSError as error:
    print(errno.errorcode[error.errno])
"""


class Inside:
    """Runner that works in a namespace."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._runner = LocalRunner(timeout=20)

    def run(self, argv: Sequence[str], *, stdin: str | None = None, ok: Sequence[int] = (0,), what: str = "") -> Result:
        return self._runner.run(self._namespace.enter(*argv), stdin=stdin, ok=ok, what=what)


def published_layer() -> dict[str, Any]:
    """Host oo1424oo of the documents, which publishes its container's service as port 8443."""
    given = parameters("oo1424oo")
    return {**given, "published": [{**SERVICE, "public_port": 8443}], "host_services": [SERVICE]}


class Wires:
    def __init__(self, directory: Path) -> None:
        self.ledger = Ledger(directory / "ledger")
        self.log = directory / "servers.log"
        self.layer: LinkLayer = parse(published_layer())
        self.host, self.box, self.exit, self.mesh, self.wan = (
            Namespace(f"lkt-{name}", self.ledger) for name in ("host", "box", "exit", "mesh", "wan")
        )
        self.runner = Inside(self.host)

    def build(self) -> None:
        for namespace in (self.host, self.box, self.exit, self.mesh, self.wan):
            namespace.create()
        self.host.sysctl(ipv4__ip_forward=1, ipv4__conf__default__rp_filter=2)
        self._tunnel("wan0", 1500, self.wan, "192.0.2.10/24", "192.0.2.1/24")
        self._tunnel("warp0", 1280, self.exit, "172.16.0.2/24", "172.16.0.1/24", f"{INTERNET}/32")
        self._tunnel("nm-privacy", 1420, self.mesh, "10.100.0.2/16", "10.100.0.1/16", "10.1.0.202/32")
        self.host.ip("route", "add", "default", "via", "192.0.2.1")
        for namespace, gateway in ((self.exit, "172.16.0.2"), (self.mesh, "10.100.0.2"), (self.wan, "192.0.2.10")):
            namespace.ip("route", "add", "10.0.0.0/24", "via", gateway)
        self.wan.run("nft", "-f", "-", data=WATCH)
        self._links()

    def load(self) -> None:
        self.host.run("nft", "-f", "-", data=ruleset(self.layer))

    def plug(self) -> None:
        """Give the bridge ends to the container, whose way out is the exit; every gateway answers for its router."""
        self.box.ip("address", "add", f"{BOX}/32", "dev", "lo")
        ways = {
            "ovs-warp0": ["default"],
            "ovs-nm-privacy": ["10.100.0.0/16", "10.1.0.0/24"],
            "ovs-host": ["192.0.2.0/24"],
        }
        for uplink in self.layer.uplinks:
            port = uplink.bridge_port
            self.host.ip("link", "set", port, "netns", self.box.name)
            self.box.ip("link", "set", port, "arp", "on", "mtu", "1500", "up")
            self.box.ip("neighbour", "add", "10.0.0.1", "lladdr", uplink.mac, "dev", port)
            for way in ways[port]:
                self.box.ip("route", "add", way, "via", "10.0.0.1", "dev", port, "onlink")

    def accept_any_source(self, link: str) -> None:
        """Switch off the kernel's reverse path filter, which would drop the packet before our filter sees it."""
        self.host.run("sysctl", "-qw", f"net.ipv4.conf.{link}.rp_filter=0")

    def kernel(self) -> Any:
        return read_kernel(self.runner)

    def serve(self, namespace: Namespace, port: int) -> None:
        namespace.start("python3", "-c", SERVER, str(port), log=self.log)
        wait_for(f"a server on port {port}", lambda: f":{port}" in namespace.run("ss", "-Hltn"))

    def probe(self, namespace: Namespace, address: str, port: int, timeout: float = 1.0) -> str:
        """What a server told, or the name of the error."""
        return namespace.run("python3", "-c", PROBE, address, str(port), str(timeout)).strip()

    def dropped(self, name: str) -> int:
        """Packets that one of our counters has seen."""
        return packets(self.host.run("nft", "list", "counter", "inet", "op_dbus", name))

    def leaked(self) -> int:
        """Packets of or for the container's world that came out on the WAN, whoever they claim to be from."""
        return packets(self.wan.run("nft", "list", "counter", "inet", "watch", "leaked"))

    def _links(self) -> None:
        for link in wanted_links(self.layer).values():
            if link.mac is not None:
                words = ["link", "add", link.name, "address", link.mac, "type", "veth", "peer", "name", link.peer]
                self.host.ip(*words)
        for link in wanted_links(self.layer).values():
            arp = "on" if link.arp else "off"
            self.host.ip("link", "set", link.name, "mtu", str(link.mtu), "arp", arp, "up")
        for rule in wanted_rules(self.layer):
            self.host.ip("-4", "rule", "add", *rule_words(rule))
        for route in wanted_routes(self.layer):
            self.host.ip("-4", "route", "add", *route_words(route))

    def _tunnel(self, device: str, mtu: int, far: Namespace, near: str, *addresses: str) -> None:
        self.host.ip("link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", far.name)
        self.host.ip("address", "add", near, "dev", device)
        self.host.ip("link", "set", device, "mtu", str(mtu), "up")
        for address in addresses:
            far.ip("address", "add", address, "dev", "eth0")
        far.ip("link", "set", "eth0", "up")


WATCH = f"""
table inet watch {{
    counter leaked {{ }}
    chain seen {{
        type filter hook prerouting priority raw; policy accept;
        ip saddr 10.0.0.0/24 counter name leaked
        ip daddr {{ {INTERNET}, 10.1.0.202 }} counter name leaked
    }}
}}
"""


def packets(listing: str) -> int:
    found = re.search(r"packets (\d+)", listing)
    assert found, listing
    return int(found[1])
