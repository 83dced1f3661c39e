# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters: rows that say all, a table that fits a terminal, differences down to the port, and what is refused."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.op_dbus.socket_network.plugins.filter.reachability import reachability
from ansible_collections.op_dbus.socket_network.plugins.filter.reachability_diff import reachability_diff
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core import matrix
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.inventory import fleet_from_inventory
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.matrix_text import sources_text, table

from tests.lib.fleets import FLEETS
from tests.unit.matrix.fleets import container, service, three_hosts, written

GATEWAY, CLIENT, SERVER = "oo1424oo/gateway", "oo1424oo/xray-client", "vps-gateway/xray-server"


@pytest.fixture
def inventory() -> dict[str, Any]:
    return copy.deepcopy(FLEETS["production-example"])


@pytest.fixture
def told(inventory: dict[str, Any]) -> dict[str, Any]:
    return reachability(inventory)


def rows(told: dict[str, Any], source: str, destination: str) -> list[dict[str, Any]]:
    return [row for row in told["rows"] if (row["source"], row["destination"]) == (source, destination)]


def test_a_row_over_the_mesh_tells_the_whole_path(told: dict[str, Any]) -> None:
    (row,) = rows(told, "vps-gateway/mcp-server", CLIENT)
    assert row == {
        "source": "vps-gateway/mcp-server",
        "destination": CLIENT,
        "protocol": "tcp",
        "ports": ["443"],
        "addresses": ["10.0.0.102"],
        "published": 0,
        "path": ["vps-gateway/mesh", "oo1424oo/mesh"],
        "origins": [
            "oo1424oo: socket_bridge_bridges[mesh].subnet through vps-gateway: socket_bridge_uplinks[nm-server]",
            "oo1424oo: lxc_service_containers[xray-client].services[xray-vless] from mesh",
        ],
        "origin": "oo1424oo: lxc_service_containers[xray-client].services[xray-vless] from mesh",
    }


def test_the_internet_is_reached_through_the_exit_by_every_protocol(told: dict[str, Any]) -> None:
    (row,) = rows(told, GATEWAY, "internet via oo1424oo/warp0")
    assert (row["protocol"], row["ports"]) == ("any", [])
    assert row["addresses"][0] == "1.0.0.0-9.255.255.255"
    assert not rows(told, "vps-gateway/mcp-server", "internet via oo1424oo/warp0")


def test_published_ports_come_from_the_internet(told: dict[str, Any]) -> None:
    found = [(row["destination"], row["published"]) for row in told["rows"] if row["source"] == "internet"]
    assert found == [(SERVER, 443), (SERVER, 8443)]


def test_what_is_let_out_in_vain_is_told_with_its_end(told: dict[str, Any]) -> None:
    assert {
        "sources": [GATEWAY, CLIENT],
        "destination": SERVER,
        "bridge": "vps-gateway/mesh",
        "origin": "vps-gateway: socket_bridge_bridges[mesh].subnet (isolation)",
    } in told["stopped"]


def test_the_table_groups_sources_and_fits_a_terminal(told: dict[str, Any]) -> None:
    lines = told["table"]
    start = lines.index(CLIENT)
    assert lines[start + 1] == "  tcp/443  from oo1424oo/gateway"
    assert "  tcp/443  from vps-gateway/*, mesh privacy-mesh" in lines[start:]
    assert "           to all addresses but 10.0.0.0/24, 10.1.0.0/24, 10.100.0.0/16" in lines
    assert "           by oo1424oo: lxc_service_containers[*].egress" in lines
    assert lines[lines.index("Nobody opens connections to:") + 1] == f"  {GATEWAY}"
    assert max(map(len, lines)) <= 80


def test_another_public_port_is_shown() -> None:
    lines = reachability(three_hosts())["table"]
    assert "  tcp/80 (public port 8080) from internet" in lines


def test_a_hosts_name_stands_for_its_containers_only_when_all_are_meant() -> None:
    containers = ["a/1", "a/2", "a/3", "b/1", "b/2", "c/1"]
    assert sources_text(["a/1", "a/2"], containers) == "a/1, a/2"
    assert sources_text(["a/1", "a/2", "a/3", "host a"], containers) == "a/*, host a"
    assert sources_text(["a/1", "a/2"], containers, "a/3") == "a/*"
    assert sources_text(["c/1", "b/1", "b/2"], containers) == "b/*, c/1"
    assert sources_text([*containers[:5]], containers, "c/1") == "every container"


def test_what_was_not_looked_at_stands_below() -> None:
    assert list(table([], [], [], ["a", "b"])) == ["Not looked at:", "  a", "  b"]
    learning = "\npriority=1,ip,actions=learn(table=1,priority=2)\n"
    inventory = written()
    inventory["oo1424oo"]["socket_bridge_literal_flows"]["mesh"] += learning
    told = reachability(inventory)
    assert told["notes"] == ["oo1424oo/mesh: rules that learn() adds to table 1"]
    assert any(row["destination"] == "any port of vps-gateway/mesh" for row in told["rows"])


def test_the_same_fleet_differs_in_nothing_also_when_it_was_saved(told: dict[str, Any]) -> None:
    again = json.loads(json.dumps(told))
    assert reachability_diff(again, told) == {
        "opens": [],
        "closes": [],
        "report": ["This change opens and closes nothing."],
    }


def test_a_range_and_a_neighbour_port_are_told_exactly(inventory: dict[str, Any], told: dict[str, Any]) -> None:
    services = inventory["oo1424oo"]["lxc_service_containers"][1]["services"]
    services[0] = service("xray-vless", "tcp", 444, "mesh")
    changes = reachability_diff(told, reachability(inventory))
    assert {(row["source"], row["protocol"], *row["ports"]) for row in changes["opens"]} == {
        ("mesh privacy-mesh", "tcp", "444"),
        ("vps-gateway/mcp-server", "tcp", "444"),
        ("vps-gateway/op-dbus-api", "tcp", "444"),
        (SERVER, "tcp", "444"),
    }
    assert {row["source"] for row in changes["closes"]} == {row["source"] for row in changes["opens"]} | {GATEWAY}
    origin = "oo1424oo: lxc_service_containers[xray-client].services[xray-vless] from mesh"
    assert [row["deciding"] for row in changes["opens"]] == [[origin]] * 4
    assert changes["report"][:3] == [
        "This change opens:",
        f"  {CLIENT}",
        "    tcp/444  from vps-gateway/*, mesh privacy-mesh",
    ]


def test_only_the_line_that_opens_something_is_named(inventory: dict[str, Any], told: dict[str, Any]) -> None:
    inventory["oo1424oo"]["lxc_service_containers"][1]["services"].append(service("more", "tcp", 8080, "mesh"))
    (row,) = rows({"rows": reachability_diff(told, reachability(inventory))["opens"]}, SERVER, CLIENT)
    assert row["deciding"] == ["oo1424oo: lxc_service_containers[xray-client].services[more] from mesh"]
    assert row["ports"] == ["8080"]


def test_a_new_host_takes_its_subnet_out_of_the_internet(inventory: dict[str, Any], told: dict[str, Any]) -> None:
    uplink = {**inventory["vps-gateway"]["socket_bridge_uplinks"][0], "address": "10.100.0.9/16", "relay": False}
    uplink |= {"endpoint": "203.0.113.9:51821", "public_key": "C" * 43 + "="}
    inventory["new"] = {
        "socket_bridge_bridges": [{"name": "mesh", "subnet": "10.9.0.0/24"}],
        "socket_bridge_uplinks": [uplink],
        "lxc_service_containers": [container(10, "10.9.0")],
    }
    changes = reachability_diff(told, reachability(inventory))
    closed = [row for row in changes["closes"] if row["destination"].startswith("internet via")]
    assert {(row["source"], row["protocol"], *row["addresses"]) for row in closed} == {
        (source, "any", "10.9.0.0/24") for source in (GATEWAY, CLIENT)
    }
    assert rows({"rows": changes["opens"]}, "new/c10", CLIENT)[0]["ports"] == ["443"]


@pytest.mark.parametrize("given", [{}, [], "text", None])
def test_what_is_no_fleet_is_refused(given: Any) -> None:
    with pytest.raises(AnsibleFilterError, match="expected the result of fleet_inventory"):
        reachability(given)


def test_what_is_no_matrix_is_refused(told: dict[str, Any]) -> None:
    with pytest.raises(AnsibleFilterError, match="expected two results of the filter reachability"):
        reachability_diff({"rows": []}, told)
    spoilt = {**told, "rows": [{**told["rows"][0], "addresses": ["10.0.0.300"]}]}
    with pytest.raises(AnsibleFilterError, match=r"is no row of a reachability matrix. Fix: save the matrix anew"):
        reachability_diff(spoilt, told)
    strange = {**told, "rows": [{**told["rows"][0], "protocol": "tpc"}]}
    with pytest.raises(AnsibleFilterError, match="is no row"):
        reachability_diff(strange, told)


def test_faults_of_the_inventory_are_told(inventory: dict[str, Any]) -> None:
    inventory["oo1424oo"]["lxc_service_containers"][0]["egress"] = "warp9"
    with pytest.raises(AnsibleFilterError, match=r"op_dbus.socket_network.reachability: The inventory has 1 fault"):
        reachability(inventory)


def test_rules_that_are_not_followed_are_told(inventory: dict[str, Any]) -> None:
    flows = {"mesh": "actions=group:1"}
    inventory["oo1424oo"] |= {"socket_bridge_mode": "literal", "socket_bridge_literal_flows": flows}
    with pytest.raises(AnsibleFilterError, match="groups, resubmit and"):
        reachability(inventory)


def test_an_answer_that_takes_too_long_is_told(inventory: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix.matrix_of, "__defaults__", (100,))
    with pytest.raises(AnsibleFilterError, match="would take too long"):
        reachability(inventory)


def test_twenty_hosts_take_few_steps() -> None:
    """A number of steps and not a time, so that a busy machine does not matter: about 10 µs each."""
    fleet = {}
    for host in range(20):
        key = f"{host:02}" + "A" * 41 + "="
        uplink = {"name": "wg", "kind": "wireguard", "bridge": "mesh", "address": f"10.200.0.{host + 1}/16"}
        fleet[f"h{host}"] = {
            "socket_bridge_bridges": [{"name": "mesh", "subnet": f"10.{host}.0.0/24"}],
            "socket_bridge_uplinks": [{**uplink, "public_key": key, "endpoint": f"192.0.2.{host + 1}:51820"}],
            "lxc_service_containers": [
                container(number, f"10.{host}.0", services=[service("web", "tcp", 80, "local", "mesh")])
                for number in (10, 11)
            ],
        }
    told = matrix.matrix_of(fleet_from_inventory(fleet), 150_000)
    assert len({(reach.source, reach.destination) for reach in told.reaches if reach.source.kind == "container"}) > 1560
