# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a change of one bridge's rules opens and closes: exact, although only a part of the packets is followed."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core import matrix_change
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.compile import BridgeFlows, compile_node
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.conntrack import Conntrack, Packet
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.inventory import fleet_from_inventory
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.matrix_change import Change, bridge_change
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.matrix_space import NOTHING
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.matrix_touched import concerned
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.rules import FlowReader
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.simulator import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lib.fleets import FLEETS
from tests.unit.matrix.test_push_exact import HEADERS, PORTS, some_rules, symbolic

HOST = "oo1424oo"
SSH = {"name": "ssh", "protocol": "tcp", "port": 22, "exposed": True}


def compiled(inventory: dict[str, Any]) -> BridgeFlows:
    return compile_node(fleet_from_inventory(inventory), HOST)["mesh"]


def told(before: BridgeFlows | None, after: BridgeFlows | None) -> Change:
    known = after or before
    assert known is not None
    lines = [[flow.text(side.ports) for flow in side.flows] if side else [] for side in (before, after)]
    origins = {flow.cookie: flow.origin for flow in after.flows} if after else {}
    return bridge_change(lines[0], lines[1], known.ports, origins)


def pairs(lines: tuple[str, ...]) -> set[tuple[str, str]]:
    """(source, destination) of ``lines``, without the ports of containers."""
    found = set()
    for line in lines:
        sources, _arrow, rest = line.partition(" -> ")
        found |= {(source.partition(" ")[0], rest.partition(" ")[0]) for source in sources.split(", ")}
    return found


@pytest.fixture
def inventory() -> dict[str, Any]:
    return copy.deepcopy(FLEETS["production-example"])


def test_a_service_opens_its_port_to_those_that_it_is_exposed_to(inventory: dict[str, Any]) -> None:
    before = compiled(inventory)
    inventory[HOST]["lxc_service_containers"][0]["services"] = [SSH]
    service = f"{HOST}: lxc_service_containers[gateway].services[ssh]"
    assert told(before, compiled(inventory)) == Change(
        opens=(
            f"nm-privacy (ovs-nm-privacy) -> gateway (veth100) tcp/22  # {service} from mesh",
            f"xray-client (veth102) -> gateway (veth100) tcp/22  # {service} from local",
        )
    )


def test_the_way_out_is_closed_with_the_egress(inventory: dict[str, Any]) -> None:
    before = compiled(inventory)
    del inventory[HOST]["lxc_service_containers"][1]["egress"]
    (line,) = told(before, compiled(inventory)).closes
    assert line.startswith("xray-client (veth102) -> warp0 (ovs-warp0) any to all addresses but 10.0.0.0/24, ")


def test_a_new_container_opens_what_it_may_and_what_may_reach_it(inventory: dict[str, Any]) -> None:
    after = compiled(inventory)
    del inventory[HOST]["lxc_service_containers"][1]
    change = told(compiled(inventory), after)
    assert change.closes == ()
    assert pairs(change.opens) == {
        ("gateway", "xray-client"),
        ("nm-privacy", "xray-client"),
        ("xray-client", "nm-privacy"),
        ("xray-client", "warp0"),
    }
    assert told(after, compiled(inventory)).opens == ()


def test_a_new_bridge_opens_everything_and_a_removed_one_closes_it(inventory: dict[str, Any]) -> None:
    bridge = compiled(inventory)
    opened, closed = told(None, bridge), told(bridge, None)
    assert opened.closes == closed.opens == ()
    assert pairs(opened.opens) == {
        ("gateway", "nm-privacy"),
        ("gateway", "warp0"),
        ("gateway", "xray-client"),
        ("nm-privacy", "xray-client"),
        ("xray-client", "nm-privacy"),
        ("xray-client", "warp0"),
    }
    names = {"veth100": "gateway", "veth102": "xray-client", "ovs-nm-privacy": "nm-privacy", "ovs-warp0": "warp0"}
    assert {(names[one], names[other]) for one, other in pairs(closed.closes)} == pairs(opened.opens)


def test_rules_that_let_the_same_pass_open_and_close_nothing() -> None:
    one = ["priority=5,ip,in_port=1,actions=output:2"]
    other = [f"priority=5,ip,in_port=1,nw_dst={half},actions=output:2" for half in ("0.0.0.0/1", "128.0.0.0/1")]
    assert bridge_change(one, other, {"a": 1, "b": 2}, {}) == Change()


def test_what_is_not_understood_is_a_note() -> None:
    change = bridge_change(["ip,actions=resubmit(,5)"], ["ip,actions=drop"], {"a": 1}, {})
    assert "not told, as not all rules are understood: ip,actions=resubmit(,5)" in change.note
    assert "tun_id" in bridge_change([], ["tun_id=5,actions=drop"], {}, {}).note


def test_it_gives_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = ["priority=5,ip,in_port=1,actions=output:2"]
    monkeypatch.setattr(matrix_change, "BUDGET", 10)
    assert "too long" in bridge_change([], rules, {"a": 1, "b": 2}, {}).note
    monkeypatch.setattr(matrix_change, "MAX_RULES", 1)
    assert "not told for 2 rules" in bridge_change([], rules * 2, {"a": 1, "b": 2}, {}).note


def test_many_lines_are_cut_and_learning_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix_change, "SHOWN", 1)
    rules = [f"priority=5,udp,in_port={port},actions=output:3,learn(table=1,priority=2)" for port in (1, 2)]
    rules[1] = rules[1].replace("udp", "tcp")
    change = bridge_change([], rules, {"a": 1, "b": 2, "c": 3}, {})
    assert len(change.opens) == 1
    assert change.note == "1 lines are left out; rules that learn() adds are not looked at"


def followed_all(old: list[str], new: list[str], monkeypatch: pytest.MonkeyPatch) -> Change:
    """The change with every packet followed."""
    with monkeypatch.context() as patch:
        patch.setattr(matrix_change, "concerned", lambda *_rules: [NOTHING])
        return bridge_change(old, new, THREE, {})


THREE = {"a": 1, "b": 2, "c": 3}
FIRST = "table=0,priority=1,ip,actions="


@pytest.mark.parametrize(
    ("same", "added"),
    [
        ([f"{FIRST}set_field:0.0.0.2->nw_dst,goto_table:1"], ["table=1,ip,nw_dst=0.0.0.2,actions=output:3"]),
        ([f"{FIRST}ct(table=1,zone=7)"], ["table=1,ip,ct_state=+new+trk,actions=output:3"]),
        ([f"{FIRST}ct(table=1,zone=7)"], ["table=1,ip,ct_zone=7,ct_mark=0,actions=output:3"]),
        (
            [f"{FIRST}move:NXM_OF_IP_DST[]->NXM_NX_REG0[],goto_table:1"],
            ["table=1,ip,reg0=0xa000000/0xff000000,actions=output:3"],
        ),
        ([f"{FIRST}set_field:1/1->reg0,set_field:2/2->reg0,goto_table:1"], ["table=1,ip,reg0=3,actions=output:3"]),
        ([f"{FIRST}set_field:4/4->reg0,goto_table:1"], ["table=1,ip,reg0=0/3,actions=output:3"]),
        (
            [f"{FIRST}set_field:5->reg0,goto_table:1"],
            ["table=1,priority=1,ip,reg0=5,actions=output:3", "table=1,priority=2,tcp,reg0=5,actions=output:2"],
        ),
        ([], ["priority=1,ip,in_port=1,actions=output:2", "priority=2,ip,in_port=1,nw_dst=0.0.0.0,actions=output:3"]),
        ([], ["priority=1,tcp,actions=output:2", "priority=2,udp,actions=output:3"]),
    ],
)
def test_what_concerns_a_change_is_not_missed(
    same: list[str], added: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    change = bridge_change(same, [*same, *added], THREE, {})
    assert change.opens
    assert change == followed_all(same, [*same, *added], monkeypatch)
    back = bridge_change([*same, *added], same, THREE, {})
    assert (back.closes, back.opens) == (change.opens, ())


def test_other_actions_are_another_rule() -> None:
    change = bridge_change(["ip,in_port=1,actions=output:2"], ["ip,in_port=1,actions=output:3"], THREE, {})
    assert (change.opens, change.closes) == (("a -> c any to all addresses",), ("a -> b any to all addresses",))


@settings(max_examples=60, deadline=None)
@given(some_rules(), st.data())
def test_packets_outside_of_what_is_concerned_fare_as_before(lines: list[str], data: st.DataObject) -> None:
    dropped = data.draw(st.sampled_from(lines))
    instead = [] if data.draw(st.booleans()) else [f"{dropped.partition('actions=')[0]}actions=output:3"]
    other = [line for line in lines if line != dropped] + instead
    old, new = FlowReader().read(lines), FlowReader().read(other)
    about = concerned(old, new)
    before, after = Simulator(old, PORTS), Simulator(new, PORTS)
    for header in HEADERS:
        if not any(symbolic(header) & bits.mask == bits.value for bits in about):
            results = [side.run(Packet(header), Conntrack()).sent for side in (before, after)]
            was, now = ([(sent.port, sent.header) for sent in result] for result in results)
            assert was == now


def test_a_changed_rule_about_a_register_concerns_only_who_gets_that_value() -> None:
    lines = ["in_port=1,actions=set_field:5->reg0,goto_table:1", "in_port=2,actions=set_field:6->reg0,goto_table:1"]
    old = FlowReader().read(lines)
    new = FlowReader().read([*lines, "table=1,reg0=5,actions=output:3"])
    (only,) = concerned(old, new)
    assert only == old[0].bits
