# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flows: cutting canonical text, comparing, bundling and revoking, all without a switch."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._ovs.conntrack import (
    Revocation,
    flush,
    matching,
    revocation,
    revoked,
)
from ansible_collections.op_dbus.socket_network.plugins.module_utils._ovs.flow_plan import (
    Changes,
    bundle,
    compare,
    differing_keys,
    listing,
)
from ansible_collections.op_dbus.socket_network.plugins.module_utils._ovs.flows import (
    Flow,
    canonical,
    owned,
    parse_dump,
    parse_line,
    split,
    with_names,
    with_numbers,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.ovs.recorded import Recorded
from tests.unit.ovs.recordings import CONNECTIONS, DIFFERED, DUMPED, PARSED

OWNER = 0x6F6F
ARP = Flow(0, "priority=200,arp,in_port=32870", 0x6F6F000092E9BAE6, "goto_table:5")
REPLY = Flow(6, "arp,arp_op=1", 0x6F6F00065E828374, "IN_PORT", (), frozenset({"send_flow_rem"}))
TIMED = Flow(21, "ip", 0x6F6F0015C3077967, "goto_table:50", ("idle_timeout=5", "importance=3"))
DROP = Flow(0, "", 0x6F6F000000000001, "drop")


class TestText:
    def test_one_flow_in_each_dialect(self) -> None:
        """parse-flows, dump-flows and our own file cut to the same flows."""
        wanted = [ARP, REPLY, TIMED, DROP]
        parsed = canonical(Recorded({"parse-flows": (0, PARSED, "")}), ["1", "2", "3", "4"])
        assert parsed == wanted
        assert parse_dump(DUMPED)[:4] == wanted
        assert parse_dump("# a comment\n" + "".join(f"{flow.text}\n" for flow in wanted)) == wanted

    def test_a_match_that_looks_like_a_field_of_ours_stays_a_match(self) -> None:
        flow = parse_line("cookie=0x1, table=3, priority=1,metadata=0x5,nw_tos=4 actions=learn(table=1,cookie=0x9)")
        assert (flow.table, flow.cookie) == (3, 1)
        assert flow.match == "priority=1,metadata=0x5,nw_tos=4"
        assert flow.actions == "learn(table=1,cookie=0x9)"

    def test_differences(self) -> None:
        assert differing_keys(DIFFERED) == {ARP.key, TIMED.key, DROP.key}

    def test_owners(self) -> None:
        ours, foreign = split(parse_dump(DUMPED), OWNER)
        assert len(ours) == 4
        assert [flow.table for flow in foreign] == [0]

    def test_order_is_a_packets_order(self) -> None:
        flows = [replace(DROP, match=match) for match in ("priority=5,ip", "ip", "priority=65535", "priority=0")]
        assert [flow.priority for flow in sorted(flows, key=lambda flow: flow.order)] == [65535, 32768, 5, 0]

    def test_names_there_and_back(self) -> None:
        ports = {"veth102": 32870, "gw": 328}
        (line,) = with_numbers(['in_port="veth102",actions=output:"gw",output:"veth102"'], ports)
        assert line == "in_port=32870,actions=output:328,output:32870"
        names = {number: name for name, number in ports.items()}
        assert with_names(line, names) == 'in_port="veth102",actions=output:"gw",output:"veth102"'
        assert with_names("in_port=3287,actions=output:9,resubmit(32870,)", names).count('"') == 0

    def test_a_cookie_follows_from_table_and_match_alone(self) -> None:
        flows = [replace(ARP, cookie=0), replace(DROP, cookie=0, table=3)]
        first = owned(flows, ["a", "b"], OWNER)
        second = owned([replace(flow, actions="LOCAL") for flow in reversed(flows)], ["b", "a"], OWNER)
        assert {flow.cookie for flow in first} == {flow.cookie for flow in second}
        assert [flow.cookie >> 32 for flow in first] == [0x6F6F0000, 0x6F6F0003]

    def test_listing_has_origins(self) -> None:
        text = listing([DROP, ARP], {32870: "veth102"}, {ARP.cookie: "node: containers[1]"})
        assert text.splitlines() == [
            "table=0 actions=drop  # 0x6f6f000000000001",
            'table=0 priority=200,arp,in_port="veth102" actions=goto_table:5  # 0x6f6f000092e9bae6 node: containers[1]',
        ]


class TestBundle:
    def test_nothing(self) -> None:
        changes = compare([ARP, DROP], [ARP, DROP], set())
        assert not changes
        assert changes.unchanged == 2

    def test_actions_change_in_place(self) -> None:
        wanted = replace(ARP, actions="drop")
        changes = compare([ARP], [wanted], {ARP.key})
        assert bundle(changes, [wanted], OWNER) == [
            "flow modify_strict table=0,cookie=0x6f6f000092e9bae6/-1,priority=200,arp,in_port=32870 actions=drop"
        ]

    @pytest.mark.parametrize("change", [{"options": ("idle_timeout=9",)}, {"flags": frozenset({"send_flow_rem"})}])
    def test_what_cannot_change_in_place_is_replaced(self, change: dict[str, object]) -> None:
        wanted = replace(ARP, **change)
        changes = compare([ARP], [wanted], {ARP.key} if "options" in change else set())
        assert bundle(changes, [wanted], OWNER) == [
            "flow delete table=0,cookie=0x6f6f000092e9bae6/-1",
            f"flow add {wanted.text}",
        ]

    def test_everything_goes_by_one_mask(self) -> None:
        changes = compare([ARP, DROP], [], set())
        assert bundle(changes, [], OWNER) == ["flow delete cookie=0x6f6f000000000000/0xffff000000000000"]

    def test_flows_that_print_alike_are_told_apart(self) -> None:
        """What a silently widened match leaves behind prints like another rule, and only its cookie removes it."""
        widened = replace(DROP, cookie=0x6F6F000000000002, actions="LOCAL")
        for have in ([DROP, widened], [widened, DROP]):
            lines = bundle(compare(have, [DROP], set()), [DROP], OWNER)
            assert lines == [
                "flow delete table=0,cookie=0x6f6f000000000001/-1",
                "flow delete table=0,cookie=0x6f6f000000000002/-1",
                f"flow add {DROP.text}",
            ]


MATCHES = st.sampled_from(["", "ip", "arp", "priority=5,ip"])
FLOWS = st.builds(
    Flow,
    table=st.integers(0, 1),
    match=MATCHES,
    cookie=st.integers(1, 4).map(lambda number: OWNER << 48 | number),
    actions=st.sampled_from(["drop", "LOCAL"]),
    options=st.sampled_from([(), ("idle_timeout=5",)]),
)
FOUND = st.lists(FLOWS, unique_by=lambda flow: flow.key)
WANTED = st.lists(FLOWS, unique_by=(lambda flow: flow.key, lambda flow: flow.cookie))


def switched(flows: list[Flow], lines: list[str]) -> set[Flow]:
    """What a switch with ``flows`` has after the bundle ``lines``."""
    table = {flow.key: flow for flow in flows}
    for line in lines:
        command = re.fullmatch(r"flow (\w+) (.*)", line)
        assert command
        verb, rest = command[1], command[2]
        masked = re.match(r"(?:table=(\d+),)?cookie=(0x[0-9a-f]+)/(-1|0x[0-9a-f]+),?", rest)
        if verb == "add":
            added = parse_line(rest)
            table[added.key] = added
            continue
        assert masked
        number, cookie, mask = masked[1], int(masked[2], 0), int(masked[3], 0)
        chosen = [
            flow for flow in table.values() if flow.cookie & mask == cookie & mask and number in (None, str(flow.table))
        ]
        if verb == "delete":
            for flow in chosen:
                del table[flow.key]
        else:
            wanted = parse_line(rest[masked.end() :])
            for flow in chosen:
                if flow.match == wanted.match:
                    table[flow.key] = replace(flow, actions=wanted.actions)
    return set(table.values())


@given(have=FOUND, want=WANTED)
def test_a_bundle_makes_the_wanted_of_the_found(have: list[Flow], want: list[Flow]) -> None:
    """Also where somebody has given several rules one of our cookies."""
    found = {flow.key: flow for flow in have}
    changes = compare(have, want, {flow.key for flow in want if found.get(flow.key, flow) != flow})
    lines = bundle(changes, want, OWNER) if changes else []
    assert switched(have, lines) == set(want)
    assert len(changes.added) + len(changes.modified) + changes.unchanged == len(want)
    assert len(changes.removed) + len(changes.modified) + changes.unchanged == len(have)


class TestRevocation:
    POLICY = Flow(40, "priority=200,tcp,reg0=0x20001,nw_dst=10.0.0.102,tp_dst=443", 1, "goto_table:50")

    @pytest.mark.parametrize(
        ("match", "text", "mark"),
        [
            ("tcp,reg0=0x20001,nw_dst=10.0.0.102,tp_dst=443", "ct_nw_dst=10.0.0.102,ct_tp_dst=443,ct_nw_proto=6", None),
            ("udp,nw_src=10.0.0.9,tp_src=53", "ct_nw_src=10.0.0.9,ct_tp_src=53,ct_nw_proto=17", None),
            ("icmp,nw_dst=10.0.0.9,icmp_type=8", "ct_nw_dst=10.0.0.9,ct_nw_proto=1", None),
            ("ip,nw_proto=47,nw_dst=10.0.0.9", "ct_nw_dst=10.0.0.9,ct_nw_proto=47", None),
            ("priority=100,ip,reg0=0x10066", "", (0x10066, 0xFFFFFFFF)),
            ("udp,reg0=0x10000/0x30000,tp_dst=53", "ct_tp_dst=53,ct_nw_proto=17", (0x10000, 0x30000)),
            ("ip,reg0=0x10066,nw_dst=10.0.0.0/24", "", (0x10066, 0xFFFFFFFF)),
            ("ip,nw_dst=10.0.0.0/24", "", None),
        ],
    )
    def test_tuple(self, match: str, text: str, mark: tuple[int, int] | None) -> None:
        assert revocation(replace(self.POLICY, match=match)) == Revocation(text, mark)

    def test_only_rules_that_let_in_and_no_longer_do(self) -> None:
        other_table = replace(self.POLICY, table=50)
        drop = replace(self.POLICY, match="ip", actions="drop")
        changed = replace(self.POLICY, match="arp")
        changes = Changes(
            removed=(self.POLICY, other_table, drop), modified=((changed, replace(changed, actions="LOCAL")),)
        )
        assert revoked(changes, [], [replace(changed, actions="LOCAL")]) == [self.POLICY]
        assert revoked(Changes(), [self.POLICY], []) == [self.POLICY]
        assert revoked(Changes(), [self.POLICY], [self.POLICY]) == []

    def test_connections_by_mark(self) -> None:
        assert matching(CONNECTIONS, Revocation("", (0x10066, 0xFFFFFFFF))) == [
            "ct_nw_src=10.0.0.102,ct_nw_dst=10.1.0.5,ct_tp_src=1000,ct_tp_dst=8443,ct_nw_proto=6",
            "ct_nw_src=10.0.0.102,ct_nw_dst=10.1.0.5,ct_tp_src=7,ct_tp_dst=53,ct_nw_proto=17",
            "ct_nw_src=10.0.0.102,ct_nw_dst=10.1.0.5,ct_nw_proto=1",
        ]
        assert len(matching(CONNECTIONS, Revocation("ct_tp_dst=8443,ct_nw_proto=6", (0x10000, 0x30000)))) == 2
        assert len(matching(CONNECTIONS, Revocation("", (0, 0xFFFFFFFF)))) == 1

    def test_equal_tuples_are_flushed_once(self) -> None:
        runner = Recorded({"dpctl/flush-conntrack": (0, "", "")}, writable=True)
        others = replace(self.POLICY, match=self.POLICY.match.replace("0x20001", "0x10000/0x30000"))
        assert flush(runner, 4242, [self.POLICY, others]) == 1
        assert runner.calls[0][2:] == (
            "dpctl/flush-conntrack",
            "zone=4242",
            "ct_nw_dst=10.0.0.102,ct_tp_dst=443,ct_nw_proto=6",
        )

    def test_a_rule_for_everything_flushes_the_zone_alone(self) -> None:
        runner = Recorded({"dpctl/flush-conntrack": (0, "", "")}, writable=True)
        assert flush(runner, 7, [self.POLICY, replace(self.POLICY, match="ip")]) == 1
        assert runner.calls[0][2:] == ("dpctl/flush-conntrack", "zone=7")
