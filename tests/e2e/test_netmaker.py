# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mesh that Netmaker makes among three hosts, two of them behind one NAT, and what the server knows of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from lab import probe
from lab.host import Host
from lab.probe import Capture

from . import netmaker_api as api
from .conftest import World
from .test_reach import service

Watch = Callable[..., Capture]
Seen = Callable[[str], None]

ADDRESSES = {"vps-gateway": "10.100.0.1", "oo1424oo": "10.100.0.2", "node3": "10.100.0.3"}
EGRESS = [
    ("10.0.0.0/24", "oo1424oo", False, True),
    ("10.1.0.0/24", "vps-gateway", False, True),
    ("10.2.0.0/24", "node3", False, True),
]
POLICY = 40
UPLINKS = {"vps-gateway": "nm-server", "oo1424oo": "nm-privacy", "node3": "nm-privacy"}

pytestmark = pytest.mark.mesh("netmaker")


def test_container_of_the_droplet_crosses_the_mesh(world: World, watch: Watch, seen: Seen) -> None:
    """202 on the droplet -> Netmaker's device -> 102 on oo1424oo: counted there, and only WireGuard on the WAN."""
    with (
        watch(world.home, "netmaker", "tcp port 443") as tunnel,
        watch(world.lab.fabric, "snl-wan", "udp port 51821") as wan,
        watch(world.lab.fabric, "snl-wan", "net 10.0.0.0/14 or net 10.100.0.0/16") as bare,
        probe.counting(world.home) as counted,
    ):
        assert probe.connect(world.xray_server, "10.0.0.102", 443) == "open"
        tunnel.wait_for(r"10\.1\.0\.202\.\d+ > 10\.0\.0\.102\.443: Flags \[S\]")
        wan.wait_for("UDP")
    assert counted.of(service("10.0.0.102", 443)) == 1
    assert bare.lines == []
    seen(f"{len(tunnel.lines)} packets on netmaker; on the WAN {len(wan.lines)} of WireGuard, {len(bare.lines)} bare")


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(("xray_client", "node3", "10.0.0.102", "10.2.0.30", 8080), id="oo1424oo to node3"),
        pytest.param(("files", "home", "10.2.0.30", "10.0.0.102", 443), id="node3 to oo1424oo"),
    ],
)
def test_hosts_behind_nat_meet_at_the_droplet(
    world: World, watch: Watch, seen: Seen, call: tuple[str, str, str, str, int]
) -> None:
    """Two hosts behind one NAT reach each other's containers through the droplet, which relays, and not directly."""
    caller, at, source, address, port = call
    between = "udp and src net 192.168.77.0/24 and dst net 192.168.77.0/24"
    with (
        watch(world.vps, "netmaker", f"tcp port {port}") as relay,
        watch(world.lab.fabric, "snl-lan", between) as direct,
        probe.counting(getattr(world, at)) as counted,
    ):
        assert probe.connect(getattr(world, caller), address, port, limit=5.0) == "open"
        syn = rf"{re.escape(source)}\.\d+ > {re.escape(address)}\.{port}: Flags \[S\]"
        relay.wait_for(syn)
    assert counted.of(service(address, port)) == 1
    assert len(relay.matching(syn)) == 2, "once into the droplet and once out of it"
    assert direct.lines == []
    seen(
        f"{len(relay.lines)} packets on the droplet's netmaker, {len(direct.lines)} between the two hosts; counted once"
    )


@pytest.mark.parametrize(
    "attempt",
    [
        pytest.param(("files", "home", "10.0.0.102", 9999), id="node3 to oo1424oo"),
        pytest.param(("xray_client", "node3", "10.2.0.30", 9999), id="oo1424oo to node3"),
        pytest.param(("xray_server", "node3", "10.2.0.30", 9999), id="droplet to node3"),
    ],
)
def test_unexposed_port_and_ping_are_dropped(world: World, seen: Seen, attempt: tuple[str, str, str, int]) -> None:
    """Over the mesh, too, only what is exposed answers: an unexposed port and a ping are dropped and counted."""
    caller, at, address, port = attempt
    place, host = getattr(world, caller), getattr(world, at)
    with probe.counting(host) as knocked:
        result = probe.connect(place, address, port, limit=1.5)
    with probe.counting(host) as pinged:
        ping = probe.execute(place, "ping", "-c", "2", "-W", "1", "-i", "0.2", address, check=False)
    assert result != "open"
    assert ping.returncode != 0
    assert knocked.dropped(POLICY) >= 1, knocked.describe()
    assert pinged.dropped(POLICY) >= 2, pinged.describe()
    seen(f"{result}; POLICY of {host.name} dropped {knocked.dropped(POLICY)}, then {pinged.dropped(POLICY)} of ping")


def test_addresses_are_those_of_the_inventory(world: World, seen: Seen) -> None:
    """Each host has the mesh address that the inventory gives it, on its device and in the server's books."""
    on_devices = {host.name: device_addresses(host) for host in world.hosts}
    in_books = {name: node["address"].partition("/")[0] for name, node in api.nodes(world.vps).items()}
    assert on_devices == {name: [address] for name, address in ADDRESSES.items()}
    assert in_books == ADDRESSES
    seen(", ".join(f"{name} {address}" for name, address in in_books.items()))


def device_addresses(host: Host) -> list[str]:
    links = json.loads(host.run("ip -j -4 address show dev netmaker").stdout)
    return [entry["local"] for link in links if link for entry in link["addr_info"]]


def test_egress_rows_are_those_of_the_inventory(world: World, seen: Seen) -> None:
    """The server has one egress row for each host's container subnet, untranslated, and no other."""
    assert api.egress(world.vps) == EGRESS
    seen(", ".join(f"{row[0]} {row[1]}" for row in EGRESS))


def test_droplet_relays_the_hosts_behind_nat(world: World, seen: Seen) -> None:
    """The droplet is the gateway of both hosts that nobody can call."""
    nodes = api.nodes(world.vps)
    droplet = nodes["vps-gateway"]
    assert droplet["isrelay"] is True
    for name in ("oo1424oo", "node3"):
        assert nodes[name]["relayedby"] == droplet["id"]
    seen("oo1424oo and node3 are relayed by vps-gateway")


@pytest.mark.parametrize("name", ["oo1424oo", "vps-gateway"])
def test_routes_survive_a_restart_of_netclient(world: World, seen: Seen, name: str) -> None:
    """netclient makes its device anew when it restarts; the routes of our table for it come back by themselves."""
    host = world.lab.hosts[name]
    table = routing_table(host, f"gw-{UPLINKS[name]}")
    before = routes(host, table)
    assert any("dev netmaker" in route for route in before)
    index = host.run("cat /sys/class/net/netmaker/ifindex").stdout.strip()
    host.run(["systemctl", "restart", "netclient.service"])
    probe.until("a new device", lambda: host.run("cat /sys/class/net/netmaker/ifindex").stdout.strip() != index)
    took = probe.until("the routes of our table", lambda: routes(host, table) == before)
    world.wait_for_mesh()
    seen(f"{len(before)} routes of table {table} as before {took:.1f} s after the new device; the mesh works")


def routing_table(host: Host, device: str) -> str:
    rules = host.run("ip -4 rule").stdout
    found = re.search(rf"iif {re.escape(device)} lookup (\d+)", rules)
    assert found is not None, rules
    return found[1]


def routes(host: Host, table: str) -> list[str]:
    return sorted(line.strip() for line in host.run(["ip", "-4", "route", "show", "table", table]).stdout.splitlines())
