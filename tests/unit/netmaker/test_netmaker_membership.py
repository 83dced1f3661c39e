# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans for memberships and egress, and what is refused because the server would take it and the mesh would suffer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._errors import SocketNetworkError
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker.membership import (
    Found,
    Selector,
    find_host,
)
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker.network import network_of

from tests.unit.netmaker.doubles import serving
from tests.unit.netmaker.memberships import (
    HOSTS,
    ITEM,
    NETWORK,
    NODE_ONE,
    NODE_TWO,
    ONE,
    TWO,
    mesh,
    one,
    planner,
    row,
    two,
)

LAN = [{"range": "10.0.0.9/24"}]
OTHER = {NODE_TWO["id"]: 256}
GONE = {"11111111-1111-4111-8111-111111111111": 256}


def refused(have: Found, **params: Any) -> tuple[object, str]:
    with pytest.raises(SocketNetworkError) as caught:
        planner(**params).plan(have)
    return caught.value.result()["error_code"], str(caught.value)


def test_membership_as_it_is_needs_nothing() -> None:
    want = {"address": "10.100.0.1", "gateway": False, "relay_via": "", "host": {"mtu": ONE["mtu"]}, "egress": LAN}
    plan = planner(**want).plan(mesh(row("1")))
    assert (plan.changed, plan.before, plan.after) == (False, "", "")


def test_order_of_the_steps() -> None:
    want = {
        "join": True,
        "host": {"listen_port": 51900, "dns": True},
        "address": "10.100.0.7",
        "relay_via": "two",
        "egress": LAN,
    }
    plan = planner(**want).plan(mesh(nodes=[two(is_gw=True)], dns="no"))
    assert plan.actions == [
        "set dns True, listen_port 51900 of host one",
        "join one to mesh",
        "set address of one in mesh to 10.100.0.7/16",
        "relay one through two",
        "add egress 10.0.0.0/24 of one",
    ]
    assert "address: 10.100.0.7\n" in plan.after
    assert "egress 10.0.0.0/24 (new): metric 256, nat off, enabled\n" in plan.after


def test_relay_changes_over_and_ends() -> None:
    third = {**two(), "id": "third-node", "hostid": "third"}
    have = mesh(nodes=[one(relayedby="third-node"), two(is_gw=True), third])
    assert planner(relay_via="two").plan(have).actions == [
        "relay one no longer through third",
        "relay one through two",
    ]
    assert planner(relay_via="").plan(have).actions == ["relay one no longer through third"]
    assert not planner().plan(have).changed
    for name in ("two", NODE_TWO["id"], TWO["id"]):
        assert not planner(relay_via=name).plan(mesh(nodes=[one(relayedby=NODE_TWO["id"]), two()])).changed


def test_node_that_is_about_to_go_is_none() -> None:
    assert planner(join=True).plan(mesh(nodes=[one(pendingdelete=True)])).actions == ["join one to mesh"]


@pytest.mark.parametrize(
    ("node", "who"),
    [
        (two(address="10.100.0.7/16"), "two"),
        (two(is_static=True, address="10.100.0.7/16", static_node={"clientid": "phone"}), "external client phone"),
    ],
)
def test_address_of_another_is_refused_by_name(node: dict[str, Any], who: str) -> None:
    for mine in (one(), one(address="10.100.0.7/16")):
        code, text = refused(mesh(nodes=[mine, node]), address="10.100.0.7")
        assert (code, who in text) == ("address_in_use", True)


def test_nobody_is_moved_for_an_ipv6_address() -> None:
    network = network_of({**NETWORK, "addressrange6": "fd00::/64"})
    nodes = (one(), two(address="10.100.0.7/16", address6="fd00::7/64"))
    have = replace(mesh(), network=network, nodes=nodes)
    want = {"address": "10.100.0.7", "address6": "fd00::7", "fixed_addresses": {"two": "10.100.0.2"}}
    code, text = refused(have, **want)
    assert (code, "fd00::7" in text) == ("address_in_use", True)


def test_who_stands_on_our_address_is_moved_where_it_belongs() -> None:
    have = mesh(nodes=[one(address="10.100.0.3/16"), two(address="10.100.0.1/16")])
    fixed = {"one": "10.100.0.1", "two": "10.100.0.2"}
    assert planner(address="10.100.0.1", fixed_addresses=fixed).plan(have).actions == [
        "move two from 10.100.0.1 to 10.100.0.2 in mesh",
        "set address of one in mesh to 10.100.0.1/16",
    ]


def test_who_stands_on_our_address_gets_out_of_the_way_when_its_own_is_taken() -> None:
    have = mesh(nodes=[one(address="10.100.0.2/16"), two(address="10.100.0.1/16")])
    fixed = {"one": "10.100.0.1", "two": "10.100.0.2", "three": "10.100.255.254"}
    actions = planner(address="10.100.0.1", fixed_addresses=fixed).plan(have).actions
    assert actions[0] == "move two from 10.100.0.1 to 10.100.255.253 in mesh"


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"address": "10.101.0.1"}, "out_of_range"),
        ({"address": "10.100.0.0"}, "out_of_range"),
        ({"address": "10.100.255.255"}, "out_of_range"),
        ({"address6": "fd00::1"}, "out_of_range"),
        ({"relay_via": "one"}, "invalid_value"),
        ({"relay_via": "two", "gateway": True}, "invalid_value"),
        ({"egress": [{"range": "10.100.7.0/24"}]}, "cidr_overlap"),
        ({"egress": [{"range": "10.0.0.0/8"}]}, "cidr_overlap"),
    ],
)
def test_what_cannot_work_is_refused(params: dict[str, Any], code: str) -> None:
    assert refused(mesh(), **params)[0] == code


@pytest.mark.parametrize(
    "params",
    [
        {"address": "ten"},
        {"address": "fd00::1"},
        {"host": {"listen_port": 0}},
        {"host": {"mtu": 100}},
        {"host": {"keepalive": 0}},
        {"host": {"endpoint_ip": ""}},
        {"host": {"endpoint_ip": "fd00::1"}},
        {"host": {"name": ""}},
        {"host": {"is_default": True, "static_port": False}},
        {"egress": [{"range": "10.0.0.0"}]},
        {"egress": [{"range": "10.0.0.0/24", "metric": 999}]},
        {"egress": [{"range": "10.0.0.0/24"}, {"range": "10.0.0.128/25"}]},
        {"egress": [{"domain": "nodots"}]},
    ],
)
def test_parameters_that_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(SocketNetworkError):
        planner(**params)


def test_hosts_are_named_in_three_ways() -> None:
    assert find_host(Selector(ONE["id"].upper(), None, None), HOSTS) == ONE
    assert find_host(Selector(None, "b64=", None), [ONE, {**TWO, "publickey": "b64="}]) == {**TWO, "publickey": "b64="}
    assert find_host(Selector(None, None, "two"), HOSTS) == TWO
    assert find_host(Selector(None, None, "three"), HOSTS) is None
    with pytest.raises(SocketNetworkError, match="2 hosts one") as caught:
        find_host(Selector(None, None, "one"), [ONE, {**ONE, "id": "again"}])
    assert caught.value.result()["error_code"] == "host_ambiguous"


# Egress


@pytest.mark.parametrize(
    ("found", "actions"),
    [
        ([], ["add egress 10.0.0.0/24 of one"]),
        ([row("1", nodes={})], ["update egress 10.0.0.0/24 of one: node"]),
        ([row("1", nodes=GONE)], ["update egress 10.0.0.0/24 of one: node"]),
        ([row("1", nodes={NODE_ONE["id"]: 100})], ["update egress 10.0.0.0/24 of one: metric 256"]),
        ([row("1", nat=True, status=False)], ["update egress 10.0.0.0/24 of one: nat off, enabled"]),
        ([row("1", mode="direct_nat", name="by hand", description="by hand")], []),
        ([row("1"), row("2", range="172.16.0.0/12")], []),
        ([row("1", nodes={NODE_ONE["id"]: 256, **OTHER})], []),
    ],
)
def test_rows(found: list[dict[str, Any]], actions: list[str]) -> None:
    assert planner(egress=LAN).plan(mesh(*found)).actions == actions


def test_of_duplicates_the_best_stays_and_then_the_oldest() -> None:
    rows = [row("3", nat=True), row("2"), row("1", nodes={}), row("4")]
    assert planner(egress=LAN).plan(mesh(*rows)).actions == [
        "delete egress 10.0.0.0/24 (duplicate, 4)",
        "delete egress 10.0.0.0/24 (duplicate, 3)",
        "delete egress 10.0.0.0/24 (duplicate, 1)",
    ]


@pytest.mark.parametrize(
    "found",
    [
        row("1", nodes=OTHER),
        row("1", nodes=OTHER, range="10.0.0.0/16"),
        row("1", nodes=OTHER, range="10.0.0.128/25", status=False),
        row("1", range="10.0.0.0/16"),
        row("1", nodes={}, tags={"mesh.servers": 256}),
    ],
)
def test_range_of_another_row_is_refused(found: dict[str, Any]) -> None:
    code, text = refused(mesh(found), egress=LAN)
    assert (code, "row 1" in text) == ("cidr_overlap", True)


@pytest.mark.parametrize("found", [row("1", nodes=GONE, range="10.0.0.0/16"), row("1", range="*")])
def test_rows_that_lead_nowhere_are_in_nobodys_way(found: dict[str, Any]) -> None:
    assert planner(egress=LAN).plan(mesh(found)).actions == ["add egress 10.0.0.0/24 of one"]


def test_purge_takes_only_rows_of_this_node_alone() -> None:
    rows = [
        row("1", range="10.0.0.0/16"),
        row("2", range="172.16.0.0/24", nodes=OTHER),
        row("3", range="172.16.1.0/24", nodes={NODE_ONE["id"]: 256, **OTHER}),
        row("4", range="172.16.2.0/24", nodes={**GONE, NODE_ONE["id"]: 256}),
        row("5", range="*"),
    ]
    assert planner(egress=LAN, egress_purge=True).plan(mesh(*rows)).actions == [
        "delete egress 10.0.0.0/16 (not wanted, 1)",
        "delete egress 172.16.2.0/24 (not wanted, 4)",
        "add egress 10.0.0.0/24 of one",
    ]
    assert not planner(egress_purge=True).plan(mesh(*rows)).changed, "egress that is left out stays untouched"
    assert len(planner(egress=[], egress_purge=True).plan(mesh(*rows)).actions) == 2


def test_domains_are_rows_too() -> None:
    found = row("1", range="", domain="www.example.org")
    assert not planner(egress=[{"domain": "WWW.example.org"}]).plan(mesh(found)).changed


def test_leaving_takes_everything_of_the_host() -> None:
    rows = [row("1"), row("2", nodes=OTHER), row("3", nodes={}), row("4", nodes={}, range="172.16.0.0/24")]
    have = mesh(*rows, nodes=[one(is_gw=True), two()])
    assert planner(purge_host=True, egress=LAN).plan_absent(have).actions == [
        "delete egress 10.0.0.0/24 (1)",
        "delete egress 10.0.0.0/24 (3)",
        "make one no gateway of mesh",
        "take one out of mesh",
        "delete host one",
    ]


def test_leaving_keeps_a_host_that_is_elsewhere_too() -> None:
    have = replace(mesh(), host={**ONE, "nodes": [NODE_ONE["id"], "elsewhere"]})
    assert planner(purge_host=True).plan_absent(have).actions == ["take one out of mesh"]


# Whole objects go back


def put(have: Found, **params: Any) -> list[tuple[str, dict[str, Any]]]:
    """(path, body) of every write of the plan."""
    with serving((200, {})) as server:
        planner(server.url, lambda: have, **params).plan(have).apply()
    return [(path, body) for _method, path, _headers, body in server.seen]


def test_host_is_put_back_whole() -> None:
    host = {"mtu": 1400, "dns": False, "static_port": True, "endpoint_ip": "192.0.2.1"}
    ((path, body),) = put(mesh(dns="yes", mtu=1420, isstaticport=False), host=host)
    assert path == f"/api/hosts/{ONE['id']}"
    changed = {"mtu": 1400, "dns": "no", "isstaticport": True, "endpointip": "192.0.2.1"}
    assert body == {**ONE, "dns": "yes", "mtu": 1420, "isstaticport": False} | changed


def test_node_is_put_back_whole() -> None:
    ((path, body),) = put(mesh(), address="10.100.0.7")
    assert path == f"/api/nodes/mesh/{NODE_ONE['id']}"
    assert body == one(address="10.100.0.7/16")
    ((_path, body),) = put(mesh(), state="disconnected")
    assert body == one(connected=False)


def test_row_is_put_back_whole_without_nodes_that_are_gone() -> None:
    found = row("1", nodes={**GONE, **OTHER, NODE_ONE["id"]: 100}, name="by hand")
    ((path, body),) = put(mesh(found), egress=[{**ITEM, "range": "10.0.0.0/24", "nat": True}])
    assert path == "/api/v1/egress"
    assert body == {**found, "nodes": {**OTHER, NODE_ONE["id"]: 256}, "nat": True}
