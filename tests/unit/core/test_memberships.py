# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Netmaker is told of each host, and the links that wait for its device."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.links import link_layer
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.memberships import netmaker_membership

from tests.unit.core.samples import fleet, one_bridge, two_bridges
from tests.unit.core.spoiling import DROPLET, HOME, Inventory, netmaker, uplink


def membership(inventory: Inventory, host: str) -> dict[str, Any]:
    found = netmaker_membership(fleet(inventory), host)
    assert found is not None
    return found


def test_host_behind_nat_goes_through_the_relay() -> None:
    assert membership(netmaker(), HOME) == {
        "network": "privacy-mesh",
        "host": "oo1424oo",
        "uplink": "nm-privacy",
        "device": "netmaker",
        "address": "10.100.0.2",
        "addresses": {"oo1424oo": "10.100.0.2", "third": "10.100.0.3", "vps-gateway": "10.100.0.1"},
        "listen_port": 51821,
        "endpoint": None,
        "gateway": False,
        "relay_via": "vps-gateway",
        "egress": ["10.0.0.0/24"],
        "mtu": 1420,
    }


def test_relay_is_a_gateway_and_not_relayed() -> None:
    found = membership(netmaker(), DROPLET)
    assert (found["gateway"], found["relay_via"], found["endpoint"]) == (True, None, "192.0.2.10")


def test_host_with_an_endpoint_is_not_relayed() -> None:
    inventory = netmaker()
    uplink(inventory, 0, "third")["endpoint"] = "192.0.2.40"
    assert membership(inventory, "third")["relay_via"] is None


def test_one_hidden_host_needs_no_relay() -> None:
    inventory = netmaker()
    del inventory["third"]
    del uplink(inventory, 0, DROPLET)["relay"]
    assert membership(inventory, HOME)["relay_via"] is None


def test_port_is_fixed_unless_given() -> None:
    assert [membership(netmaker(), host)["listen_port"] for host in (DROPLET, "third")] == [51821, 51822]


def test_relay_of_another_network_does_not_count() -> None:
    inventory = netmaker()
    uplink(inventory, 0, DROPLET).update(network="other", address="10.101.0.1/16")
    del inventory["third"]
    assert membership(inventory, HOME)["relay_via"] is None


def test_egress_of_a_transit_bridge_is_the_subnet_behind_it() -> None:
    inventory = two_bridges()
    uplink(inventory).update(kind="netmaker", network="other", address="10.101.0.2/16")
    del uplink(inventory)["public_key"]
    assert membership(inventory, HOME)["egress"] == ["10.0.0.0/24"]


@pytest.mark.parametrize("host", [HOME, DROPLET])
def test_host_without_netmaker_has_no_membership(host: str) -> None:
    assert netmaker_membership(fleet(one_bridge()), host) is None


def test_links_wait_for_the_device_of_netclient() -> None:
    layer = link_layer(fleet(netmaker()), HOME)
    (mesh,) = [link for link in layer["uplinks"] if link["kind"] == "netmaker"]
    assert (mesh["device"], mesh["mtu"], mesh["masquerade"]) == ("netmaker", 1420, False)
    assert mesh["prefixes"] == ["10.1.0.0/24", "10.3.0.0/24", "10.100.0.0/16"]
    assert layer["tunnels"] == []


def test_siblings_with_one_port_are_warned_of() -> None:
    inventory = netmaker()
    assert not fleet(inventory).warnings
    del uplink(inventory, 0, "third")["listen_port"]
    (warning,) = fleet(inventory).warnings
    assert warning.startswith("oo1424oo, third have no endpoint and the same listen_port 51821 on privacy-mesh")
