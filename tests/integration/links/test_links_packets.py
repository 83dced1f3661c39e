# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets against the rendered filter, rules and routes in namespaces: what passes, what does not, what counts it."""

from __future__ import annotations

import json

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._links.drift import Drift, Remains, compare
from ansible_collections.op_dbus.socket_network.plugins.module_utils._links.found import list_table
from ansible_collections.op_dbus.socket_network.plugins.module_utils._links.nftables import ruleset
from ansible_collections.op_dbus.socket_network.plugins.module_utils._links.settings import Paths

from tests.integration.links.wires import BOX, INTERNET, Wires
from tests.unit.links.layers import CASES, layer


@pytest.mark.parametrize("case", CASES)
def test_nft_takes_the_ruleset_and_lists_it_always_alike(bare: Wires, case: str) -> None:
    """The module notices edits by hand from the listing, so it must not depend on the load."""
    listings = set()
    for _time in range(5):
        bare.host.run("nft", "-f", "-", data=ruleset(layer(case)))
        listings.add(list_table(bare.runner))
    assert len(listings) == 1
    bare.host.run("nft", "add", "rule", "inet", "op_dbus", "forward", "accept")
    assert list_table(bare.runner) not in listings


def test_what_is_wanted_is_what_the_kernel_is_read_to_have(bare: Wires) -> None:
    assert compare(Paths("/nonexistent"), bare.layer, bare.kernel(), Remains()) == Drift()


def test_container_leaves_by_the_exit_under_its_address(wires: Wires) -> None:
    wires.serve(wires.exit, 80)
    address, segment = wires.probe(wires.box, INTERNET, 80).split()
    assert address == "172.16.0.2"
    assert int(segment) <= 1240, "the segment size is not clamped to the tunnel's MTU"
    assert wires.leaked() == 0


def test_kill_switch_with_the_device_down(wires: Wires) -> None:
    """The container gets its error at once, by way of the host's own uplink, and nothing is seen on the WAN."""
    wires.serve(wires.exit, 80)
    wires.host.ip("link", "set", "warp0", "down")
    assert wires.probe(wires.box, INTERNET, 80, timeout=5) == "EHOSTUNREACH"
    assert wires.leaked() == 0
    wires.host.ip("link", "set", "warp0", "up")
    table = next(uplink.table for uplink in wires.layer.uplinks if uplink.name == "warp0")
    wires.host.ip("route", "add", "default", "dev", "warp0", "scope", "link", "table", str(table))
    assert wires.probe(wires.box, INTERNET, 80).split()[0] == "172.16.0.2"


def test_kill_switch_with_the_rule_gone(wires: Wires) -> None:
    """The main table would send it to the WAN. The reverse path filter refuses it, and so does the packet filter."""
    wires.accept_any_source("gw-warp0")
    wires.host.ip("-4", "rule", "delete", "priority", "1000", "iif", "gw-warp0")
    assert wires.probe(wires.box, INTERNET, 80) == "TIMEOUT"
    assert wires.leaked() == 0
    assert wires.dropped("forward-dropped-warp0") > 0
    wires.host.run("nft", "delete", "table", "inet", "op_dbus")
    wires.probe(wires.box, INTERNET, 80)
    assert wires.leaked() > 0, "without the filter nothing would have been seen either: this test proves nothing"


def test_mesh_reaches_the_container_and_back_without_translation(wires: Wires) -> None:
    wires.serve(wires.box, 443)
    assert wires.probe(wires.mesh, BOX, 443).split()[0] == "10.100.0.1"
    wires.serve(wires.mesh, 80)
    assert wires.probe(wires.box, "10.1.0.202", 80).split()[0] == BOX


def test_published_service_is_reached_at_the_hosts_address(wires: Wires) -> None:
    wires.serve(wires.box, 443)
    assert wires.probe(wires.wan, "192.0.2.10", 8443).split()[0] == "192.0.2.1"
    assert wires.probe(wires.wan, BOX, 443) == "TIMEOUT"
    assert wires.dropped("forward-dropped-host") > 0
    wires.serve(wires.host, 8443)
    assert wires.probe(wires.mesh, "10.100.0.2", 8443).split()[0] == "10.100.0.1", "published to the mesh as well"


def test_nothing_behind_an_exit_opens_connections(wires: Wires) -> None:
    wires.serve(wires.box, 443)
    wires.serve(wires.host, 22)
    assert wires.probe(wires.exit, BOX, 443) == "TIMEOUT"
    assert wires.dropped("forward-dropped-warp0") > 0
    assert wires.probe(wires.exit, "172.16.0.2", 22) == "TIMEOUT"
    assert wires.dropped("input-dropped-warp0") > 0
    assert wires.probe(wires.exit, "172.16.0.2", 8443) == "TIMEOUT", "published to the far end of the exit"


def test_container_does_not_reach_the_host_but_the_mesh_does(wires: Wires) -> None:
    wires.accept_any_source("gw-nm-privacy")
    wires.serve(wires.host, 22)
    assert wires.probe(wires.box, "10.100.0.2", 22) == "TIMEOUT"
    assert wires.dropped("input-dropped-nm-privacy") > 0
    assert wires.probe(wires.mesh, "10.100.0.2", 22).split()[0] == "10.100.0.1"


def test_host_uses_what_is_exposed_to_it_and_nothing_else(wires: Wires) -> None:
    wires.serve(wires.box, 443)
    wires.serve(wires.box, 8080)
    wires.box.ip("route", "add", "10.0.0.0/24", "via", "10.0.0.1", "dev", "ovs-host", "onlink")
    assert wires.probe(wires.host, BOX, 443).split()[0] == "192.0.2.10"
    assert wires.probe(wires.host, BOX, 8080) in ("TIMEOUT", "EPERM")
    assert wires.dropped("output-dropped-host") > 0


def test_mesh_and_exit_do_not_meet(wires: Wires) -> None:
    """A host is no transit: what comes from one tunnel leaves by no other, nor by the WAN."""
    wires.mesh.ip("route", "add", f"{INTERNET}/32", "via", "10.100.0.2")
    wires.exit.ip("route", "add", "10.100.0.0/16", "via", "172.16.0.2")
    wires.serve(wires.exit, 80)
    assert wires.probe(wires.mesh, INTERNET, 80) in ("TIMEOUT", "EHOSTUNREACH")
    assert wires.probe(wires.exit, "10.100.0.1", 80) in ("TIMEOUT", "EHOSTUNREACH")
    wires.accept_any_source("wan0")
    wires.wan.ip("route", "add", "10.100.0.0/16", "via", "192.0.2.10")
    wires.serve(wires.mesh, 80)
    before = wires.dropped("forward-dropped-nm-privacy")
    assert wires.probe(wires.wan, "10.100.0.1", 80) == "TIMEOUT"
    assert wires.dropped("forward-dropped-nm-privacy") > before


def test_frames_at_bridge_ports_are_not_the_hosts(bare: Wires) -> None:
    """What the userspace datapath leaves to the host is dropped, and no ARP request is answered there."""
    bare.load()
    bare.host.ip("link", "set", "gw-warp0", "netns", bare.box.name)
    bare.box.ip("address", "add", "192.0.2.66/24", "dev", "gw-warp0")
    bare.box.ip("link", "set", "gw-warp0", "up")
    assert bare.probe(bare.box, "192.0.2.10", 22, timeout=5) == "EHOSTUNREACH", "ARP is answered"
    (end,) = json.loads(bare.host.run("ip", "-j", "link", "show", "ovs-warp0"))
    bare.box.ip("neighbour", "replace", "192.0.2.10", "lladdr", end["address"], "dev", "gw-warp0")
    mac = next(uplink.mac for uplink in bare.layer.uplinks if uplink.name == "warp0")
    bare.host.ip("route", "add", "192.0.2.66/32", "dev", "ovs-warp0")
    bare.host.ip("neighbour", "replace", "192.0.2.66", "lladdr", mac, "dev", "ovs-warp0")
    bare.serve(bare.host, 22)
    assert bare.probe(bare.box, "192.0.2.10", 22) == "TIMEOUT"
    assert bare.dropped("dropped-from-bridge-ports") > 0
