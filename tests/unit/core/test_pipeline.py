# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of a bridge with a subnet, table by table, for both hosts of the design documents."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.compile import CompilerError, _check
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.flow import (
    DROP,
    Term,
    bare,
    field,
    flow,
    goto,
    output,
)
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.tables import (
    ARP_GUARD,
    ARP_REPLY,
    CLASSIFY,
    COMMIT,
    CT,
    L3,
    OUT,
    POLICY,
    SOCKET,
    SPOOF,
    STATE,
    STEER,
    TRANSIT,
)

from tests.unit.core.samples import bodies, compiled, one_bridge, two_bridges

HOST, MESH, WARP = "0x2f5a4", "0x29053", "0x25984"
TO_HOST = "set_field:0x2f5a4->reg1,set_field:02:01:0c:87:b2:60->eth_dst,goto_table:60"
TO_MESH = "set_field:0x29053->reg1,set_field:02:01:5a:7f:f1:ef->eth_dst,goto_table:60"
TO_WARP = "set_field:0x25984->reg1,set_field:02:01:e1:13:bd:43->eth_dst,goto_table:60"
CONTAINERS = "reg0=0x10000/0x30000"

OO1424OO = {
    CLASSIFY: [
        "1000,vlan_tci=0x1000/0x1000 drop",
        "900,ipv6 drop",
        '200,arp,in_port="ovs-host" set_field:0x2f5a4->reg0,goto_table:6',
        '200,arp,in_port="ovs-nm-privacy" set_field:0x29053->reg0,goto_table:6',
        '200,arp,in_port="ovs-warp0" set_field:0x25984->reg0,goto_table:6',
        '200,arp,in_port="veth100" set_field:0x10064->reg0,goto_table:5',
        '200,arp,in_port="veth102" set_field:0x10066->reg0,goto_table:5',
        '200,ip,in_port="ovs-host" set_field:0x2f5a4->reg0,goto_table:10',
        '200,ip,in_port="ovs-nm-privacy" set_field:0x29053->reg0,goto_table:10',
        '200,ip,in_port="ovs-warp0" set_field:0x25984->reg0,goto_table:10',
        '200,ip,in_port="veth100" set_field:0x10064->reg0,goto_table:10',
        '200,ip,in_port="veth102" set_field:0x10066->reg0,goto_table:10',
    ],
    ARP_GUARD: [
        "100,arp,reg0=0x10064,dl_src=02:00:0a:00:00:64,arp_spa=10.0.0.100,arp_sha=02:00:0a:00:00:64 goto_table:6",
        "100,arp,reg0=0x10066,dl_src=02:00:0a:00:00:66,arp_spa=10.0.0.102,arp_sha=02:00:0a:00:00:66 goto_table:6",
    ],
    SPOOF: [
        "100,ip,reg0=0x10064,dl_src=02:00:0a:00:00:64,nw_src=10.0.0.100 goto_table:20",
        "100,ip,reg0=0x10066,dl_src=02:00:0a:00:00:66,nw_src=10.0.0.102 goto_table:20",
        f"100,ip,reg0={WARP},nw_src=10.0.0.0/24 drop",
        f"100,ip,reg0={MESH},nw_src=10.0.0.0/24 drop",
        f"100,ip,reg0={HOST},nw_src=10.0.0.0/24 drop",
        f"90,ip,reg0={WARP},dl_src=02:01:e1:13:bd:43 goto_table:20",
        f"90,ip,reg0={MESH},dl_src=02:01:5a:7f:f1:ef goto_table:20",
        f"90,ip,reg0={HOST},dl_src=02:01:0c:87:b2:60 goto_table:20",
    ],
    CT: ["100,ip ct(table=21,zone=4242)"],
    STATE: [
        "200,ct_state=+inv+trk,ip drop",
        f"150,ct_state=-new+rpl+trk,ct_mark={WARP},ip {TO_WARP}",
        f"150,ct_state=-new+rpl+trk,ct_mark={MESH},ip {TO_MESH}",
        f"150,ct_state=-new+rpl+trk,ct_mark={HOST},ip {TO_HOST}",
        "100,ct_state=-new+trk,ip goto_table:50",
        "90,ct_state=+new+trk,ip goto_table:30",
    ],
    STEER: [],
    POLICY: [
        f"200,tcp,{CONTAINERS},nw_dst=10.0.0.102,tp_dst=443 goto_table:50",
        f"200,tcp,reg0={MESH},nw_dst=10.0.0.102,tp_dst=443 goto_table:50",
        f"200,tcp,reg0={MESH},nw_dst=10.0.0.102,tp_dst=8443 goto_table:50",
        "190,tcp,tcp_flags=-syn drop",
        "150,ip,nw_dst=10.0.0.0/24 drop",
        f"110,ip,{CONTAINERS},nw_dst=10.1.0.0/24 goto_table:50",
        f"110,ip,{CONTAINERS},nw_dst=10.100.0.0/16 goto_table:50",
        "100,ip,reg0=0x10064 goto_table:50",
        "100,ip,reg0=0x10066 goto_table:50",
    ],
    L3: [
        "232,ip,nw_dst=10.0.0.100 set_field:0x10064->reg1,set_field:02:00:0a:00:00:64->eth_dst,goto_table:60",
        "232,ip,nw_dst=10.0.0.102 set_field:0x10066->reg1,set_field:02:00:0a:00:00:66->eth_dst,goto_table:60",
        "224,ip,nw_dst=10.0.0.0/24 drop",
        "222,ip,nw_dst=0.0.0.0/8 drop",
        "222,ip,nw_dst=127.0.0.0/8 drop",
        "222,ip,nw_dst=169.254.0.0/16 drop",
        "222,ip,nw_dst=224.0.0.0/3 drop",
        f"124,ip,nw_dst=10.1.0.0/24 {TO_MESH}",
        f"116,ip,nw_dst=10.100.0.0/16 {TO_MESH}",
        f"100,ip,reg0=0x10064 {TO_WARP}",
        f"100,ip,reg0=0x10066 {TO_WARP}",
    ],
    COMMIT: [
        "100,ct_state=+new+trk,ip ct(commit,zone=4242,exec(move:NXM_NX_REG0[]->NXM_NX_CT_MARK[])),goto_table:70",
    ],
    OUT: [
        '100,ip,reg1=0x10064 set_field:02:00:00:00:00:01->eth_src,dec_ttl,output:"veth100"',
        '100,ip,reg1=0x10066 set_field:02:00:00:00:00:01->eth_src,dec_ttl,output:"veth102"',
        f'100,ip,reg1={WARP} set_field:02:00:00:00:00:01->eth_src,dec_ttl,output:"ovs-warp0"',
        f'100,ip,reg1={MESH} set_field:02:00:00:00:00:01->eth_src,dec_ttl,output:"ovs-nm-privacy"',
        f'100,ip,reg1={HOST} set_field:02:00:00:00:00:01->eth_src,dec_ttl,output:"ovs-host"',
    ],
}


@pytest.mark.parametrize("table", OO1424OO)
def test_table_of_oo1424oo(table: int) -> None:
    assert bodies(compiled(one_bridge(), "oo1424oo", "mesh").flows, table) == OO1424OO[table]


def test_arp_is_answered_for_the_subnet_and_never_to_the_owner() -> None:
    own, other, answer = bodies(compiled(one_bridge(), "oo1424oo", "mesh").flows, ARP_REPLY)
    assert own == "110,arp,reg0=0x10064,arp_tpa=10.0.0.100,arp_op=1 drop"
    assert other == "110,arp,reg0=0x10066,arp_tpa=10.0.0.102,arp_op=1 drop"
    match, actions = answer.split(" ")
    assert match == "100,arp,arp_tpa=10.0.0.0/24,arp_op=1"
    assert actions.count("02:00:00:00:00:01") == 2
    assert actions.endswith(",IN_PORT")


NM, GW = "0x2cb19", "0x2f5a4"
DROPLET_POLICY = [
    f"200,tcp,{CONTAINERS},nw_dst=10.1.0.200,tp_dst=9573 goto_table:50",
    f"200,tcp,{CONTAINERS},nw_dst=10.1.0.201,tp_dst=9574 goto_table:50",
    f"200,tcp,{CONTAINERS},nw_dst=10.1.0.202,tp_dst=443 goto_table:50",
    f"200,tcp,reg0={NM},nw_dst=10.1.0.201,tp_dst=9574 goto_table:50",
    f"200,tcp,reg0={NM},nw_dst=10.1.0.202,tp_dst=443 goto_table:50",
    f"200,tcp,reg0={GW},nw_dst=10.1.0.201,tp_dst=9574 goto_table:50",
    f"200,tcp,reg0={GW},nw_dst=10.1.0.202,tp_dst=443 goto_table:50",
    f"200,udp,reg0={GW},nw_dst=10.1.0.202,tp_dst=53 goto_table:50",
    "190,tcp,tcp_flags=-syn drop",
    "150,ip,nw_dst=10.1.0.0/24 drop",
    f"110,ip,{CONTAINERS},nw_dst=10.0.0.0/24 goto_table:50",
    f"110,ip,{CONTAINERS},nw_dst=10.100.0.0/16 goto_table:50",
]


def test_policy_of_the_droplet_opens_what_is_exposed_and_nothing_else() -> None:
    assert bodies(compiled(one_bridge(), "vps-gateway", "mesh").flows, POLICY) == DROPLET_POLICY


def test_containers_without_egress_have_no_default_route() -> None:
    routes = bodies(compiled(one_bridge(), "vps-gateway", "mesh").flows, L3)
    assert not [route for route in routes if route.startswith("100,")]
    assert [route.split(" ")[0] for route in routes[-2:]] == [
        "124,ip,nw_dst=10.0.0.0/24",
        "116,ip,nw_dst=10.100.0.0/16",
    ]


def origin_of(flows: Any, part: str) -> str:
    (found,) = [flow.origin for flow in flows if part in flow.text()]
    return str(found)


def test_origins_name_the_inventory_line() -> None:
    home = compiled(one_bridge(), "oo1424oo", "mesh").flows
    droplet = compiled(one_bridge(), "vps-gateway", "mesh").flows
    xray = "oo1424oo: lxc_service_containers[xray-client]"
    assert origin_of(home, f"reg0={MESH},nw_dst=10.0.0.102,tp_dst=443") == f"{xray}.services[xray-vless] from mesh"
    assert origin_of(home, f"{CONTAINERS},nw_dst=10.0.0.102,tp_dst=443") == f"{xray}.services[xray-vless] from local"
    assert origin_of(home, "table=50,priority=100,ip,reg0=0x10066") == f"{xray}.egress"
    assert origin_of(home, "table=50,priority=124") == (
        "vps-gateway: socket_bridge_bridges[mesh].subnet through oo1424oo: socket_bridge_uplinks[nm-privacy]"
    )
    assert origin_of(droplet, f"reg0={GW},nw_dst=10.1.0.202,tp_dst=443").endswith(
        "services[xray-vless] from host, internet"
    )
    assert origin_of(droplet, "tp_dst=53").endswith("services[dns] from internet")


BRIDGES = [
    (one_bridge, "oo1424oo", "mesh"),
    (one_bridge, "vps-gateway", "mesh"),
    (two_bridges, "oo1424oo", "mesh"),
    (two_bridges, "oo1424oo", "vmbr0"),
]


@pytest.mark.parametrize(("inventory", "host", "bridge"), BRIDGES)
def test_cookies_are_ours_and_lead_to_one_origin_each(inventory: Any, host: str, bridge: str) -> None:
    made = compiled(inventory(), host, bridge)
    assert len(made.origins) == len(made.flows)
    for flow_made in made.flows:
        assert flow_made.cookie >> 48 == 0x6F6F
        assert flow_made.cookie >> 32 & 0xFFFF == flow_made.table
        assert made.origins[f"{flow_made.cookie:#x}"] == flow_made.origin
        assert re.match(r"(oo1424oo|vps-gateway): (socket_bridge|lxc_service)_", flow_made.origin)


@pytest.mark.parametrize(("inventory", "host", "bridge"), BRIDGES)
def test_security_invariants(inventory: Any, host: str, bridge: str) -> None:
    made = compiled(inventory(), host, bridge)
    tables = TRANSIT if bridge == "mesh" and inventory is two_bridges else SOCKET
    assert {flow_made.table for flow_made in made.flows} == set(tables)
    for flow_made in made.flows:
        text = flow_made.text()
        assert not {"NORMAL", "learn"} & {action.name for action in flow_made.actions}
        assert ("in_port" in text) <= (flow_made.table == CLASSIFY)
        assert ("output:" in text) <= (flow_made.table == OUT)
        assert all(number > flow_made.table for number in flow_made.next_tables)
    for number, table in tables.items():
        (miss,) = [f for f in made.flows if f.table == number and f.priority == 0]
        assert miss.actions == (DROP if table.miss is None else (goto(table.miss),))
    assert [number for number, table in tables.items() if table.miss is not None] in ([], [STEER, COMMIT])


def test_cookie_stays_when_only_actions_change() -> None:
    ours = flow(CLASSIFY, 200, (bare("ip"), field("in_port", "veth102")), DROP, "a")
    other = flow(CLASSIFY, 200, (bare("ip"), field("in_port", "veth102")), (goto(SPOOF),), "b")
    moved = flow(CLASSIFY, 201, (bare("ip"), field("in_port", "veth102")), DROP, "a")
    assert ours.cookie == other.cookie != moved.cookie


def test_ports_are_written_as_names_or_numbers() -> None:
    rule = flow(CLASSIFY, 5, (bare("ip"), field("in_port", "veth102")), (output("ovs-warp0"),), "")
    assert rule.text().endswith(',ip,in_port="veth102",actions=output:"ovs-warp0"')
    assert rule.text({"veth102": 32870, "ovs-warp0": 60821}).endswith(",ip,in_port=32870,actions=output:60821")


@pytest.mark.parametrize(
    ("table", "match", "actions", "says"),
    [
        (SPOOF, (field("in_port", "veth102"),), DROP, "table spoof does not match in_port"),
        (SPOOF, (bare("ip"),), (goto(OUT),), "table spoof does not go on to 70"),
        (L3, (bare("ip"),), (output("veth102"),), "table l3 sends nothing out"),
        (CT, (bare("ip"),), (Term("ct", "(table=50)"),), "table ct does not go on to 50"),
    ],
)
def test_rule_outside_its_tables_declaration_is_a_compiler_error(
    table: int, match: tuple[Term, ...], actions: tuple[Term, ...], says: str
) -> None:
    with pytest.raises(CompilerError, match=says):
        _check((flow(table, 1, match, actions, ""),), SOCKET)


def test_same_match_twice_is_a_compiler_error() -> None:
    rules = flow(CT, 1, (bare("ip"),), DROP, "one"), flow(CT, 1, (bare("ip"),), DROP, "two")
    with pytest.raises(CompilerError, match=r"\(two\) has the cookie of .*\(one\)"):
        _check(rules, SOCKET)
