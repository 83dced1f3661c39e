# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What roles get: the link layer, the tunnels and the containers, as plain data."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.links import link_layer
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.specs import container_specs

from tests.lib.containers import XRAY_CLIENT
from tests.unit.core.samples import fleet, host, key, one_bridge, two_bridges

OWNED = {"op-dbus-owner": "socket_bridge"}


def links(inventory: dict[str, Any], name: str) -> dict[str, Any]:
    return link_layer(fleet(inventory), name)


def test_bridges_and_their_link_ports() -> None:
    mesh, vmbr0 = links(two_bridges(), "oo1424oo")["bridges"]
    uplink = {"name": "ovs-nm-privacy", "ofport": 56902, "external_ids": OWNED}
    end = {"name": "to-socket", "ofport": 62198, "mac": "02:01:e0:dd:cf:17", "external_ids": OWNED}
    assert mesh == {"name": "mesh", "subnet": None, "ct_zone": 31413, "ports": [uplink, end]}
    assert (vmbr0["name"], vmbr0["subnet"]) == ("vmbr0", "10.0.0.0/24")
    assert [port["name"] for port in vmbr0["ports"]] == ["ovs-host", "ovs-warp0", "from-mesh"]


def test_uplink_has_everything_that_the_host_needs() -> None:
    host_link, mesh, warp = links(one_bridge(), "oo1424oo")["uplinks"]
    assert warp == {
        "name": "warp0",
        "kind": "warp",
        "bridge": "mesh",
        "device": "warp0",
        "gateway_port": "gw-warp0",
        "bridge_port": "ovs-warp0",
        "mac": "02:01:e1:13:bd:43",
        "ofport": 60821,
        "number": 22916,
        "table": 88452,
        "mtu": 1280,
        "subnet": "10.0.0.0/24",
        "prefixes": ["0.0.0.0/0"],
        "relay": False,
        "masquerade": True,
    }
    assert (mesh["prefixes"], mesh["masquerade"]) == (["10.1.0.0/24", "10.100.0.0/16"], False)
    assert (host_link["device"], host_link["prefixes"]) == (None, [])


def test_uplink_of_a_transit_bridge_serves_the_bridge_behind_it() -> None:
    (mesh,) = [uplink for uplink in links(two_bridges(), "oo1424oo")["uplinks"] if uplink["name"] == "nm-privacy"]
    assert (mesh["bridge"], mesh["subnet"]) == ("mesh", "10.0.0.0/24")


def test_veth_pair_between_bridges() -> None:
    assert links(two_bridges(), "oo1424oo")["veth_pairs"] == [
        {
            "peer1": {"name": "from-mesh", "bridge": "vmbr0", "ofport": 60850, "mac": "02:01:3e:77:2d:ba"},
            "peer2": {"name": "to-socket", "bridge": "mesh", "ofport": 62198, "mac": "02:01:e0:dd:cf:17"},
        }
    ]


def test_published_ports_and_services_of_the_host() -> None:
    layer = links(one_bridge(), "vps-gateway")
    dns = {"protocol": "udp", "public_port": 5353, "address": "10.1.0.202", "port": 53, "gateway_port": "gw-host"}
    web = {"protocol": "tcp", "public_port": 443, "address": "10.1.0.202", "port": 443, "gateway_port": "gw-host"}
    api = {"protocol": "tcp", "address": "10.1.0.201", "port": 9574, "gateway_port": "gw-host"}
    assert layer["published"] == [dns, web]
    assert layer["host_services"] == [api, {name: value for name, value in web.items() if name != "public_port"}]


def test_tunnel_of_a_node_behind_nat() -> None:
    (tunnel,) = links(one_bridge(), "oo1424oo")["tunnels"]
    droplet = {
        "name": "vps-gateway",
        "public_key": key(2),
        "endpoint": "192.0.2.10:51821",
        "allowed_ips": ["10.1.0.0/24", "10.100.0.1/32"],
        "keepalive": 25,
    }
    assert tunnel == {
        "name": "nm-privacy",
        "address": "10.100.0.2/16",
        "listen_port": 51821,
        "mtu": 1420,
        "public_key": key(1),
        "peers": [droplet],
    }


def test_node_with_an_endpoint_waits_to_be_called() -> None:
    (tunnel,) = links(one_bridge(), "vps-gateway")["tunnels"]
    (peer,) = tunnel["peers"]
    assert (peer["name"], peer["endpoint"], peer["keepalive"]) == ("oo1424oo", None, 0)
    assert peer["allowed_ips"] == ["10.0.0.0/24", "10.100.0.2/32"]


def four_nodes() -> dict[str, Any]:
    """The relay, two nodes behind NAT, and one with an endpoint that does not relay."""
    inventory = one_bridge()
    for number, (name, endpoint) in enumerate([("attic", ""), ("office", "endpoint: 192.0.2.40:51821")], 3):
        inventory[name] = host(f"""
            socket_bridge_bridges: [{{name: mesh, subnet: 10.{number}.0.0/24}}]
            socket_bridge_uplinks:
              - name: nm
                kind: wireguard
                bridge: mesh
                address: 10.100.0.{number}/16
                public_key: {key(number)}
                {endpoint}
        """)
    return inventory


def allowed(inventory: dict[str, Any], name: str) -> dict[str, list[str]]:
    (tunnel,) = links(inventory, name)["tunnels"]
    return {peer["name"]: peer["allowed_ips"] for peer in tunnel["peers"]}


def test_nodes_behind_nat_reach_each_other_through_the_relay() -> None:
    assert allowed(four_nodes(), "attic") == {
        "office": ["10.4.0.0/24", "10.100.0.4/32"],
        "vps-gateway": ["10.0.0.0/24", "10.1.0.0/24", "10.100.0.1/32", "10.100.0.2/32"],
    }


@pytest.mark.parametrize("name", ["vps-gateway", "office"])
def test_nodes_with_an_endpoint_reach_everyone_directly(name: str) -> None:
    peers = allowed(four_nodes(), name)
    assert set(peers) == set(four_nodes()) - {name}
    assert all(len(networks) == 2 for networks in peers.values())


@pytest.mark.parametrize("name", ["attic", "office", "oo1424oo", "vps-gateway"])
def test_no_address_is_behind_two_peers_and_none_is_missing(name: str) -> None:
    found = [network for networks in allowed(four_nodes(), name).values() for network in networks]
    assert len(found) == len(set(found)) == 6


def test_further_prefixes_are_behind_the_relay() -> None:
    inventory = four_nodes()
    inventory["office"]["socket_bridge_uplinks"][0]["prefixes"] = ["192.168.7.0/24"]
    peers = allowed(inventory, "office")
    assert [name for name, networks in peers.items() if "192.168.7.0/24" in networks] == ["vps-gateway"]


def test_tunnels_are_wireguard_only() -> None:
    inventory = one_bridge()
    tunnel = inventory["oo1424oo"]["socket_bridge_uplinks"][0]
    tunnel.update(kind="netmaker", network="other", address="10.101.0.2/16")
    del tunnel["public_key"]
    assert links(inventory, "oo1424oo")["tunnels"] == []


def specs(inventory: dict[str, Any], name: str) -> dict[str, dict[str, Any]]:
    return {spec["name"]: spec for spec in container_specs(fleet(inventory), name)}


def test_container_with_everything_derived() -> None:
    assert specs(one_bridge(), "oo1424oo")["xray-client"] == {
        **XRAY_CLIENT,
        "image": None,
        "tree": None,
        "services": [
            {
                "name": "xray-vless",
                "protocol": "tcp",
                "port": 443,
                "exposed_to": ["local", "mesh"],
                "public_port": None,
                "health": {"tcp": True},
            },
            {
                "name": "xray-vmess",
                "protocol": "tcp",
                "port": 8443,
                "exposed_to": ["mesh"],
                "public_port": None,
                "health": None,
            },
        ],
    }


@pytest.mark.parametrize(
    ("inventory", "name", "container", "mtu"),
    [
        (one_bridge, "oo1424oo", "gateway", 1280),
        (one_bridge, "vps-gateway", "xray-server", 1420),
        (two_bridges, "oo1424oo", "gateway", 1420),
        (two_bridges, "oo1424oo", "xray-client", 1280),
    ],
)
def test_mtu_is_the_smallest_of_the_uplinks_that_a_container_may_use(
    inventory: Any, name: str, container: str, mtu: int
) -> None:
    assert specs(inventory(), name)[container]["mtu"] == mtu


def test_own_mtu_and_source_win() -> None:
    inventory = one_bridge()
    inventory["oo1424oo"]["lxc_service_containers"][0] |= {
        "mtu": 1000,
        "image": {"path": "/var/lib/op-dbus/images/a.tar.zst", "sha256": "0" * 64},
        "features": {"nesting": True},
        "unprivileged": False,
    }
    spec = specs(inventory, "oo1424oo")["gateway"]
    assert (spec["mtu"], spec["nesting"], spec["unprivileged"]) == (1000, True, False)
    assert spec["image"] == {"path": "/var/lib/op-dbus/images/a.tar.zst", "sha256": "0" * 64}


def test_health_is_told_in_the_words_of_the_inventory() -> None:
    (api,) = specs(one_bridge(), "vps-gateway")["op-dbus-api"]["services"]
    assert api["health"] == {"http": "/health"}


@pytest.mark.parametrize("inventory", [one_bridge, two_bridges])
def test_output_is_plain_data(inventory: Any) -> None:
    for name in inventory():
        for data in (links(inventory(), name), container_specs(fleet(inventory()), name)):
            assert json.loads(json.dumps(data)) == data
