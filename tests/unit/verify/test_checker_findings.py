# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the checker says about tables, ports and the flow lists of the design documents."""

from __future__ import annotations

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.checker import check_bridge
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.findings import Finding

HOME = """
priority=100,in_port=nm-privacy,actions=output:veth102
priority=100,in_port=veth102,actions=output:warp0
priority=100,in_port=warp0,actions=output:veth102
priority=90,in_port=veth100,actions=output:warp0
priority=80,in_port=veth102,actions=output:nm-privacy
priority=80,in_port=warp0,actions=output:nm-privacy
priority=10,actions=normal
"""
HOME_PORTS = ("nm-privacy", "warp0", "veth100", "veth102")

DROPLET = """
priority=100,tcp,tp_dst=443,actions=output:veth202
priority=100,tcp,tp_dst=8443,actions=output:veth202
priority=100,in_port=veth202,actions=output:nm-server
priority=90,tcp,tp_dst=9573,actions=output:veth200
priority=90,tcp,tp_dst=9574,actions=output:veth201
priority=80,in_port=veth200,actions=normal
priority=80,in_port=veth201,actions=normal
priority=80,in_port=veth202,actions=normal
priority=80,in_port=nm-server,actions=normal
priority=10,actions=normal
"""

LEARNING = """
priority=100,tcp,tp_dst=6333,actions=output:veth103
priority=100,in_port=veth103,actions=learn(
  table=1,
  hard_timeout=300,
  priority=110,
  NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],
  output:NXM_OF_IN_PORT[]
),output:normal
"""


def found(text: str, *, names: tuple[str, ...] = ()) -> list[Finding]:
    return check_bridge(text.strip().splitlines(), names=names)


def told(findings: list[Finding]) -> list[tuple[str, int, list[int]]]:
    return [(finding.kind, finding.rule.line, [rule.line for rule in finding.by]) for finding in findings]


def test_the_home_list_has_two_dead_rules() -> None:
    findings = found(HOME, names=HOME_PORTS)
    assert told(findings) == [("dead", 5, [2]), ("dead", 6, [3])]
    assert "priority=100,in_port=veth102,actions=output:warp0" in findings[0].explanation
    assert "match something more" in findings[0].remedy


def test_the_droplet_list_has_a_dead_rule_and_an_ambiguous_one() -> None:
    assert told(found(DROPLET)) == [("ambiguous", 3, [1, 2]), ("dead", 8, [3])]


def test_the_learning_rule_is_ambiguous_and_fills_a_table_that_nobody_reads() -> None:
    lines = LEARNING.strip().splitlines()
    findings = check_bridge([lines[0], "\n".join(lines[1:])])
    assert sorted(told(findings)) == [("ambiguous", 2, [1]), ("unreachable_table", 2, [])]


def test_a_higher_rule_on_the_shared_part_removes_the_ambiguity() -> None:
    more = "priority=101,tcp,in_port=veth202,actions=output:nm-server"
    assert told(found(f"{DROPLET}{more}")) == [("dead", 8, [3])]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("actions=goto_table:5", [("goto_nowhere", 1, [])]),
        ("actions=ct(table=5,zone=1)", [("goto_nowhere", 1, [])]),
        ("actions=goto_table:5\ntable=5,actions=drop", []),
        ("actions=ct(table=5,zone=1)\ntable=5,actions=drop", []),
        ("actions=drop\ntable=5,actions=drop\ntable=5,ip,actions=drop", [("unreachable_table", 2, [])]),
        ("actions=goto_table:5\ntable=5,actions=goto_table:5", [("goto_backward", 2, [])]),
        ("table=0,actions=goto_table:9\ntable=9,actions=goto_table:0", [("goto_backward", 2, [])]),
        (
            "priority=2,actions=drop\npriority=1,ip,actions=goto_table:5\ntable=5,actions=drop",
            [("dead", 2, [1]), ("unreachable_table", 3, [])],
        ),
        ("ip,actions=drop\nip,actions=drop", [("duplicate", 1, [2])]),
        ("ip,actions=LOCAL\nip,actions=output:LOCAL", [("duplicate", 1, [2])]),
        ("dl_type=0x800,nw_proto=6,actions=drop\ntcp,actions=normal", [("duplicate", 1, [2])]),
        ("ip,nw_src=10.0.0.1/24,actions=drop\nip,nw_src=10.0.0.0/24,actions=drop", [("duplicate", 1, [2])]),
        ("table=1,priority=1,actions=drop\nactions=goto_table:1\ntable=1,priority=2,ip,actions=drop", []),
        (
            "priority=3,ip,nw_dst=10.0.0.0/25,actions=normal\npriority=2,ip,nw_dst=10.0.0.128/25,actions=normal\n"
            "priority=1,ip,nw_dst=10.0.0.0/24,actions=drop",
            [("dead_union", 3, [1, 2])],
        ),
    ],
)
def test_finding(text: str, expected: list[tuple[str, int, list[int]]]) -> None:
    assert told(found(text)) == expected


def test_ports_that_the_bridge_has_not_are_named_with_the_bridge_that_has_them() -> None:
    lines = ["in_port=veth1,actions=output:veth2,output:veth3", "in_port=LOCAL,actions=output:9"]
    findings = check_bridge(lines, ports={"veth1": 8, "nine": 9}, elsewhere={"vmbr0": ["veth2"]})
    assert told(findings) == [("no_such_port", 1, [])] * 2
    assert [finding.explanation for finding in findings] == [
        "It sends packets to port veth2, which the bridge does not have (bridge vmbr0 has it).",
        "It sends packets to port veth3, which the bridge does not have.",
    ]


def test_a_number_and_the_name_that_has_it_are_one_port() -> None:
    lines = ["priority=2,in_port=7,actions=drop", 'priority=1,in_port="veth1",actions=normal']
    assert told(check_bridge(lines, ports={"veth1": 7})) == [("dead", 2, [1])]


def test_without_ports_no_port_is_missed() -> None:
    assert found("in_port=veth1,actions=output:veth2") == []


def test_of_several_causes_the_one_that_takes_the_packets_first_is_named() -> None:
    text = (
        "priority=2,ip,actions=drop\npriority=4,actions=normal\npriority=3,ip,actions=drop\npriority=1,tcp,actions=drop"
    )
    assert ("dead", 4, [2]) in told(found(text))


def test_many_causes_are_counted() -> None:
    eighths = [f"priority=2,tp_dst={number}/7,tcp,actions=drop" for number in range(8)]
    (finding,) = found("\n".join([*eighths, "priority=1,tcp,actions=normal"]))
    assert len(finding.by) == 8
    assert finding.explanation.endswith("line 5 (priority=2,tp_dst=4/7,tcp,actions=drop), 3 more, of higher priority.")


@pytest.mark.parametrize(
    ("second", "words"),
    [("ip,actions=drop", "does the same"), ("ip,actions=normal", "the later one silently replaces this one")],
)
def test_a_duplicate_tells_whether_it_does_the_same(second: str, words: str) -> None:
    (finding,) = found(f"ip,actions=drop\n{second}")
    assert words in finding.explanation
    assert ("another match" in finding.remedy) == ("replaces" in words)


def test_an_unreachable_table_tells_how_many_rules_it_has_and_who_would_lead_there() -> None:
    (one,) = found("actions=drop\ntable=5,actions=drop")
    assert "table 5, which has 1 rule: no rule goes on to table 5" in one.explanation
    two = found(
        "priority=2,actions=drop\npriority=1,actions=goto_table:5\ntable=5,ip,actions=drop\ntable=5,actions=drop"
    )[1]
    assert "has 2 rules: only dead or unreachable rules lead there: line 2" in two.explanation
