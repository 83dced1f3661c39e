# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract's second half: hosts, nodes, gateways and egress rows."""

from __future__ import annotations

from typing import Any

import pytest

from lab.base import wait_for
from tests.integration.netmaker.contract import NOWHERE, Members, is_plain, is_problem
from tests.integration.netmaker.servers import Netmaker, new_host

# ---------------------------------------------------------------- hosts


def test_a_host_put_is_plain_text_and_resets_what_it_leaves_out(members: Members) -> None:
    key = members.one["hostid"]
    path = f"/api/hosts/{key}"
    host = members.netmaker.host(key)
    assert host is not None
    full = {**host, "isstatic": True, "autoupdate": True, "mtu": 1400, "listenport": 51900, "name": "new", "dns": "yes"}
    changed = members.netmaker.call("PUT", path, {**full, "endpointip": "192.0.2.77", "persistentkeepalive": 25})
    assert is_plain(changed)
    assert members.netmaker.host(key) == changed.body
    assert changed.body["endpointip"] == "192.0.2.77"
    assert (changed.body["isstatic"], changed.body["autoupdate"]) == (True, True)

    reset = members.netmaker.call("PUT", path, {"id": key}).body
    assert {field: reset[field] for field in ("isstatic", "isstaticport", "autoupdate", "isdefault")} == dict.fromkeys(
        ("isstatic", "isstaticport", "autoupdate", "isdefault"), False
    )
    kept = ("mtu", "listenport", "name", "endpointip", "persistentkeepalive", "dns")
    assert [reset[field] for field in kept] == [changed.body[field] for field in kept]


def test_a_host_put_names_the_host_in_its_body(members: Members) -> None:
    host = members.netmaker.host(members.one["hostid"])
    assert host is not None
    assert members.netmaker.call("PUT", f"/api/hosts/{NOWHERE}", {**host, "name": "named"}).body["name"] == "named"
    assert is_problem(members.netmaker.call("PUT", f"/api/hosts/{host['id']}", {**host, "id": NOWHERE}), 500)
    assert is_problem(members.netmaker.call("PUT", f"/api/hosts/{host['id']}", {**host, "id": "x"}), 400)
    assert is_problem(members.netmaker.call("PUT", f"/api/hosts/{host['id']}", raw="["), 500)


def test_what_a_host_put_cannot_change(members: Members) -> None:
    host = members.netmaker.host(members.one["hostid"])
    assert host is not None
    wish = {"os": "plan9", "version": "v9.9.9", "defaultinterface": "eth9", "macaddress": "02:00:00:00:00:09"}
    assert members.netmaker.call("PUT", "/api/hosts/x", {**host, **wish}).status == 200
    after = members.netmaker.host(host["id"])
    assert after is not None
    assert {field: after[field] for field in wish} == {field: host[field] for field in wish}


def test_names_of_hosts_are_not_unique(netmaker: Netmaker) -> None:
    network = netmaker.network()["netid"]
    nodes = [netmaker.join(network, name="twin") for _turn in range(2)]
    assert nodes[0]["address"] != nodes[1]["address"]
    twins = [netmaker.host(node["hostid"]) for node in nodes]
    assert [twin and twin["name"] for twin in twins] == ["twin", "twin"]


def test_a_port_that_a_sibling_uses_is_changed_unless_it_is_static(netmaker: Netmaker) -> None:
    network = netmaker.network()["netid"]

    def port(*, static: bool) -> int:
        node = netmaker.join(network, endpointip="192.0.2.99", listenport=51871, isstaticport=static)
        host = netmaker.host(node["hostid"])
        assert host is not None
        return int(host["listenport"])

    assert port(static=True) == 51871
    assert port(static=True) == 51871
    assert port(static=False) != 51871


def test_pages_of_hosts_have_an_envelope_and_small_keys(members: Members) -> None:
    answer = members.netmaker.call("GET", "/api/v1/hosts?per_page=1")
    page = answer.body["Response"]
    assert {"data", "page", "per_page", "total", "total_pages"} == set(page)
    assert len(page["data"]) == 1
    assert page["total_pages"] == page["total"] >= 2
    found = members.netmaker.call("GET", f"/api/v1/hosts?q={members.one['hostid']}").body["Response"]
    assert [host["id"] for host in found["data"]] == [members.one["hostid"]]


def test_joining_and_leaving_on_the_server_say_nothing(netmaker: Netmaker) -> None:
    first, second = (netmaker.network()["netid"] for _turn in range(2))
    host = netmaker.join(first)["hostid"]
    path = f"/api/hosts/{host}/networks/"
    joined = netmaker.call("POST", path + second)
    assert (joined.status, joined.text) == (200, "")
    assert netmaker.node_of(second, host)
    assert is_problem(netmaker.call("POST", path + second), 500)
    assert is_problem(netmaker.call("POST", path + "nowhere"), 500)
    assert is_problem(netmaker.call("POST", f"/api/hosts/{NOWHERE}/networks/{first}"), 500)

    left = netmaker.call("DELETE", path + second + "?force=true")
    assert (left.status, left.text) == (200, "")
    assert netmaker.nodes(second) == []
    assert is_problem(netmaker.call("DELETE", path + second + "?force=true"), 400)
    assert is_problem(netmaker.call("DELETE", path + second), 500)


def test_a_host_record_outlives_its_nodes(members: Members) -> None:
    call, key = members.netmaker.call, members.one["hostid"]
    path = f"/api/v1/ui/hosts/{key}"
    assert is_problem(call("DELETE", path), 500)
    assert call("DELETE", f"/api/hosts/{key}/networks/{members.network}?force=true").status == 200
    host = members.netmaker.host(key)
    assert host is not None
    assert host["nodes"] == []
    assert call("DELETE", path).body["Response"]["id"] == key
    assert is_problem(call("DELETE", path), 500)
    assert is_problem(call("DELETE", "/api/v1/ui/hosts/x"), 400)


def test_pending_hosts_need_a_network(netmaker: Netmaker) -> None:
    assert is_problem(netmaker.call("GET", "/api/v1/pending_hosts"), 400)
    assert netmaker.call("GET", "/api/v1/pending_hosts?network=nowhere").body["Response"] == []


# ---------------------------------------------------------------- nodes


def test_nodes_of_no_network_are_none(netmaker: Netmaker) -> None:
    assert netmaker.nodes("nowhere") == []


def test_an_address_is_checked_against_the_range_and_nothing_else(members: Members) -> None:
    taken = members.two["address"]
    assert members.put(members.one, address=taken).body["address"] == taken
    assert [node["address"] for node in members.netmaker.nodes(members.network)] == [taken, taken]
    for last in ("77/16", "77/32", "0/16"):
        assert members.put(members.one, address=members.address(last)).status == 200
    for wrong in ("10.255.0.1/16", members.address("77"), ""):
        assert is_problem(members.put(members.one, address=wrong), 500)


def test_an_address_that_was_given_twice_is_given_away_again(members: Members) -> None:
    """So a shared address spreads even after it was mended."""
    assert members.put(members.one, address=members.two["address"]).status == 200
    assert members.put(members.one, address=members.address("77/16")).status == 200
    addresses = {members.netmaker.join(members.network)["address"] for _turn in range(2)}
    assert members.two["address"] in addresses


def test_a_node_put_resets_what_it_leaves_out(members: Members) -> None:
    bare = {field: members.one[field] for field in ("id", "hostid", "network", "address", "networkrange")}
    answer = members.netmaker.call("PUT", members.path(members.one), bare)
    assert (answer.body["connected"], answer.body["expdatetime"]) == (False, 0)
    assert answer.body["server"] == members.one["server"]
    assert members.now(members.one)["status"] == "disconnected"
    mended = members.put(members.one)
    assert (mended.body["connected"], mended.body["expdatetime"]) == (True, members.one["expdatetime"])
    assert is_problem(members.put(members.one, hostid=""), 500)


def test_nodes_that_are_not_there(members: Members) -> None:
    call = members.netmaker.call
    stranger = {**members.one, "id": NOWHERE}
    assert is_problem(call("PUT", members.path(stranger), members.one), 400)
    assert is_problem(call("DELETE", members.path(stranger)), 400)
    assert is_problem(call("PUT", f"/api/nodes/nowhere/{members.one['id']}", members.one), 400)
    assert is_problem(call("GET", "/api/v1/nodes/nowhere/status"), 400)


def test_a_node_is_deleted_with_force_only(members: Members) -> None:
    call = members.netmaker.call
    assert call("DELETE", members.path(members.one)).status == 200
    assert members.now(members.one)["pendingdelete"] is True
    assert call("DELETE", members.path(members.one) + "?force=true").status == 200
    assert [node["id"] for node in members.netmaker.nodes(members.network)] == [members.two["id"]]


def test_the_old_egress_route_says_yes_and_does_nothing(members: Members) -> None:
    path = members.path(members.one, "/creategateway")
    answer = members.netmaker.call("POST", path, {"ranges": ["192.168.9.0/24"], "natenabled": "no"})
    assert answer.status == 200
    assert members.now(members.one)["isegressgateway"] is False
    assert members.now(members.one)["egressgatewayranges"] is None
    assert members.netmaker.egress(members.network) == []
    assert is_problem(members.netmaker.call("POST", path, {"ranges": [members.one["networkrange"]]}), 400)


def test_a_rejoin_gives_a_new_node(members: Members) -> None:
    host = members.netmaker.join(members.network)["hostid"]
    before = members.netmaker.node_of(members.network, host)
    path = f"/api/hosts/{host}/networks/{members.network}"
    assert members.netmaker.call("DELETE", path + "?force=true").status == 200
    assert members.netmaker.call("POST", path).status == 200
    after = members.netmaker.node_of(members.network, host)
    assert before is not None
    assert after is not None
    assert after["id"] != before["id"]


# ---------------------------------------------------------------- gateways


def test_a_gateway_needs_a_body_and_relays_nodes(members: Members) -> None:
    call, gateway, node = members.netmaker.call, members.one, members.two
    assign = members.path(node, f"/gateway/assign?gw_id={gateway['id']}")
    assert is_problem(call("POST", members.path(gateway, "/gateway")), 400)
    assert is_problem(call("POST", assign), 400)

    made = call("POST", members.path(gateway, "/gateway"), {})
    assert [made.body[field] for field in ("is_gw", "isrelay", "isingressgateway")] == [True, True, True]
    assert is_problem(call("POST", members.path(gateway, "/gateway"), {}), 500)
    assert call("POST", assign).body["Response"]["relayedby"] == gateway["id"]
    assert is_problem(call("POST", assign), 400)
    assert members.now(gateway)["relaynodes"] == [node["id"]]
    assert is_problem(call("POST", members.path(node, "/gateway"), {}), 500)

    relayed = members.now(node)
    assert members.netmaker.call("PUT", members.path(node), relayed).body["isrelayed"] is True
    assert members.put(node).body["relayedby"] == ""


def test_an_assignment_is_taken_back_and_a_gateway_unmade(members: Members) -> None:
    call, gateway, node = members.netmaker.call, members.one, members.two
    assign = members.path(node, f"/gateway/assign?gw_id={gateway['id']}")
    assert call("POST", members.path(gateway, "/gateway"), {}).status == 200
    assert call("POST", assign).status == 200
    unassign = members.path(node, "/gateway/unassign")
    assert call("POST", unassign).body["Response"]["isrelayed"] is False
    assert is_problem(call("POST", unassign), 400)

    assert call("POST", assign).status == 200
    for _twice in range(2):
        assert call("DELETE", members.path(gateway, "/gateway")).body["is_gw"] is False
    assert members.now(node)["isrelayed"] is False
    assert is_problem(call("POST", assign), 400)


def test_a_gateway_pins_its_hosts_port(netmaker: Netmaker) -> None:
    network = netmaker.network()["netid"]
    node = netmaker.join(network, isstaticport=False)
    assert netmaker.call("POST", f"/api/nodes/{network}/{node['id']}/gateway", {}).status == 200
    host = netmaker.host(node["hostid"])
    assert host is not None
    assert host["isstaticport"] is True


def test_a_key_with_a_relay_relays_who_joins_by_it(members: Members) -> None:
    gateway = members.one
    assert members.netmaker.call("POST", members.path(gateway, "/gateway"), {}).status == 200
    key = members.netmaker.key(members.network, unlimited=True, relay=gateway["id"])
    host = new_host()
    assert members.netmaker.register(key["token"], host).status == 200

    def relayed() -> bool:
        node = members.netmaker.node_of(members.network, host["id"])
        return bool(node and node["relayedby"] == gateway["id"])

    wait_for("the new node to be relayed", relayed)


# ---------------------------------------------------------------- egress


def test_egress_rows_are_never_unique_and_never_compared(members: Members) -> None:
    rows = [members.egress().body["Response"] for _turn in range(2)]
    assert rows[0]["range"] == "192.168.7.0/24"
    assert rows[0]["id"] != rows[1]["id"]
    assert members.egress(range=members.one["networkrange"]).status == 200
    assert len(members.netmaker.egress(members.network)) == 3


@pytest.mark.parametrize(
    "fields",
    [
        {"nodes": {NOWHERE: 1}},
        {"nodes": {NOWHERE: "1"}},
        {"network": "nowhere"},
        {"range": "192.168.7.0"},
        {"domain": "no domain"},
    ],
    ids=str,
)
def test_egress_rows_that_are_refused(members: Members, fields: dict[str, Any]) -> None:
    assert is_problem(members.egress(**fields), 400)


def test_an_egress_row_has_one_node_at_most(members: Members) -> None:
    both = {members.one["id"]: 1, members.two["id"]: 2}
    assert is_problem(members.egress(nodes=both), 400)
    assert members.egress(nodes={}).status == 200
    assert members.egress(is_internet_gateway=True).body["Response"]["range"] == "*"
    assert members.egress(domain="www.example.org").body["Response"]["range"] == ""


def test_an_egress_put_without_a_status_switches_the_row_off(members: Members) -> None:
    call = members.netmaker.call
    row = members.egress(name="first", nat=True, description="words").body["Response"]
    assert (row["status"], row["mode"]) == (True, "direct_nat")
    short = {"id": row["id"], "network": members.network, "range": "192.168.8.0/24"}
    off = call("PUT", "/api/v1/egress", short).body["Response"]
    fields = ("status", "name", "description", "nat", "nodes", "range", "mode")
    assert [off[field] for field in fields] == [False, "", "", False, {}, "192.168.8.0/24", ""]
    assert call("PUT", "/api/v1/egress", row).body["Response"]["status"] is True
    assert is_problem(call("PUT", "/api/v1/egress", {**row, "id": "x"}), 400)
    assert is_problem(call("PUT", "/api/v1/egress", {**row, "network": "nowhere"}), 400)


def test_a_row_without_nat_comes_back_with_a_mode_of_nat(members: Members) -> None:
    assert members.egress(nat=False).body["Response"]["mode"] == "direct_nat"


def test_an_egress_row_outlives_its_node(members: Members) -> None:
    row = members.egress().body["Response"]
    host = members.one["hostid"]
    assert members.netmaker.call("DELETE", f"/api/hosts/{host}/networks/{members.network}?force=true").status == 200

    def nodes() -> list[object]:
        return [item["nodes"] for item in members.netmaker.egress(members.network) if item["id"] == row["id"]]

    wait_for("the row to lose its node", lambda: nodes() == [{}])


def test_egress_rows_that_are_not_there(netmaker: Netmaker) -> None:
    assert is_problem(netmaker.call("DELETE", "/api/v1/egress?id=x"), 400)
    assert is_problem(netmaker.call("DELETE", "/api/v1/egress"), 400)
    assert is_problem(netmaker.call("GET", "/api/v1/egress"), 400)
    assert netmaker.egress("nowhere") == []


# ---------------------------------------------------------------- what a host is told


def test_a_host_may_do_things_to_itself_only(members: Members) -> None:
    call = members.netmaker.call
    log_in = {"id": members.one["hostid"], "password": "test-host-password", "macaddress": "x"}
    token = call("POST", "/api/hosts/adm/authenticate", log_in, token=None).body["Response"]["AuthToken"]
    pulled = call("GET", "/api/v1/host", token=token).body
    assert [node["id"] for node in pulled["nodes"]] == [members.one["id"]]
    assert set(pulled["nodes"][0]["address"]) == {"IP", "Mask"}
    assert is_problem(call("GET", members.path(members.two), token=token), 403)
    assert is_problem(call("GET", "/api/networks", token=token), 401)
    assert call("DELETE", members.path(members.one), token=token).status == 200
    wrong = {**log_in, "password": "wrong"}
    assert is_problem(call("POST", "/api/hosts/adm/authenticate", wrong, token=None), 401)
    assert is_problem(call("POST", "/api/hosts/adm/authenticate", {**log_in, "id": NOWHERE}, token=None), 400)


def test_a_relayed_node_reaches_the_range_behind_another_through_the_gateway(netmaker: Netmaker) -> None:
    network = netmaker.network()["netid"]
    gateway = netmaker.join(network, endpointip="192.0.2.10", isstatic=True)
    one, two = netmaker.join(network), netmaker.join(network)
    path = f"/api/nodes/{network}"
    assert netmaker.call("POST", f"{path}/{gateway['id']}/gateway", {}).status == 200
    for node in (one, two):
        answer = netmaker.call("POST", f"{path}/{node['id']}/gateway/assign?gw_id={gateway['id']}")
        assert answer.status == 200
    row = {"name": "lan", "network": network, "nodes": {two["id"]: 256}, "range": "192.168.7.0/24"}
    assert netmaker.call("POST", "/api/v1/egress", row).status == 200
    log_in = {"id": one["hostid"], "password": "test-host-password", "macaddress": "x"}
    token = netmaker.call("POST", "/api/hosts/adm/authenticate", log_in, token=None).body["Response"]["AuthToken"]

    def allowed() -> set[str]:
        peers = [peer for peer in netmaker.call("GET", "/api/v1/host", token=token).body["peers"] if not peer["Remove"]]
        return {network["IP"] for peer in peers for network in peer["AllowedIPs"] or []} if len(peers) == 1 else set()

    wanted = {gateway["address"].partition("/")[0], two["address"].partition("/")[0], "192.168.7.0"}
    wait_for("the gateway to stand for all", lambda: wanted <= allowed())
