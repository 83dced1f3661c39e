# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two-bridge topology: a transit bridge with the mesh, a socket bridge with the containers."""

from __future__ import annotations

from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.tables import (
    ARP_REPLY,
    CLASSIFY,
    L3,
    OUT,
    POLICY,
    SPOOF,
    STATE,
)

from tests.unit.core.samples import bodies, compiled, one_bridge, two_bridges

MESH, TO_SOCKET, FROM_MESH = "0x29053", "0x2aff6", "0x26c32"
GATEWAY_MAC, TO_SOCKET_MAC, FROM_MESH_MAC = "02:01:5a:7f:f1:ef", "02:01:e0:dd:cf:17", "02:01:3e:77:2d:ba"
INWARD = f"set_field:{TO_SOCKET}->reg1,set_field:{FROM_MESH_MAC}->eth_dst,goto_table:70"
OUTWARD = f"set_field:{MESH}->reg1,set_field:{GATEWAY_MAC}->eth_dst,goto_table:70"

TRANSIT = {
    CLASSIFY: [
        "1000,vlan_tci=0x1000/0x1000 drop",
        "900,ipv6 drop",
        f'200,arp,in_port="ovs-nm-privacy" set_field:{MESH}->reg0,goto_table:6',
        f'200,arp,in_port="to-socket" set_field:{TO_SOCKET}->reg0,goto_table:6',
        f'200,ip,in_port="ovs-nm-privacy" set_field:{MESH}->reg0,goto_table:10',
        f'200,ip,in_port="to-socket" set_field:{TO_SOCKET}->reg0,goto_table:10',
    ],
    SPOOF: [
        f"100,ip,reg0={MESH},nw_src=10.0.0.0/24 drop",
        f"90,ip,reg0={MESH},dl_src={GATEWAY_MAC} goto_table:50",
        f"90,ip,reg0={TO_SOCKET},dl_src={FROM_MESH_MAC},nw_src=10.0.0.0/24 goto_table:50",
    ],
    L3: [
        f"224,ip,reg0={MESH},nw_dst=10.0.0.0/24 {INWARD}",
        "222,ip,nw_dst=0.0.0.0/8 drop",
        "222,ip,nw_dst=127.0.0.0/8 drop",
        "222,ip,nw_dst=169.254.0.0/16 drop",
        "222,ip,nw_dst=224.0.0.0/3 drop",
        f"124,ip,reg0={TO_SOCKET},nw_dst=10.1.0.0/24 {OUTWARD}",
        f"116,ip,reg0={TO_SOCKET},nw_dst=10.100.0.0/16 {OUTWARD}",
    ],
    OUT: [
        f'100,ip,reg1={MESH} set_field:02:00:00:00:00:01->eth_src,dec_ttl,output:"ovs-nm-privacy"',
        f'100,ip,reg1={TO_SOCKET} set_field:{TO_SOCKET_MAC}->eth_src,dec_ttl,output:"to-socket"',
    ],
}


def test_transit_bridge_passes_between_the_mesh_and_the_served_subnet_only() -> None:
    flows = compiled(two_bridges(), "oo1424oo", "mesh").flows
    assert {table: bodies(flows, table) for table in TRANSIT} == TRANSIT
    (answer,) = bodies(flows, ARP_REPLY)
    assert answer.startswith("100,arp,arp_tpa=10.0.0.0/24,arp_op=1 ")


def test_socket_bridge_takes_the_veth_pair_for_the_mesh() -> None:
    flows = compiled(two_bridges(), "oo1424oo", "vmbr0").flows
    to_mesh = f"set_field:{FROM_MESH}->reg1,set_field:{TO_SOCKET_MAC}->eth_dst,goto_table:60"
    assert f"90,ip,reg0={FROM_MESH},dl_src={TO_SOCKET_MAC} goto_table:20" in bodies(flows, SPOOF)
    assert f"100,ip,reg0={FROM_MESH},nw_src=10.0.0.0/24 drop" in bodies(flows, SPOOF)
    assert f"150,ct_state=-new+rpl+trk,ct_mark={FROM_MESH},ip {to_mesh}" in bodies(flows, STATE)
    assert f"200,tcp,reg0={FROM_MESH},nw_dst=10.0.0.102,tp_dst=8443 goto_table:50" in bodies(flows, POLICY)
    assert f"124,ip,nw_dst=10.1.0.0/24 {to_mesh}" in bodies(flows, L3)
    assert f"116,ip,nw_dst=10.100.0.0/16 {to_mesh}" in bodies(flows, L3)
    assert f'100,ip,reg1={FROM_MESH} set_field:{FROM_MESH_MAC}->eth_src,dec_ttl,output:"from-mesh"' in bodies(
        flows, OUT
    )


def test_exit_is_given_to_the_container_that_asks_for_it_only() -> None:
    flows = compiled(two_bridges(), "oo1424oo", "vmbr0").flows
    assert [line for line in bodies(flows, POLICY) if line.startswith("100,")] == ["100,ip,reg0=0x10066 goto_table:50"]
    assert [line.split(" ")[0] for line in bodies(flows, L3) if line.startswith("100,")] == ["100,ip,reg0=0x10066"]


def test_the_droplet_does_not_notice_which_topology_oo1424oo_has() -> None:
    both = [compiled(inventory(), "vps-gateway", "mesh").flows for inventory in (one_bridge, two_bridges)]
    assert [flow.text() for flow in both[0]] == [flow.text() for flow in both[1]]


def test_ports_of_both_bridges() -> None:
    assert compiled(two_bridges(), "oo1424oo", "mesh").ports == {"ovs-nm-privacy": 56902, "to-socket": 62198}
    ports = compiled(two_bridges(), "oo1424oo", "vmbr0").ports
    assert list(ports) == ["from-mesh", "ovs-host", "ovs-warp0", "veth100", "veth102"]
