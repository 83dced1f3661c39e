# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulator where a packet has several ways: resubmit, groups, learn(), translation, fragments."""

from __future__ import annotations

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.conntrack import Conntrack, Packet, Tuple
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.fields import (
    ETH_IP,
    FIELDS,
    ICMP,
    LATER,
    UDP,
    FlowTextError,
    ipv4_text,
    packed,
)
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.groups import read_groups
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.rules import FlowReader
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.simulator import Result, Simulator

CLIENT, VIP, SERVER = 0x0A000066, 0x0A000010, 0x0A010005


def bridge(flows: str, groups: str = "", ports: tuple[int, ...] = ()) -> Simulator:
    reader = FlowReader()
    known = read_groups(groups.strip().splitlines(), reader.port)
    return Simulator(reader.read(flows.strip().splitlines()), ports or None, known)


def udp(
    source: int = CLIENT, target: int = VIP, sender: int = 4000, port: int = 53, *, in_port: int = 1, fragment: int = 0
) -> Packet:
    ends = {"nw_src": source, "nw_dst": target, "tp_src": sender, "tp_dst": port}
    return Packet(packed(in_port=in_port, dl_type=ETH_IP, nw_proto=UDP, nw_ttl=64, nw_frag=fragment, **ends))


def leaves(result: Result) -> list[str]:
    """``PORT:SOURCE:PORT>TARGET:PORT`` of everything that leaves."""
    found = []
    for sent in result.sent:
        value = {name: field.of(sent.header) for name, field in FIELDS.items()}
        source = f"{ipv4_text(value['nw_src'])}:{value['tp_src']}"
        found.append(f"{sent.port} {source}>{ipv4_text(value['nw_dst'])}:{value['tp_dst']}")
    return found


def ports(result: Result) -> list[int]:
    return [sent.port for sent in result.sent]


def test_resubmit_comes_back_with_what_the_table_changed() -> None:
    flows = """
table=0,actions=resubmit(,1),output:7,resubmit(9,2),output:1
table=1,actions=set_field:5->reg0,output:6
table=2,priority=2,in_port=9,reg0=5,actions=output:8,output:9
table=2,priority=1,actions=drop
"""
    result = bridge(flows).run(udp(), Conntrack())
    # Port 1 is where it came from, whatever the table was told.
    assert ports(result) == [6, 7, 8, 9]
    assert [step.table for step in result.steps] == [0, 1, 2]


def test_a_packet_that_is_resubmitted_for_ever_is_lost() -> None:
    result = bridge("actions=output:7,resubmit(,0)").run(udp(), Conntrack())
    assert (result.ended, result.sent) == ("loop", [])


def test_every_bucket_gets_the_packet_as_it_was() -> None:
    groups = "group_id=3,type=all,bucket=actions=set_field:10.1.0.5->nw_dst,output:7,bucket=actions=output:8"
    result = bridge("actions=group:3,output:9", groups).run(udp(), Conntrack())
    ends = "10.0.0.102:4000>"
    assert leaves(result) == [f"7 {ends}10.1.0.5:53", f"8 {ends}10.0.0.16:53", f"9 {ends}10.0.0.16:53"]


def test_a_bucket_is_a_set_of_actions() -> None:
    groups = "group_id=3,type=indirect,bucket=actions=output:7,set_field:10.1.0.5->nw_dst,output:8,dec_ttl"
    (sent,) = bridge("actions=group:3", groups).run(udp(), Conntrack()).sent
    assert (sent.port, FIELDS["nw_ttl"].of(sent.header), FIELDS["nw_dst"].of(sent.header)) == (8, 63, SERVER)
    nothing = "group_id=3,type=indirect,bucket=actions=set_field:10.1.0.5->nw_dst"
    assert bridge("actions=group:3", nothing).run(udp(), Conntrack()).ended == "dropped"


def test_a_failing_port_hands_over_to_the_next_bucket() -> None:
    groups = """
group_id=4,type=ff,bucket=watch_port:7,actions=output:7,bucket=watch_group:5,actions=group:5
group_id=5,type=ff,bucket=watch_port:8,actions=output:8
"""
    expected = {(1, 7, 8): [7], (1, 8): [8], (1,): []}
    for up, sent in expected.items():
        assert ports(bridge("actions=group:4", groups, up).run(udp(), Conntrack())) == sent


def test_what_a_hash_decides_is_chosen_or_tried_out() -> None:
    groups = """
group_id=3,type=select,bucket=output:7,bucket=weight:0,output:6,bucket=group:4
group_id=4,type=select,bucket=output:8,bucket=output:9
"""
    switch = bridge("actions=group:3", groups)
    assert ports(switch.run(udp(), Conntrack())) == [7]
    chosen = switch.run(udp(), Conntrack(), lambda _what, among: among - 1)
    assert (ports(chosen), chosen.chosen) == ([9], [("bucket of group 3", 1, 2), ("bucket of group 4", 1, 2)])
    outcomes = [ports(result) for result, _after in switch.outcomes(udp(), Conntrack())]
    assert sorted(outcomes) == [[7], [8], [9]]
    with pytest.raises(FlowTextError, match="more than 2 things"):
        list(switch.outcomes(udp(), Conntrack(), limit=2))


def test_outcomes_have_connections_of_their_own() -> None:
    groups = """
group_id=3,type=select,bucket=ct(commit,nat(dst=10.1.0.5),table=1),bucket=ct(commit,nat(dst=10.1.0.6),table=1)
"""
    flows = """
table=0,priority=2,in_port=2,udp,actions=ct(nat,table=2)
table=0,priority=1,udp,actions=group:3
table=1,actions=output:7
table=2,ct_state=+est+rpl+snat,udp,actions=output:8
table=2,priority=1,actions=drop
"""
    switch = bridge(flows, groups)
    for result, after in switch.outcomes(udp(), Conntrack()):
        (sent,) = result.sent
        server = FIELDS["nw_dst"].of(sent.header)
        answers = [switch.run(udp(other, CLIENT, 53, 4000, in_port=2), after.copy()) for other in (SERVER, SERVER + 1)]
        assert [bool(answer.sent) for answer in answers] == [server == SERVER, server == SERVER + 1]


@pytest.mark.parametrize(
    ("groups", "why"),
    [
        ("type=all,bucket=output:1", "no group_id"),
        ("group_id=1,type=hash,bucket=output:1", "unknown"),
        ("group_id=1,type=indirect", "one bucket"),
        ("group_id=1,type=ff,bucket=output:1", "watches"),
        ("group_id=1,type=all,bucket=goto_table:5", "neither goes"),
        ("group_id=1,bucket=output:1\ngroup_id=1,bucket=output:2", "there already"),
        ("group_id=1,bucket=group:2", "no group 2"),
    ],
)
def test_groups_that_the_switch_would_not_take_are_refused(groups: str, why: str) -> None:
    with pytest.raises(FlowTextError, match=why):
        bridge("actions=drop", groups)


def test_a_rule_without_its_group_is_refused() -> None:
    with pytest.raises(FlowTextError, match="no group 8"):
        bridge("actions=group:8")


NAT = """
table=0,priority=2,in_port=1,ip,actions=ct(table=1,zone=7,nat)
table=0,priority=2,in_port=2,ip,actions=ct(table=1,zone=7,nat)
table=1,priority=9,ip,ct_state=+est,actions=output:20
table=1,priority=8,ip,ct_state=+rel,actions=output:21
table=1,priority=7,udp,tp_dst=53,ct_state=+new,actions=ct(commit,zone=7,nat(dst=10.1.0.5:5300),table=2)
table=1,priority=7,udp,tp_dst=54,ct_state=+new,actions=ct(commit,zone=7,nat(src=10.1.0.9)),output:22
table=1,priority=1,actions=output:23
table=2,ct_state=+new+dnat-snat,ip,actions=output:24
"""


def test_a_destination_is_translated_there_and_back() -> None:
    switch, connections = bridge(NAT), Conntrack()
    assert leaves(switch.run(udp(), connections)) == ["24 10.0.0.102:4000>10.1.0.5:5300"]
    answer = udp(SERVER, CLIENT, 5300, 4000, in_port=2)
    assert leaves(switch.run(answer, connections)) == ["20 10.0.0.16:53>10.0.0.102:4000"]
    assert leaves(switch.run(udp(), connections)) == ["20 10.0.0.102:4000>10.1.0.5:5300"]


def test_an_error_about_a_translated_packet_is_translated() -> None:
    switch, connections = bridge(NAT), Conntrack()
    switch.run(udp(), connections)
    about = Tuple(CLIENT, SERVER, UDP, 4000, 5300)
    error = packed(in_port=2, dl_type=ETH_IP, nw_proto=ICMP, nw_src=SERVER, nw_dst=CLIENT, nw_ttl=64, tp_src=3)
    (sent,) = switch.run(Packet(error, about), connections).sent
    assert (sent.port, FIELDS["nw_src"].of(sent.header)) == (21, VIP)
    assert sent.packet.about == Tuple(CLIENT, VIP, UDP, 4000, 53)


def test_a_source_is_translated_to_a_free_port() -> None:
    switch, connections = bridge(NAT), Conntrack()
    first, second = udp(port=54), udp(source=CLIENT + 1, port=54)
    assert leaves(switch.run(first, connections)) == ["22 10.1.0.9:4000>10.0.0.16:54"]
    assert leaves(switch.run(second, connections)) == ["22 10.1.0.9:4001>10.0.0.16:54"]
    answer = udp(VIP, 0x0A010009, 54, 4001, in_port=2)
    assert leaves(switch.run(answer, connections)) == ["20 10.0.0.16:54>10.0.0.103:4000"]


def test_rules_see_what_a_packet_was_before_it_was_translated_under_way() -> None:
    flows = """
table=0,ip,actions=ct(commit,zone=7,nat(dst=10.1.0.5:5300)),output:7,set_field:54->udp_dst,output:8,goto_table:1
table=1,udp,nw_dst=10.0.0.16,tp_dst=54,actions=output:9
table=1,priority=1,actions=output:10
"""
    ends = "10.0.0.102:4000>10.1.0.5"
    assert leaves(bridge(flows).run(udp(), Conntrack())) == [f"7 {ends}:5300", f"8 {ends}:54", f"9 {ends}:54"]


def test_a_range_is_used_from_the_chosen_address_and_port_on() -> None:
    switch = bridge("udp,actions=ct(commit,nat(src=10.1.0.5-10.1.0.6:70-72)),output:7")
    connections = Conntrack()
    packets = [udp(sender=4000 + number) for number in range(4)]
    sent = [leaves(switch.run(packet, connections, lambda _what, among: among - 1)) for packet in packets]
    assert [words[0].split()[1].split(">")[0] for words in sent[:3]] == ["10.1.0.6:72", "10.1.0.6:70", "10.1.0.6:71"]
    # Nothing is left to translate to, so the packet is not translated and its connection not remembered.
    assert sent[3] == ["7 10.0.0.102:4003>10.0.0.16:53"]


def test_fragments_have_no_ports_for_the_rules() -> None:
    flows = """
priority=3,udp,tp_dst=53,actions=output:7
priority=2,udp,tp_dst=0,ip_frag=first,actions=output:8
priority=2,udp,ip_frag=later,actions=output:9
"""
    sent = [ports(bridge(flows).run(udp(fragment=part), Conntrack())) for part in (0, 1, 1 | LATER)]
    assert sent == [[7], [8], [9]]


LEARN = """
table=0,priority=9,in_port=1,actions=learn(table=1,hard_timeout=300,priority=110,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],\
output:NXM_OF_IN_PORT[]),goto_table:1
table=0,priority=8,actions=goto_table:1
table=1,priority=1,actions=output:9
"""


def test_a_learned_rule_acts_on_later_packets() -> None:
    switch = bridge(LEARN)
    mac = 0x020000000066
    first = switch.run(Packet(FIELDS["dl_src"].put(udp().header, mac)), Conntrack())
    assert ports(first) == [9]
    assert first.learned[0].text.startswith("table=1,priority=110,dl_dst=02:00:00:00:00:66 learned by learn(table=1")
    back = Packet(FIELDS["dl_dst"].put(udp(in_port=4).header, mac))
    assert ports(switch.run(back, Conntrack())) == [9]
    switch.learn(first.learned)
    assert ports(switch.run(back, Conntrack())) == [1]


def test_a_lesson_may_set_fields_and_match_constants() -> None:
    matches = "eth_type=0x800,NXM_OF_IP_DST[]=NXM_OF_IP_SRC[]"
    changes = "load:NXM_OF_IP_DST[]->NXM_NX_REG0[],load:5->NXM_NX_REG1[]"
    (rule,) = bridge(f"actions=learn(table=1,{matches},{changes})").run(udp(), Conntrack()).learned
    assert "dl_type=0x800" in rule.text
    assert f"nw_dst={CLIENT:#x}" in rule.text
    other = udp(0x01010101, CLIENT)
    switch = bridge("actions=goto_table:1\ntable=2,reg0=0x0a000010,reg1=5,actions=output:7")
    switch.learn([rule])
    assert switch.look_up(1, other.header) is rule


@pytest.mark.parametrize(
    "lesson",
    [
        "table=1,NXM_OF_VLAN_TCI[0..11]",
        "table=1,limit=5",
        "table=1,NXM_OF_ETH_DST[]=NXM_NX_REG0[]",
        "table=1,load:5",
        "table=1,send_flow_rem",
    ],
)
def test_lessons_that_are_not_modelled_are_refused(lesson: str) -> None:
    with pytest.raises(FlowTextError, match="learn"):
        bridge(f"actions=learn({lesson}),output:2")
