# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who reaches whom: the allowed connections, seen by flow counters and captures."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from lab import probe
from lab.probe import Capture

from . import frames
from .conftest import World

Watch = Callable[..., Capture]
Seen = Callable[[str], None]


def service(address: str, port: int) -> Callable[[probe.Flow], bool]:
    """The policy flows that let new connections to a service in."""
    wanted = {"tcp", f"nw_dst={address}", f"tp_dst={port}"}
    return lambda flow: flow.table == 40 and flow.actions != "drop" and wanted <= set(flow.match.split(","))


def test_client_reaches_internet_through_droplet_mesh_and_warp(world: World, watch: Watch, seen: Seen) -> None:
    """Client -> droplet:443 -> 202 -> mesh -> 102 -> WARP exit: seen at the WARP peer and nowhere on the WAN."""
    with (
        watch(world.lab.warp, "core0", "tcp port 80") as exit_,
        watch(world.lab.fabric, "snl-wan", "host 203.0.113.7 or net 10.0.0.0/8 or net 172.16.0.0/12") as wan,
        probe.counting(world.vps) as at_vps,
        probe.counting(world.home) as at_home,
    ):
        answer = world.through_warp()
        exit_.wait_for(r"203\.0\.113\.1\.\d+ > 203\.0\.113\.7\.80")
    assert answer["peer"] == "203.0.113.1", "the internet must see WARP's address"
    assert wan.lines == [], "the destination or an inner address showed on the WAN"
    assert at_vps.of(service("10.1.0.202", 443)) >= 1
    assert at_home.of(service("10.0.0.102", 443)) >= 1
    counts = at_vps.of(service("10.1.0.202", 443)), at_home.of(service("10.0.0.102", 443))
    seen(
        f"internet saw {answer['peer']}; {len(exit_.lines)} packets at the WARP peer, {len(wan.lines)} on the WAN; "
        f"policy flows counted {counts[0]} (202:443) and {counts[1]} (102:443)"
    )


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(("api", "10.1.0.200", 9573, "mcp-server", "10.1.0.201"), id="MCP from a neighbour"),
        pytest.param(("xray_client", "10.1.0.200", 9573, "mcp-server", "10.0.0.102"), id="MCP over the mesh"),
        pytest.param(("mcp", "10.1.0.201", 9574, "op-dbus-api", "10.1.0.200"), id="API from a neighbour"),
        pytest.param(("gateway", "10.1.0.201", 9574, "op-dbus-api", "10.0.0.100"), id="API over the mesh"),
    ],
)
def test_management_services_answer(world: World, seen: Seen, call: tuple[str, str, int, str, str]) -> None:
    """MCP 9573 and API 9574 answer those who may call, who keep their own address."""
    caller, address, port, name, source = call
    with probe.counting(world.vps) as counted:
        answer = probe.get(getattr(world, caller), address, port)
    assert (answer["name"], answer["peer"]) == (name, source)
    assert counted.of(service(address, port)) == 1
    seen(f"{name} saw {answer['peer']}; its policy flow counted 1 new connection")


def test_container_reaches_other_host_over_the_mesh(world: World, watch: Watch, seen: Seen) -> None:
    """200 on the droplet -> mesh -> 102 on oo1424oo, untranslated, and encrypted on the WAN."""
    with (
        watch(world.home, "gw-nm-privacy", "tcp port 443") as mesh,
        watch(world.lab.fabric, "snl-wan", "udp port 51821") as wan,
        probe.counting(world.home) as counted,
    ):
        assert probe.connect(world.mcp, "10.0.0.102", 443) == "open"
        mesh.wait_for(r"10\.1\.0\.200\.\d+ > 10\.0\.0\.102\.443: Flags \[S\]")
        wan.wait_for("UDP")
    assert counted.of(service("10.0.0.102", 443)) == 1
    seen(f"{len(mesh.lines)} packets from and to 10.1.0.200 on gw-nm-privacy, {len(wan.lines)} of WireGuard on the WAN")


def test_reply_leaves_by_the_uplink_of_its_connection(world: World, watch: Watch, seen: Seen) -> None:
    """A connection that a public address opens through the mesh is answered through the mesh, not through WARP."""
    foreign = "198.51.100.7"
    device = world.home.run("cat /sys/class/net/gw-nm-privacy/address").stdout.strip()
    syn = frames.ethernet(frames.ROUTER, device, 0x0800, frames.tcp_syn(foreign, "10.0.0.102", 40001, 443))
    with (
        watch(world.home, "gw-nm-privacy", f"tcp and host {foreign}") as mesh,
        watch(world.home, "gw-warp0", f"host {foreign}") as warp,
    ):
        probe.send_frames(probe.inside(world.home), "gw-nm-privacy", syn)
        mesh.wait_for(rf"10\.0\.0\.102\.443 > {re.escape(foreign)}\.40001: Flags \[S\.\]")
        answer = probe.get(world.xray_client, "203.0.113.7", 80)
    assert warp.lines == []
    assert answer["peer"] == "203.0.113.1", "the container's own connections leave through WARP all the same"
    seen(f"{len(mesh.matching('443 > '))} replies on gw-nm-privacy, {len(warp.lines)} on gw-warp0")
