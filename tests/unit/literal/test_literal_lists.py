# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lists of the documents become rules for the bridges: the same ones, in their order, with the bridges' names."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.op_dbus.socket_network.plugins.filter.check_flows import check_flows
from ansible_collections.op_dbus.socket_network.plugins.filter.compile_flows import compile_flows
from ansible_collections.op_dbus.socket_network.plugins.filter.trace_packet import trace_packet
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.inventory import fleet_from_inventory
from ansible_collections.op_dbus.socket_network.plugins.module_utils._errors import InvalidFleetError

from tests.lib.literal import droplet, home, text, two_bridges

SERVICE = text("distributed-vmbr0.nix") + text("service.txt")
HOSTS: dict[str, dict[str, Any]] = {
    "oo1424oo.txt": home(text("oo1424oo.txt")),
    "oo1424oo.nix": home(text("oo1424oo.nix")),
    "vps-gateway.txt": droplet(text("vps-gateway.txt")),
    "vps-gateway.nix": droplet(text("vps-gateway.nix")),
    "distributed": two_bridges(text("distributed-mesh.nix"), SERVICE),
}
Told = list[tuple[str, int, list[int]]]
FINDINGS: dict[str, dict[str, Told]] = {
    "oo1424oo": {"mesh": [("dead", 14, [5]), ("dead", 15, [8])]},
    "vps-gateway": {"mesh": [("ambiguous", 6, [2, 3]), ("dead", 17, [6])]},
    "distributed": {
        "mesh": [],
        "vmbr0": [("ambiguous", 11, [2, 3]), ("ambiguous", 14, [11]), ("unreachable_table", 14, [])],
    },
}


def loaded(host: dict[str, Any]) -> dict[str, Any]:
    return compile_flows({"host": host}, "host")


@pytest.mark.parametrize("name", HOSTS)
def test_rules_are_the_given_ones(name: str) -> None:
    """Undoing the translation of names gives the text of the list again."""
    for bridge in loaded(HOSTS[name]).values():
        assert len(bridge["flows"]) == len(bridge["given"]) > 0
        for flow, given in zip(bridge["flows"], bridge["given"], strict=True):
            back = re.sub(r'"(?:ovs-)?([^"]+)"', r"\1", flow)
            match = re.fullmatch(r"cookie=0x6f6f\w+,table=0,(.*)", back)
            assert match
            assert match[1] == given["text"]


@pytest.mark.parametrize("name", HOSTS)
def test_names_are_those_of_the_bridge(name: str) -> None:
    for bridge in loaded(HOSTS[name]).values():
        named = set(re.findall(r'"([^"]+)"', "".join(bridge["flows"])))
        assert named
        assert named <= bridge["ports"].keys()


@pytest.mark.parametrize("name", HOSTS)
def test_findings_of_the_documents(name: str) -> None:
    for bridge, expected in FINDINGS[name.partition(".")[0]].items():
        findings = [finding for finding in check_flows(loaded(HOSTS[name])) if finding["bridge"] == bridge]
        told = [(f["kind"], f["line"], [cause["line"] for cause in f["by"]]) for f in findings]
        assert told == expected
        assert all(finding["origin"].endswith(f" line {finding['line']}") for finding in findings)
        assert all(finding["rule"].startswith("priority=") and finding["remedy"] for finding in findings)


def test_a_packet_is_traced_through_the_list() -> None:
    """The answer to the mesh leaves through WARP: line 14 is dead."""
    packet = {"from": "nm-privacy", "source": "10.100.0.9", "to": "xray-client", "port": 443}
    found = trace_packet({"oo1424oo": HOSTS["oo1424oo.txt"]}, packet)
    assert found["deciding"]["origin"].endswith("[mesh] line 2")
    assert found["reply"]["deciding"]["origin"].endswith("[mesh] line 5")
    assert found["reply"]["end"]["name"] == "warp0"


def flows_of(*rules: str) -> list[str]:
    return [flow.partition("table=0,")[2] for flow in loaded(home(list(rules)))["mesh"]["flows"]]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("in_port=veth102,actions=warp0", 'priority=32768,in_port="veth102",actions=output:"ovs-warp0"'),
        (
            "in_port=ovs-warp0 actions=OUTPUT:netmaker",
            'priority=32768,in_port="ovs-warp0",actions=output:"ovs-nm-privacy"',
        ),
        ("in_port=mesh,actions=output:mesh,LOCAL", "priority=32768,in_port=LOCAL,actions=output:LOCAL,LOCAL"),
        ("in_port=5,actions=output:6,NORMAL", "priority=32768,in_port=5,actions=output:6,NORMAL"),
        ("in_port=LOCAL,actions=flood", "priority=32768,in_port=LOCAL,actions=flood"),
        (
            'in_port="warp0",actions=resubmit(veth102,4)',
            'priority=32768,in_port="ovs-warp0",actions=resubmit("veth102",4)',
        ),
        (
            "arp,actions=clone(output:warp0),output:host",
            'priority=32768,arp,actions=clone(output:"ovs-warp0"),output:"ovs-host"',
        ),
        ("send_flow_rem,idle_timeout=5,ip,actions=drop", "priority=32768,send_flow_rem,idle_timeout=5,ip,actions=drop"),
        ("priority=4,tun_id=7,actions=enqueue:warp0:3", 'priority=4,tun_id=7,actions=enqueue:"ovs-warp0":3'),
    ],
)
def test_names_are_translated_wherever_a_port_can_stand(rule: str, expected: str) -> None:
    assert flows_of(rule) == [expected]


def test_order_and_twins_are_kept() -> None:
    rules = ["priority=1,ip,actions=drop", "priority=9,arp,actions=normal", "priority=1,ip,actions=normal"]
    assert flows_of(*rules) == rules


def test_lists_wait_in_compiled_mode() -> None:
    host = {**home("rubbish"), "socket_bridge_mode": "compiled"}
    (bridge,) = loaded(host).values()
    assert bridge["given"] == []
    assert check_flows(loaded(host)) == []
    without = {name: value for name, value in host.items() if "literal" not in name}
    assert loaded(host) == loaded(without)


KEY = "socket_bridge_literal_flows"
NO_RULES = ["tcp", "cookie=4,actions=drop", "actions="]
BAD: list[tuple[dict[str, Any], list[str]]] = [
    ({"socket_bridge_mode": "manual"}, ["socket_bridge_mode = 'manual': this is not one of the known values."]),
    ({KEY: "actions=drop"}, [f"{KEY} = 'actions=drop': a string stands here.", "bridge mesh has none"]),
    ({KEY: {}}, ["in literal mode every bridge needs its list, and bridge mesh has none. Fix: add its rules"]),
    (
        {KEY: {"mesh": "actions=drop", "vmbr1": ""}},
        [f"{KEY}[vmbr1] = '(list)': this host has no such bridge. Fix: name one of mesh."],
    ),
    ({KEY: {"mesh": 5}}, [f"{KEY}[mesh] = 5: a number stands here. Fix: write a text block or a list of strings."]),
    ({KEY: {"mesh": ["actions=drop", 7]}}, [f"{KEY}[mesh] = 7: a number stands here."]),
    ({KEY: {"mesh": "# later\n"}}, ["there is no rule in it, and a bridge without rules drops everything."]),
    (
        {KEY: {"mesh": "\n".join(["in_port=veth9,actions=normal", "ip,actions=output:warp1,nm0", *NO_RULES])}},
        [
            f"{KEY}[mesh] line 1 = 'in_port=veth9,actions=normal': bridge mesh has no port veth9. "
            "Fix: name one of host, netmaker, nm-privacy, ",
            f"{KEY}[mesh] line 2 = 'ip,actions=output:warp1,nm0': bridge mesh has no port warp1.",
            f"{KEY}[mesh] line 3 = 'tcp': this is no rule",
            f"{KEY}[mesh] line 4 = 'cookie=4,actions=drop': the cookie is given by the collection",
            f"{KEY}[mesh] line 5 = 'actions=': there are no actions",
        ],
    ),
    ({KEY: {"mesh": "actions=ct(table=4"}}, ["are not closed"]),
    ({KEY: {"mesh": "actions=drop)"}}, ["the parentheses of 'drop)' do not match."]),
    ({KEY: {"mesh": "priority=70000,actions=drop"}}, ["70000 does not fit into 16 bits."]),
]


@pytest.mark.parametrize(("change", "words"), BAD)
def test_bad_lists_are_refused_all_at_once(change: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(InvalidFleetError) as caught:
        fleet_from_inventory({"oo1424oo": {**home("actions=drop"), **change}})
    text_of_all = str(caught.value)
    assert [word for word in words if word not in text_of_all] == []
    assert len(caught.value.faults) == len(words)
    assert all(fault.host == "oo1424oo" for fault in caught.value.faults)


def test_a_port_of_another_bridge_is_told_with_that_bridge() -> None:
    with pytest.raises(AnsibleFilterError, match=r"no port warp0 \(warp0 is a port of bridge vmbr0\)"):
        loaded(two_bridges("in_port=warp0,actions=drop", "actions=drop"))
