# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Identifiers are part of the contract: flows, ports and tables on running hosts depend on them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core import identity
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=15)


def test_known_values_stay_what_they_are() -> None:
    assert identity.digest16("host") == 62884
    assert identity.link_mac("gw-warp0") == "02:01:e1:13:bd:43"
    assert identity.link_ofport("ovs-warp0") == 60821
    assert identity.routing_table(identity.digest16("warp0")) == 88452
    assert identity.container_mac(IPv4Address("10.0.0.102")) == "02:00:0a:00:00:66"
    assert identity.container_register(IPv4Address("10.0.0.102")) == 0x10066
    assert identity.container_ofport(IPv4Interface("10.0.0.102/24")) == 32870


@given(NAMES)
def test_links_get_numbers_that_nothing_else_uses(name: str) -> None:
    assert 1 <= identity.digest16(name) <= 0xFFFF
    assert 49152 <= identity.link_ofport(name) < 65152
    assert 0x10000 < identity.routing_table(identity.digest16(name)) < 0x20000


@given(st.integers(18, 29), st.data())
def test_containers_of_a_bridge_never_share_a_port_or_a_register(length: int, data: st.DataObject) -> None:
    network = IPv4Network((int(IPv4Address("10.128.0.0")), length))
    hosts = st.integers(1, network.num_addresses - 2)
    first, second = data.draw(hosts), data.draw(hosts)
    addresses = [IPv4Interface(f"{network.network_address + offset}/{length}") for offset in (first, second)]
    ports = {identity.container_ofport(address) for address in addresses}
    registers = {identity.container_register(address.ip) for address in addresses}
    assert len(ports) == len(registers) == len({first, second})
    assert all(32768 <= port < 49152 for port in ports)


@pytest.mark.parametrize("address", ["10.0.0.1", "1.0.0.1", "0.0.1.0"])
def test_no_container_has_the_mac_of_the_router(address: str) -> None:
    assert identity.container_mac(IPv4Address(address)) != identity.ROUTER_MAC
