# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter: compiled rules have no findings, and broken ones are told with the inventory line that they came from."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.op_dbus.socket_network.plugins.filter.check_flows import check_flows
from ansible_collections.op_dbus.socket_network.plugins.filter.compile_flows import compile_flows

from tests.lib.fleets import FLEETS, HOSTS

ALLOWED: dict[tuple[str, str], list[str]] = {}
"""Findings that compiled rules may have, by fleet and host: none is needed."""


@pytest.mark.parametrize(("fleet", "host"), HOSTS)
def test_compiled_rules_have_no_findings(fleet: str, host: str) -> None:
    findings = check_flows(compile_flows(FLEETS[fleet], host))
    assert [finding["kind"] for finding in findings] == ALLOWED.get((fleet, host), [])


@pytest.fixture
def compiled() -> dict[str, Any]:
    return compile_flows(FLEETS["two-bridges"], "left")


def test_a_finding_tells_bridge_line_origin_and_cause(compiled: dict[str, Any]) -> None:
    flows = compiled["vmbr0"]["flows"]
    own = next(line for line in flows if "table=50,priority=232,ip,nw_dst=10.2.0.110," in line)
    cookie = own.split(",")[0].removeprefix("cookie=")
    compiled["vmbr0"]["flows"] = [*flows, "table=50,priority=240,ip,nw_dst=10.2.0.0/25,actions=drop"]
    findings = check_flows(compiled)
    assert {finding["kind"] for finding in findings} == {"dead", "unreachable_rule"}
    assert {finding["bridge"] for finding in findings} == {"vmbr0"}
    (dead,) = [finding for finding in findings if finding["rule"] == own]
    assert dead["line"] == flows.index(own) + 1
    assert dead["origin"] == compiled["vmbr0"]["origins"][cookie] != ""
    assert [cause["line"] for cause in dead["by"]] == [len(flows) + 1]
    assert "priority above 240" in dead["remedy"]


def test_a_rule_without_its_port_is_told_with_the_bridge_that_has_it(compiled: dict[str, Any]) -> None:
    compiled["vmbr0"]["ports"]["to-socket"] = compiled["mesh"]["ports"].pop("to-socket")
    findings = check_flows(compiled)
    assert {(finding["kind"], finding["bridge"]) for finding in findings} == {("no_such_port", "mesh")}
    assert all("(bridge vmbr0 has it)" in finding["explanation"] for finding in findings)


def test_a_missing_table_is_noticed_from_both_sides(compiled: dict[str, Any]) -> None:
    compiled["vmbr0"]["flows"] = [line for line in compiled["vmbr0"]["flows"] if ",table=30," not in line]
    findings = {finding["kind"]: finding for finding in check_flows(compiled)}
    assert set(findings) == {"goto_nowhere", "unreachable_table", "unreachable_rule"}
    assert findings["goto_nowhere"]["origin"] == "left: socket_bridge_bridges[vmbr0] (connection tracking)"
    assert "table=40" in findings["unreachable_table"]["rule"]


def test_a_plain_list_with_ports() -> None:
    flows = ["priority=100,in_port=veth102,actions=output:warp0", "priority=80,in_port=veth102,actions=output:nm0"]
    kinds = [finding["kind"] for finding in check_flows(flows, ports=["veth102", "warp0"])]
    assert kinds == ["dead", "no_such_port"]
    assert [finding["kind"] for finding in check_flows(flows)] == ["dead"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("actions=drop", "expected the result of compile_flows or a list"),
        ([1], "expected the result of compile_flows or a list"),
        ({"mesh": ["actions=drop"]}, "mesh is not a bridge as compile_flows gives it"),
        (["actions=enqueue:5:1"], "line 1, 'actions=enqueue:5:1'"),
        ({"mesh": {"flows": ["ip"], "ports": {}}}, "bridge mesh: .*line 1"),
    ],
)
def test_what_is_not_understood_is_an_error(given: object, words: str) -> None:
    with pytest.raises(AnsibleFilterError, match=words):
        check_flows(given)


def test_ports_have_to_be_names() -> None:
    with pytest.raises(AnsibleFilterError, match="list of port names"):
        check_flows(["actions=drop"], ports=[5])  # type: ignore[list-item]
