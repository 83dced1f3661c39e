# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulator against the `ofproto/trace` of a real switch, packet by packet: way, effect and final header."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.conntrack import Packet
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
    simulator = Simulator(bridge.rules, bridge.ports)
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
    mutation = survivors(bridge.rules, real, simulate)
    with capsys.disabled():
        print(f"\n{name}: {len(real)} packets, {_ways(real)} ways, 0 differences; {mutation.summary}")
        for mutant in mutation.alive:
            print(f"  not noticed: {mutant}")
    _hold(mutation, bridge.rules)


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
table=8,priority=3,nw_src=10.0.0.0/8,ip,actions=output:9
"""


def test_features_that_the_pipeline_does_not_use(lab: Laboratory) -> None:
    flows = [f"cookie={number},{line}" for number, line in enumerate(FEATURES.strip().splitlines(), 1)]
    bridge = lab.load(flows, {f"port{number}": number for number in range(1, 5)})
    wrong, real = differences(bridge, packets(bridge.rules, bridge.ports, 4 * PACKETS))
    assert not wrong, "\n".join(wrong[:5])
    hit = {cookie for verdict in real.values() for _table, cookie in verdict.steps}
    assert hit >= {rule.cookie for rule in bridge.rules}


def test_a_difference_would_be_noticed(bridges: dict[str, Loaded]) -> None:
    bridge = bridges["lab/oo1424oo/mesh"]
    for index, rule in enumerate(bridge.rules):
        if rule.table == 70 and rule.actions:
            broken = replace(bridge, rules=[*bridge.rules[:index], *bridge.rules[index + 1 :]])
            assert differences(broken, packets(bridge.rules, bridge.ports, 400))[0]
