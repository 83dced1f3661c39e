# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who does not: blocked connections and forged frames, each counted by a drop rule and missing at its target."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lab import probe
from lab.host import Host
from lab.probe import Capture

from . import frames
from .conftest import World

Watch = Callable[..., Capture]
Seen = Callable[[str], None]

CLASSIFY, ARP_GUARD, SPOOF, POLICY, L3 = 0, 5, 10, 40, 50
XRAY_MAC, GATEWAY_MAC = "02:00:0a:00:00:66", "02:00:0a:00:00:64"


@pytest.mark.parametrize(
    "attempt",
    [
        pytest.param(("gateway", "home", "10.0.0.102", 9999), id="neighbour, unexposed port"),
        pytest.param(("mcp", "home", "10.0.0.102", 9999), id="over the mesh, unexposed port"),
        pytest.param(("xray_client", "vps", "10.1.0.200", 9999), id="from oo1424oo, unexposed port"),
        pytest.param(("xray_client", "vps", "10.1.0.202", 9999), id="ingress container, unexposed port"),
        pytest.param(("api", "vps", "10.1.0.200", 22), id="neighbour, nothing there"),
        pytest.param(("mcp", "vps", "203.0.113.7", 80), id="container without an egress"),
    ],
)
def test_closed_port_is_blocked(world: World, seen: Seen, attempt: tuple[str, str, str, int]) -> None:
    """An unexposed port answers nobody, and a container without an egress reaches no internet: dropped, counted."""
    caller, at, address, port = attempt
    host: Host = getattr(world, at)
    with probe.counting(host) as counted:
        result = probe.connect(getattr(world, caller), address, port, limit=1.5)
    assert result != "open"
    assert counted.dropped(POLICY, L3) >= 1, counted.describe()
    seen(f"{result}; drop rules of {host.name} counted {counted.dropped(POLICY, L3)}")


@pytest.mark.parametrize(("address", "port"), [("10.1.0.200", 9573), ("10.1.0.201", 9574), ("10.1.0.202", 9999)])
def test_public_client_cannot_reach_containers(world: World, watch: Watch, seen: Seen, address: str, port: int) -> None:
    """A public client with a route to the container subnet reaches neither MCP, nor the API, nor an unexposed port."""
    veth = f"veth{address.rpartition('.')[2]}"
    filtered = sum(probe.firewall_drops(world.vps).values())
    world.lab.client.ip("route", "replace", "10.1.0.0/24", "via", "192.0.2.10")
    try:
        with watch(world.vps, veth, "tcp") as target, watch(world.vps, world.lab.wan_device, f"tcp port {port}") as wan:
            results = [probe.connect(world.client, where, port, limit=1.5) for where in (address, "192.0.2.10")]
            wan.wait_for("Flags")
    finally:
        world.lab.client.ip("route", "delete", "10.1.0.0/24")
    filtered = sum(probe.firewall_drops(world.vps).values()) - filtered
    assert "open" not in results
    assert target.lines == []
    assert filtered >= 1
    seen(
        f"{results[0]} at {address} (the packet filter dropped {filtered}), {results[1]} at the droplet's own address; "
        f"nothing on {veth}"
    )


def test_droplet_itself_is_not_a_caller(world: World, seen: Seen) -> None:
    """The host's own processes reach a service only where it is exposed to the host: MCP and API are not."""
    targets = (("10.1.0.200", 9573), ("10.1.0.201", 9574))
    filtered = sum(probe.firewall_drops(world.vps).values())
    with probe.counting(world.vps) as counted:
        results = [probe.connect(probe.inside(world.vps), *target, limit=1.5) for target in targets]
    filtered = sum(probe.firewall_drops(world.vps).values()) - filtered
    assert "open" not in results
    assert filtered + counted.dropped(POLICY) >= len(targets), counted.describe()
    seen(f"{', '.join(results)}; the packet filter dropped {filtered}, POLICY {counted.dropped(POLICY)}")


def test_ping_of_a_neighbour_is_blocked(world: World, seen: Seen) -> None:
    """Containers do not ping each other: nothing exposes that."""
    with probe.counting(world.vps) as counted:
        done = probe.execute(world.mcp, "ping", "-c", "2", "-W", "1", "-i", "0.2", "10.1.0.201", check=False)
    assert done.returncode != 0
    assert counted.dropped(POLICY) >= 2, counted.describe()
    seen(f"POLICY dropped {counted.dropped(POLICY)}")


def forged(kind: str) -> bytes:
    """A frame that xray-client may not send."""
    to_mesh = frames.tcp_syn("10.0.0.102", "10.1.0.200", 40002, 9573)
    poison = frames.arp(2, XRAY_MAC, "10.0.0.1", frames.BROADCAST, "10.0.0.100")
    straight = frames.tcp_syn("10.0.0.102", "10.0.0.100", 40002, 9999)
    made = {
        "a neighbour's address": frames.ethernet(
            frames.ROUTER, XRAY_MAC, 0x0800, frames.tcp_syn("10.0.0.100", "10.1.0.200", 40002, 9573)
        ),
        "a public address": frames.ethernet(
            frames.ROUTER, XRAY_MAC, 0x0800, frames.tcp_syn("198.51.100.9", "10.1.0.200", 40002, 9573)
        ),
        "a neighbour's MAC": frames.ethernet(frames.ROUTER, GATEWAY_MAC, 0x0800, to_mesh),
        "an ARP answer for the gateway": frames.ethernet(frames.BROADCAST, XRAY_MAC, 0x0806, poison),
        "a VLAN tag": frames.tagged(frames.ethernet(frames.ROUTER, XRAY_MAC, 0x0800, to_mesh), 7),
        "IPv6": frames.ethernet("33:33:00:00:00:02", XRAY_MAC, 0x86DD, frames.router_solicitation()),
        "the neighbour directly": frames.ethernet(GATEWAY_MAC, XRAY_MAC, 0x0800, straight),
    }
    return made[kind]


@pytest.mark.parametrize(
    ("kind", "table"),
    [
        ("a neighbour's address", SPOOF),
        ("a public address", SPOOF),
        ("a neighbour's MAC", SPOOF),
        ("an ARP answer for the gateway", ARP_GUARD),
        ("a VLAN tag", CLASSIFY),
        ("IPv6", CLASSIFY),
        ("the neighbour directly", POLICY),
    ],
)
def test_forged_frame_is_dropped(world: World, watch: Watch, seen: Seen, kind: str, table: int) -> None:
    """Spoofed MAC, IP and ARP, VLAN tags, IPv6, frames straight to a neighbour: each dropped in its table, counted."""
    number = 5
    with (
        watch(
            world.home, "veth100", f"ether src {XRAY_MAC} or vlan or ip6 or tcp port 40002 or arp host 10.0.0.1"
        ) as neighbour,
        watch(world.home, "gw-nm-privacy", "ip6 or vlan or tcp port 40002") as mesh,
        probe.counting(world.home) as counted,
    ):
        probe.send_frames(world.xray_client, "eth0", *[forged(kind)] * number)
    assert counted.dropped(table) >= number, counted.describe()
    assert neighbour.lines == []
    assert mesh.lines == []
    seen(f"sent {number}, table {table} dropped {counted.dropped(table)}, nothing on veth100 or gw-nm-privacy")
