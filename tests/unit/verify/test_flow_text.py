# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flow text is read as Open vSwitch reads it, or refused."""

from __future__ import annotations

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.actions import (
    Ct,
    Goto,
    Move,
    Nat,
    Output,
    Resubmit,
    SetField,
    ToGroup,
)
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.fields import (
    FIELDS,
    LOCAL,
    FlowTextError,
    flags_text,
    ipv4_text,
    mac_text,
)
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.rules import FlowReader, Rule


def rule(text: str) -> Rule:
    (only,) = FlowReader({"veth102": 32870}).read([text])
    return only


def value(read: Rule, name: str) -> tuple[int, int]:
    field = FIELDS[name]
    return field.of(read.bits.value), field.of(read.bits.mask)


@pytest.mark.parametrize(
    ("match", "name", "expected"),
    [
        ('in_port="veth102"', "in_port", (32870, 0xFFFFFFFF)),
        ("in_port=veth102", "in_port", (32870, 0xFFFFFFFF)),
        ("in_port=5", "in_port", (5, 0xFFFFFFFF)),
        ("in_port=local", "in_port", (LOCAL, 0xFFFFFFFF)),
        ("arp", "dl_type", (0x806, 0xFFFF)),
        ("icmp", "nw_proto", (1, 0xFF)),
        ("ip,nw_src=10.0.0.102", "nw_src", (0x0A000066, 0xFFFFFFFF)),
        ("ip,nw_src=10.0.0.102/24", "nw_src", (0x0A000000, 0xFFFFFF00)),
        ("ip,nw_src=10.0.0.102/32", "nw_src", (0x0A000066, 0xFFFFFFFF)),
        ("ip,nw_dst=0.0.0.0/0", "nw_dst", (0, 0)),
        ("ip,nw_dst=10.0.0.5/255.0.0.255", "nw_dst", (0x0A000005, 0xFF0000FF)),
        ("tcp,tp_dst=0x1bb", "tp_dst", (443, 0xFFFF)),
        ("tp_dst=443,tcp", "tp_dst", (443, 0xFFFF)),
        ("udp,udp_dst=53", "tp_dst", (53, 0xFFFF)),
        ("tcp,tp_dst=0x400/0xfc00", "tp_dst", (0x400, 0xFC00)),
        ("tcp,tcp_flags=-syn", "tcp_flags", (0, 2)),
        ("tcp,tcp_flags=+syn-ack", "tcp_flags", (2, 0x12)),
        ("ct_state=+new+trk", "ct_state", (0x21, 0x21)),
        ("ct_state=-new+rpl+trk,ip", "ct_state", (0x28, 0x29)),
        ("ct_mark=0x20001", "ct_mark", (0x20001, 0xFFFFFFFF)),
        ("reg0=0x10000/0x30000", "reg0", (0x10000, 0x30000)),
        ("vlan_tci=0x1000/0x1000", "vlan_tci", (0x1000, 0x1000)),
        ("dl_src=02:00:0A:00:00:66", "dl_src", (0x02000A000066, 0xFFFFFFFFFFFF)),
        ("dl_dst=01:00:00:00:00:00/01:00:00:00:00:00", "dl_dst", (1 << 40, 1 << 40)),
        ("arp,arp_op=1", "arp_op", (1, 0xFF)),
        ("icmp,icmp_type=8", "tp_src", (8, 0xFFFF)),
        ("icmp_code=3,icmp", "tp_dst", (3, 0xFFFF)),
        ("ip,ip_frag=not_later", "nw_frag", (0, 2)),
        ("ip,nw_frag=yes", "nw_frag", (1, 1)),
    ],
)
def test_match(match: str, name: str, expected: tuple[int, int]) -> None:
    assert value(rule(f"{match},actions=drop"), name) == expected


def test_settings_and_their_defaults() -> None:
    read = rule("cookie=0x6f6f0000,table=21,priority=200,ip,actions=drop")
    assert (read.cookie, read.table, read.priority, read.actions, read.line) == (0x6F6F0000, 21, 200, (), 1)
    read = rule("actions=drop")
    assert (read.cookie, read.table, read.priority, read.bits.mask) == (0, 0, 32768, 0)


def test_actions() -> None:
    text = "set_field:0x10066/0x30000->reg0,move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],output:veth102,IN_PORT,dec_ttl"
    first, second, third, *_others = rule(f"arp,actions={text},goto_table:60").actions
    assert isinstance(first, SetField)
    assert (FIELDS["reg0"].of(first.bits.value), FIELDS["reg0"].of(first.bits.mask)) == (0x10000, 0x30000)
    assert second == Move(FIELDS["arp_sha"], FIELDS["arp_tha"])
    assert third == Output(32870)
    commit, goto = rule("actions=ct(commit,zone=4242,exec(move:NXM_NX_REG0[]->NXM_NX_CT_MARK[])),goto_table:70").actions
    assert commit == Ct(4242, True, None, (Move(FIELDS["reg0"], FIELDS["ct_mark"]),))
    assert goto == Goto(70)
    assert rule("actions=ct(table=3,nat)").actions == (Ct(0, False, 3, (), Nat()),)
    (nat,) = rule("actions=ct(commit,nat(dst=10.0.0.1-10.0.0.9:80-90,random))").actions
    assert nat == Ct(0, True, None, (), Nat("dst", (0x0A000001, 0x0A000009), (80, 90)))
    through = rule("actions=resubmit(,5),resubmit:veth102,resubmit(7,8),group:9").actions
    assert through == (Resubmit(None, 5), Resubmit(32870, None), Resubmit(7, 8), ToGroup(9))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("tp_dst=443,actions=drop", "without tcp or udp"),
        ("ip,tp_dst=443,actions=drop", "without tcp or udp"),
        ("nw_dst=10.0.0.1,actions=drop", "without ip"),
        ("arp,nw_dst=10.0.0.1,actions=drop", "without ip"),
        ("ip,arp_spa=10.0.0.1,actions=drop", "without arp"),
        ("udp,tcp_flags=+syn,actions=drop", "without tcp"),
        ("tcp,udp,actions=drop", "contradicts"),
        ("ip,nw_src=10.0.0.1,nw_src=10.0.0.2,actions=drop", "twice"),
        ("ip,nw_src=10.0.0.0/8,ip_src=10.1.0.0/16,actions=drop", "twice"),
        ("priority=1,priority=2,actions=drop", "twice"),
        ("metadata=1,actions=drop", "unknown"),
        ("icmp_type=8,actions=drop", "without icmp"),
        ("icmp,icmp_type=256,actions=drop", "8 bits"),
        ("ip_frag=first,actions=drop", "without ip"),
        ("ip,ip_frag=1,actions=drop", "none of no, yes, first"),
        ("tcp6,actions=drop", "unknown"),
        ("nw_ttl=1,ip,actions=drop", "not matched"),
        ("idle_timeout=5,actions=drop", "unknown"),
        ("priority=65536,actions=drop", "16 bits"),
        ("table=255,actions=drop", "no table"),
        ("priority=010,actions=drop", "not a number"),
        ("ip,nw_src=10.0.0.256,actions=drop", "IPv4"),
        ("ip,nw_src=10.0.0.0/33,actions=drop", "prefix length"),
        ("ip,nw_src=xray,actions=drop", "IPv4"),
        ("dl_src=2:0:a:0:0:66,actions=drop", "MAC"),
        ("ct_state=new,actions=drop", "flags"),
        ("ct_state=+fresh,actions=drop", "no flag"),
        ("ct_state=+new-new,actions=drop", "twice"),
        ("dl_type=0x800/0xff00,actions=drop", "no mask"),
        ("in_port=flood,actions=drop", "no port"),
        ("in_port=,actions=drop", "no port"),
        ('in_port="",actions=drop', "no port"),
        ('in_port=",actions=drop', "no port"),
        ("in_port=65536,actions=drop", "16 bits"),
        ("ip", "no actions"),
        ("ipactions=drop", "no actions"),
        ("ip,actions=", "no actions"),
        ("ip,actions=flood", "unknown"),
        ("ip,actions=drop,output:1", "unknown"),
        ("ip,actions=resubmit(,)", "a port or a table"),
        ("ip,actions=resubmit(,5,ct)", "not a number"),
        ("ip,actions=group:all", "not a number"),
        ("ip,actions=goto_table:5,output:1", "last"),
        ("ip,actions=goto_table:255", "no table"),
        ("ip,actions=ct(commit,nat(src))", "range of them"),
        ("ip,actions=ct(commit,nat(src=10.0.0.1,dst=10.0.0.2))", "range of them"),
        ("ip,actions=ct(commit,nat(src=10.0.0.9-10.0.0.1))", "goes up"),
        ("ip,actions=ct(commit,nat(src=10.0.0.1:0))", "begin at 1"),
        ("ip,actions=ct(nat(src=10.0.0.1))", "commit only"),
        ("ip,actions=ct(zone=1,exec(set_field:1->ct_mark))", "commit only"),
        ("ip,actions=ct(commit,exec(set_field:1->reg0))", "not changed here"),
        ("ip,actions=ct(commit", "parentheses"),
        ("ip,actions=ct(commit))", "parentheses"),
        ("ip,actions=set_field:1->in_port", "not changed here"),
        ("ip,actions=set_field:5", "unknown"),
        ("ip,actions=move:NXM_NX_REG0[0..15]->NXM_NX_REG1[0..15]", "whole known fields"),
        ("ip,actions=move:NXM_NX_REG0[]->NXM_OF_ETH_SRC[]", "width"),
        ("ip,actions=learn(priority=1)", "one table"),
    ],
)
def test_what_is_not_known_is_refused(text: str, why: str) -> None:
    with pytest.raises(FlowTextError, match=why):
        rule(text)


def test_every_line_that_is_not_understood_is_named() -> None:
    with pytest.raises(FlowTextError, match=r"(?s)line 1, 'what'.*line 4, 'metadata=1,actions=drop'"):
        FlowReader().read(["what", "# a comment", "", "metadata=1,actions=drop"])


def test_comments_and_empty_lines_keep_their_numbers() -> None:
    assert [read.line for read in FlowReader().read(["# one", "", "actions=drop"])] == [3]


def test_names_without_numbers_are_ports_of_their_own() -> None:
    reader = FlowReader({"veth102": 5})
    assert reader.port("veth9") != reader.port("veth8")
    assert [reader.port_name(reader.port(name)) for name in ("veth9", "veth102", "LOCAL", "7")] == [
        "veth9",
        "veth102",
        "LOCAL",
        "7",
    ]


def test_values_are_written_as_they_are_read() -> None:
    assert mac_text(0x02000A000066) == "02:00:0a:00:00:66"
    assert ipv4_text(0x0A000066) == "10.0.0.102"
    assert (flags_text("ct_state", 0x21), flags_text("tcp_flags", 0)) == ("new|trk", "0")
