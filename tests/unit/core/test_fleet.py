# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the reader derives: defaults, the host uplink, meshes and their routes, warnings."""

from __future__ import annotations

from datetime import date
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core import identity, model, templates
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.inventory import fleet_from_inventory

from tests.unit.core.samples import TODAY, fleet, host, one_bridge, two_bridges


def test_bridge_defaults() -> None:
    bridge = fleet(one_bridge()).nodes["vps-gateway"].bridge("mesh")
    assert bridge.gateway == IPv4Address("10.1.0.1")
    assert bridge.ct_zone == identity.digest16("mesh")


@pytest.mark.parametrize(
    ("kind", "device", "mtu", "is_mesh", "is_exit"),
    [
        ("host", None, 1500, False, False),
        ("warp", "up", 1280, False, True),
        ("netmaker", "netmaker", 1420, True, False),
        ("wireguard", "up", 1420, True, False),
    ],
)
def test_uplink_defaults(kind: str, device: str | None, mtu: int, is_mesh: bool, is_exit: bool) -> None:
    mine = {"name": "up", "kind": kind, "bridge": "mesh"}
    if kind == "wireguard":
        mine = one_bridge()["oo1424oo"]["socket_bridge_uplinks"][0] | mine
    elif kind == "netmaker":
        mine["address"] = "10.100.0.2/16"
    variables: dict[str, Any] = {
        "socket_bridge_bridges": [{"name": "mesh", "subnet": "10.0.0.0/24"}],
        "socket_bridge_uplinks": [mine],
    }
    uplink = fleet({"one": variables}).nodes["one"].uplink("up")
    assert (uplink.device, uplink.mtu, uplink.is_mesh, uplink.is_exit) == (device, mtu, is_mesh, is_exit)
    assert uplink.network == ("privacy-mesh" if is_mesh else "")


def test_container_defaults_are_no_limit_unprivileged_and_running() -> None:
    container = fleet(one_bridge()).nodes["oo1424oo"].containers[0]
    assert (container.memory, container.swap, container.cpus, container.mtu) == (None, None, None, None)
    assert (container.running, container.autostart, container.unprivileged, container.nesting) == (
        True,
        True,
        True,
        False,
    )
    assert container.template == "debian-13"


def test_exposed_is_short_for_local_and_mesh() -> None:
    vless, vmess = fleet(one_bridge()).nodes["oo1424oo"].containers[1].services
    assert vless.exposed_to == {"local", "mesh"}
    assert vmess.exposed_to == {"mesh"}


def test_public_port_is_the_port_unless_given() -> None:
    dns, vless = fleet(one_bridge()).nodes["vps-gateway"].containers[2].services
    assert (dns.port, dns.public_port) == (53, 5353)
    assert (vless.port, vless.public_port) == (443, 443)


def test_host_uplink_is_added_to_the_only_bridge_with_a_subnet() -> None:
    assert fleet(two_bridges()).nodes["oo1424oo"].uplink("host").bridge == "vmbr0"
    inventory = one_bridge()
    inventory["oo1424oo"]["socket_bridge_bridges"].append({"name": "second", "subnet": "10.9.0.0/24"})
    assert not [uplink for uplink in fleet(inventory).nodes["oo1424oo"].uplinks if uplink.kind == "host"]


def test_own_host_uplink_replaces_the_added_one() -> None:
    inventory = one_bridge()
    inventory["oo1424oo"]["socket_bridge_uplinks"].append({"name": "lan", "kind": "host", "bridge": "mesh"})
    names = [uplink.name for uplink in fleet(inventory).nodes["oo1424oo"].uplinks]
    assert names == ["lan", "nm-privacy", "warp0"]


def test_listen_port_follows_from_the_endpoint() -> None:
    assert fleet(one_bridge()).nodes["vps-gateway"].uplink("nm-server").listen_port == 51821


def networks(*texts: str) -> tuple[IPv4Network, ...]:
    return tuple(IPv4Network(text) for text in texts)


@pytest.mark.parametrize("inventory", [one_bridge, two_bridges])
def test_mesh_leads_to_the_overlay_and_to_the_subnets_of_others(inventory: Any) -> None:
    whole = fleet(inventory())
    home, droplet = whole.nodes["oo1424oo"], whole.nodes["vps-gateway"]
    assert whole.prefixes(home, home.uplink("nm-privacy")) == networks("10.1.0.0/24", "10.100.0.0/16")
    assert whole.prefixes(droplet, droplet.uplink("nm-server")) == networks("10.0.0.0/24", "10.100.0.0/16")
    assert whole.prefixes(home, home.uplink("warp0")) == networks("0.0.0.0/0")
    assert whole.prefixes(home, home.uplink("host")) == ()


def test_extra_prefixes_are_reached_too() -> None:
    inventory = one_bridge()
    inventory["oo1424oo"]["socket_bridge_uplinks"][0]["prefixes"] = ["192.168.7.0/24"]
    whole = fleet(inventory)
    home = whole.nodes["oo1424oo"]
    assert networks("192.168.7.0/24")[0] in whole.prefixes(home, home.uplink("nm-privacy"))


def test_nodes_on_another_mesh_are_not_reached() -> None:
    inventory = one_bridge()
    inventory["oo1424oo"]["socket_bridge_uplinks"][0].update(network="other", address="10.101.0.2/16")
    whole = fleet(inventory)
    home = whole.nodes["oo1424oo"]
    assert whole.prefixes(home, home.uplink("nm-privacy")) == networks("10.101.0.0/16")


def test_host_without_any_variable_is_an_empty_node() -> None:
    assert fleet({"bare": {}}).nodes["bare"] == model.Node(name="bare")


def test_template_past_its_end_of_life_is_a_warning_that_names_the_container() -> None:
    inventory = one_bridge()
    inventory["oo1424oo"]["lxc_service_containers"][0]["template"] = "alpine-3.19"
    (warning,) = fleet(inventory).warnings
    assert warning.startswith("oo1424oo: lxc_service_containers[gateway].template = 'alpine-3.19': support of this")
    assert "ended on 2025-11-01. Fix: choose debian-13" in warning
    assert fleet_from_inventory(inventory, today=date(2025, 10, 31)).warnings == ()


@pytest.mark.parametrize(
    ("template", "over"),
    [
        ("alpine-3.19", True),
        ("debian-11", True),
        ("ubuntu-20.04", True),
        ("ubuntu-22.04", False),
        ("debian-12", False),
        ("debian-13", False),
        ("my-own-image", False),
    ],
)
def test_end_of_life_table(template: str, over: bool) -> None:
    assert (templates.ended(template, TODAY) is not None) == over


def test_support_ends_on_the_day_itself() -> None:
    assert templates.ended("ubuntu-22.04", date(2027, 5, 31)) is None
    assert templates.ended("ubuntu-22.04", date(2027, 6, 1)) == date(2027, 6, 1)


def test_publishing_port_22_is_a_warning() -> None:
    inventory = {
        "one": host("""
            socket_bridge_bridges: [{name: mesh, subnet: 10.0.0.0/24}]
            lxc_service_containers:
              - id: "10"
                name: shell
                veth: veth10
                bridge: mesh
                ipv4_address: 10.0.0.10/24
                services: [{name: ssh, protocol: tcp, port: 22, exposed_to: [internet]}]
        """)
    }
    (warning,) = fleet(inventory).warnings
    assert warning.startswith("one: lxc_service_containers[shell].services[ssh].public_port = 22: the host's own SSH")
