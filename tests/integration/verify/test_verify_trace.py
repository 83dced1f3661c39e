# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulator against the `ofproto/trace` of a real switch, packet by packet: way, effect and final header."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.conntrack import Conntrack, Packet
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.fields import FIELDS, packed
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.rules import Rule
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.simulator import Simulator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.verify.conftest import Laboratory, Loaded
from tests.integration.verify.mutants import Mutation, survivors
from tests.integration.verify.packets import STATES, constants, packets
from tests.lib.fleets import FLEETS
from tests.lib.trace import Given, Verdict, flow_text, possible, simulated

PACKETS = 2_500
"""For each bridge."""

BRIDGES = [
    f"{fleet}/{host}/{bridge['name']}"
    for fleet, inventory in FLEETS.items()
    for host, variables in inventory.items()
    for bridge in variables["socket_bridge_bridges"]
]


def simulate(simulator: Simulator, header: int) -> Verdict:
    return simulated(simulator.run(Packet(header), Given(header)))


def differences(bridge: Loaded, headers: Sequence[int]) -> tuple[list[str], dict[int, Verdict]]:
    """Where simulator and switch disagree, and what the switch says about every header."""
    simulator = Simulator(bridge.rules, bridge.ports, bridge.groups)
    real = {header: bridge.switch.trace(header) for header in headers}
    wrong = [
        f"{flow_text(header)}\n  switch:    {verdict}\n  simulator: {simulate(simulator, header)}"
        for header, verdict in real.items()
        if verdict != simulate(simulator, header)
    ]
    return wrong, real


@pytest.mark.parametrize("name", BRIDGES)
def test_packets_derived_from_the_rules(
    bridges: dict[str, Loaded], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bridge = bridges[name]
    wrong, real = differences(bridge, packets(bridge.rules, bridge.ports, PACKETS))
    assert not wrong, "\n".join(wrong[:5])
    mutation = survivors(bridge, real, simulate)
    with capsys.disabled():
        _tell(name, real, mutation)
    _hold(mutation, bridge.rules)


def _tell(name: str, real: dict[int, Verdict], mutation: Mutation) -> None:
    print(f"\n{name}: {len(real)} packets, {_ways(real)} ways, 0 differences; {mutation.summary}")
    for mutant in mutation.alive:
        print(f"  not noticed: {mutant}")


def _ways(real: dict[int, Verdict]) -> int:
    return len({verdict.steps for verdict in real.values()})


def _hold(mutation: Mutation, rules: Sequence[Rule]) -> None:
    assert mutation.tried > len(rules)
    assert mutation.score >= 0.95, "\n".join(mutation.alive)


@pytest.mark.parametrize("name", BRIDGES)
def test_random_packets(bridges: dict[str, Loaded], name: str) -> None:
    bridge = bridges[name]
    simulator, values = Simulator(bridge.rules, bridge.ports), constants(bridge.rules)
    known = {
        field: st.sampled_from(values[field]) | st.integers(0, (1 << FIELDS[field].width) - 1)
        for field in ("dl_src", "dl_dst", "nw_src", "nw_dst", "tp_src", "tp_dst", "tcp_flags", "ct_mark")
        if field in values
    }
    known |= {field: st.sampled_from(values[field]) for field in ("dl_type", "nw_proto", "nw_ttl", "vlan_tci")}
    known |= {
        field: st.sampled_from(values[field])
        for field in ("arp_op", "arp_spa", "arp_tpa", "arp_sha", "arp_tha")
        if field in values
    }
    header = st.fixed_dictionaries(
        {**known, "in_port": st.sampled_from(sorted(bridge.ports)), "ct_state": st.sampled_from(STATES)}
    )

    @settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(header)
    def agree(drawn: dict[str, int]) -> None:
        asked = possible(packed(**drawn))
        assert simulate(simulator, asked) == bridge.switch.trace(asked), flow_text(asked)

    agree()


# Cookies are numbers of lines, priorities fall, so that every rule is another one.
FEATURES = """
table=0,priority=11,in_port=2,udp,actions=output:1,output:2,IN_PORT,output:3
table=0,priority=10,tcp,actions=set_field:0xf0/0xf0->reg3,ct(table=5,zone=7),set_field:9->reg4,output:3
table=0,priority=10,udp,actions=output:1,output:2,IN_PORT
table=0,priority=9,ip,nw_proto=47,actions=dec_ttl,output:2,goto_table:8
table=0,priority=8,icmp,actions=set_field:1->reg0,move:NXM_NX_REG0[]->NXM_NX_REG1[],goto_table:6
table=0,priority=7,arp,actions=output:2
table=5,priority=5,ip,ct_state=+new+trk,ct_zone=7,actions=ct(commit,zone=8,exec(set_field:0x5/0xf->ct_mark)),goto_table:6
table=5,priority=4,ip,ct_state=+est+trk,ct_mark=0x5/0xf,actions=ct(table=6,zone=9),dec_ttl,output:2
table=5,priority=3,reg4=0,reg3=0xf0,actions=output:1,output:2
table=6,priority=5,ip,ct_state=-trk,actions=set_field:10.9.8.7->nw_dst,output:2
table=6,priority=4,tcp,ct_zone=9,tp_src=0x0/0x1,actions=set_field:77->tp_dst,output:3
table=6,priority=3,actions=output:4
table=8,priority=3,nw_src=10.0.0.0/8,ip,actions=output:9,output:4
"""


# Groups, resubmit, translation and fragments. Nothing is sent after a translation in the same pass: there the switch's
# trace shows what the packet was, and `test_verify_nat` looks at real packets instead.
WAYS = """
table=0,priority=20,udp,in_port=3,tp_dst=1000,actions=group:1,output:4
table=0,priority=19,udp,in_port=3,nw_src=10.4.0.0/16,actions=group:2
table=0,priority=18,udp,in_port=3,actions=group:3,resubmit(,9)
table=0,priority=17,tcp,in_port=3,actions=group:4
table=0,priority=16,tcp,in_port=4,tp_dst=22,actions=ct(commit,zone=5,nat(src=10.1.0.6:99),table=9)
table=0,priority=15,icmp,in_port=4,icmp_type=8,actions=resubmit(2,9),output:1
table=0,priority=14,ip,in_port=4,ip_frag=first,actions=output:1
table=0,priority=13,udp,in_port=4,actions=set_field:5->udp_dst,output:2
table=0,priority=11,ip,in_port=1,actions=ct(table=9,nat),resubmit(,9)
table=0,priority=10,ip,ip_frag=no,actions=output:3,resubmit(1,0)
table=0,priority=9,ip,ip_frag=yes,actions=output:1
table=9,priority=9,icmp,in_port=2,icmp_code=0,actions=output:3
table=9,priority=8,tcp,nw_dst=10.1.0.5,tp_dst=53,ct_state=+new+dnat+trk,actions=output:3
table=9,priority=7,tcp,nw_src=10.1.0.6,tp_src=99,actions=output:2,output:4
table=9,priority=6,ip,ct_state=+est+snat,actions=output:4
table=9,priority=5,ip,ct_state=-trk,ip_frag=not_later,actions=dec_ttl,output:2,output:3
table=9,priority=1,actions=output:1,output:2
"""
GROUPS = """
group_id=1,type=all,bucket=actions=set_field:10.9.9.9->nw_dst,output:2,bucket=actions=output:1,dec_ttl,output:3
group_id=2,type=indirect,bucket=actions=set_field:10.9.9.8->nw_src,output:4,group:1
group_id=3,type=ff,bucket=watch_port:9,actions=output:2,bucket=watch_port:4,actions=output:4,bucket=watch_port:2,output:2
group_id=4,type=all,bucket=resubmit(,9),bucket=ct(commit,zone=5,nat(dst=10.1.0.5-10.1.0.9:53-59),table=9)
"""


@pytest.mark.parametrize(("name", "text", "groups"), [("features", FEATURES, ""), ("ways", WAYS, GROUPS)])
def test_features_that_the_pipeline_does_not_use(
    lab: Laboratory, capsys: pytest.CaptureFixture[str], name: str, text: str, groups: str
) -> None:
    flows = [f"cookie={number},{line}" for number, line in enumerate(text.strip().splitlines(), 1)]
    bridge = lab.load(flows, {f"port{number}": number for number in range(1, 5)}, groups.strip().splitlines())
    wrong, real = differences(bridge, packets(bridge.rules, bridge.ports, PACKETS, groups=bridge.groups))
    assert not wrong, "\n".join(wrong[:5])
    hit = {cookie for verdict in real.values() for _table, cookie in verdict.steps}
    assert hit >= {rule.cookie for rule in bridge.rules}
    mutation = survivors(bridge, real, simulate)
    with capsys.disabled():
        _tell(name, real, mutation)
    _hold(mutation, bridge.rules)


def test_a_packet_that_goes_in_circles_is_lost(lab: Laboratory) -> None:
    flows = [
        "cookie=1,table=0,priority=2,udp,actions=output:2,ct(commit,zone=1),resubmit(,1),resubmit(,0)",
        "cookie=2,table=0,priority=1,ip,actions=output:3,group:1",
        "cookie=3,table=1,actions=output:4,resubmit(,1)",
    ]
    group = ["group_id=1,type=all,bucket=output:1,bucket=resubmit(,0)"]
    bridge = lab.load(flows, {f"port{number}": number for number in range(1, 5)}, group)
    wrong, real = differences(bridge, packets(bridge.rules, bridge.ports, 100, groups=bridge.groups))
    assert not wrong, "\n".join(wrong[:5])
    assert {verdict.sent for verdict in real.values()} == {()}


def test_the_bucket_that_a_hash_picks_is_one_of_the_outcomes(lab: Laboratory) -> None:
    groups = """
group_id=1,type=select,selection_method=hash,bucket=output:2,bucket=weight:0,output:1,\
bucket=set_field:10.9.9.9->nw_dst,output:3,bucket=weight:2,group:2
group_id=2,type=select,selection_method=hash,bucket=watch_port:9,output:1,bucket=output:4
"""
    flows = ["cookie=1,ip,actions=group:1"]
    bridge = lab.load(flows, {f"port{number}": number for number in range(1, 5)}, groups.strip().splitlines())
    simulator = Simulator(bridge.rules, bridge.ports, bridge.groups)
    seen = set()
    headers = packets(bridge.rules, bridge.ports, 400, groups=bridge.groups)
    headers += [FIELDS["tp_src"].put(headers[0], port) for port in range(100)]
    for header in headers:
        real = bridge.switch.trace(header)
        possible_ones = [simulated(result) for result, _after in simulator.outcomes(Packet(header), Conntrack())]
        assert real in possible_ones, flow_text(header)
        seen |= {port for port, _fields in real.sent}
    assert seen == {2, 3, 4}


def test_a_difference_would_be_noticed(bridges: dict[str, Loaded]) -> None:
    bridge = bridges["lab/oo1424oo/mesh"]
    for index, rule in enumerate(bridge.rules):
        if rule.table == 70 and rule.actions:
            broken = replace(bridge, rules=[*bridge.rules[:index], *bridge.rules[index + 1 :]])
            assert differences(broken, packets(bridge.rules, bridge.ports, 400))[0]
