# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flow text as people write it: what Open vSwitch rewrites must not look like drift, what it would widen is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.ovs.conftest import Apply, Module
from tests.integration.ovs.private_ovs import PrivateOvs

REWRITTEN = [
    "ip,nw_proto=6,tcp_dst=0x1bb,actions=drop",
    "dl_type=0x0800,actions=drop",
    "ip,nw_dst=10.0.0.9/24,actions=drop",
    "ipv6,ipv6_dst=2001:DB8::0:1/64,actions=drop",
    "ip,ct_state=+trk+new,actions=drop",
    "ip,ct_state=+new-inv+trk,actions=ct(commit,zone=4242,exec(load:5->NXM_NX_CT_MARK[]))",
    "priority=32768,tcp6,actions=drop",
    "arp,actions=load:5->NXM_NX_REG0[],LOCAL",
    "ip,actions=mod_dl_dst:02:00:00:00:00:01,mod_nw_dst:10.0.0.1,dec_ttl,LOCAL",
    "ip,actions=set_field:0x10066->reg0,goto_table:5",
    "vlan_tci=0x1000/0x1000,actions=strip_vlan,LOCAL",
    "dl_vlan=5,actions=pop_vlan,output:LOCAL",
    "actions=note:00.01.02",
    "icmp,icmp_type=8,icmp_code=0,actions=controller:65535",
    "reg0=0x10000/0x30000,actions=drop",
    "tcp,tcp_flags=-syn,actions=drop",
    "udp,tp_dst=0x35/0xffff,actions=resubmit(,7)",
    "idle_timeout=900,hard_timeout=1000,importance=3,ip,actions=drop",
    "send_flow_rem,ip,actions=drop",
    "check_overlap,ip,actions=drop",
    "no_packet_counts,no_byte_counts,ip,actions=drop",
    "table=0,priority=1,in_port=LOCAL,actions=normal",
    'in_port="veth100",actions=output:"veth102",in_port',
    "table=253,priority=65535,metadata=0xff/0xff,actions=drop",
    "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00,actions=drop",
    "arp,arp_op=1,arp_tpa=10.0.0.0/24,actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],set_field:2->arp_op,IN_PORT",
    "sctp,tp_dst=9,actions=drop",
    "ip actions=drop",
    "  ip , priority=4 ,actions=drop ",
    "tun_id=0x5,actions=drop",
    "actions=learn(table=1,idle_timeout=5,priority=5,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[])",
    "ip,actions=multipath(symmetric_l4,1024,modulo_n,2,0,NXM_NX_REG0[0..1])",
    "ip,actions=clone(set_field:1->reg0,LOCAL),IN_PORT",
    "cookie=0x6f6f000012345678,ip,actions=drop",
]


@pytest.fixture
def bridge(ovs: PrivateOvs, apply: Apply) -> Apply:
    """With a foreign rule that no flow below equals."""
    ovs.ofctl("add-flow", "mesh", "table=99,actions=NORMAL")
    return apply


def test_rewritten_flows_converge(ovs: PrivateOvs, bridge: Apply) -> None:
    """Each alone, on one switch: applied, unchanged, then all removed again."""
    for flow in REWRITTEN:
        first = bridge([flow])
        assert first.get("counts", {}).get("added") == 1, (flow, first.get("msg"))
        second = bridge([flow])
        assert not second["changed"], (flow, second["diff"])
        assert bridge([])["counts"]["removed"] == 1, flow
    assert len(ovs.flows("mesh")) == 1


def test_flags_alone_make_a_difference(ovs: PrivateOvs, bridge: Apply) -> None:
    """diff-flows does not look at them."""
    bridge(["priority=5,ip,actions=drop"])
    assert bridge(["priority=5,send_flow_rem,ip,actions=drop"])["counts"]["modified"] == 1
    assert any("send_flow_rem" in flow for flow in ovs.flows("mesh"))
    assert not bridge(["priority=5,send_flow_rem,ip,actions=drop"])["changed"]


GOOD = "table=1,actions=drop"
REFUSED: list[tuple[list[str], dict[str, Any], str]] = [
    ([GOOD, "tcp_dst=443,actions=drop"], {}, "Flow 2 (tcp_dst=443,actions=drop) is not valid: Open vSwitch would drop"),
    (["nw_dst=10.0.0.1,actions=drop", GOOD], {}, "Flow 1 (nw_dst=10.0.0.1,actions=drop) is not valid: Open vSwitch"),
    ([GOOD, "foo=4,actions=drop"], {}, "Flow 2 (foo=4,actions=drop) is not valid: unknown keyword foo."),
    (["ip,nw_dst=10.0.0.300,actions=drop"], {}, "is not valid: 10.0.0.300 is not an IPv4 address"),
    (["ip"], {}, "Flow 1 (ip) is not valid: must specify an action."),
    (["in_port=veth100,actions=drop"], {}, "Flow 1 (in_port=veth100,actions=drop) is not valid: veth100: invalid or"),
    ([GOOD, "actions=strip_vlan"], {}, "Flow 2 (actions=strip_vlan) is not valid: OpenFlow 1.5 cannot express it."),
    (["actions=goto_table:300"], {}, "Flow 1 (actions=goto_table:300) is not valid: "),
    (["delete table=1,actions=drop"], {}, "Flow 1 (delete table=1,actions=drop) is not valid: "),
    (["cookie=1/-1,actions=drop"], {}, "is not valid: flow additions cannot use a cookie mask."),
    (['in_port="veth9",actions=drop'], {}, "not in `ports`: 'veth9' (flow 1); known ports: veth100, veth102."),
    (["cookie=0x5,actions=drop"], {}, "has the cookie 0x5, which does not start with the owner 0x6f6f."),
    (["cookie=0,actions=drop"], {}, "has the cookie 0x0, which does not start with the owner 0x6f6f."),
    (
        ["tcp,tp_dst=80,actions=drop", "tcp,tcp_dst=0x50,actions=LOCAL"],
        {"on_finding": "fail"},
        "Has the match and priority of line 2",
    ),
    (
        ["tun_id=5,actions=drop", "tun_id=0x5,actions=LOCAL"],
        {},
        "Flows 1 and 2 have the same table",
    ),
    (
        ["cookie=0x6f6f000000000001,ip,actions=drop", "cookie=0x6f6f000000000001,arp,actions=drop"],
        {},
        "Flows 1 and 2 have the same cookie 0x6f6f000000000001",
    ),
    (["# a comment"], {}, "Flow 1 ('# a comment') is not one line of flow text."),
    ([""], {}, "Flow 1 ('') is not one line of flow text."),
    (["ip,actions=drop\narp,actions=drop"], {}, "is not one line of flow text."),
    (
        [GOOD],
        {"ports": {"veth100": 7, "veth102": 7}},
        "Ports veth100 and veth102 of bridge mesh want the same OpenFlow",
    ),
    ([GOOD], {"ports": {"veth100": 65280}}, "Port veth100 of bridge mesh: OpenFlow port number 65280 is out of range."),
    ([GOOD], {"ports": {"veth100": "many"}}, "ports: number of veth100 is 'many', which is not a number."),
    ([GOOD], {"origins": {"warp": "x"}}, "origins: cookie is 'warp', which is not a number."),
    ([GOOD], {"owner": 0}, "Cookie owner 0x0 is out of range."),
    ([GOOD], {"flush_revoked": True}, "flush_revoked needs to know the conntrack zone of the bridge."),
    ([GOOD], {"flush_revoked": True, "ct_zone": 0}, "Conntrack zone 0 is out of range."),
    ([GOOD], {"bridge": "a name"}, "Bridge name 'a name' is not valid."),
    ([GOOD], {"durable": "flows"}, "Path 'flows' of the durable file is not absolute."),
    ([GOOD], {"ports": {"veth100": 32869}}, "Bridge mesh: port veth100 has number 32868, but its flows use 32869."),
    ([GOOD], {"ports": {"veth104": 32870}}, "Bridge mesh: port veth102 has number 32870, which belongs to veth104."),
]


def test_refused_before_anything_is_touched(ovs: PrivateOvs, bridge: Apply, durable: Any) -> None:
    bridge(["table=2,actions=drop"])
    before, kept = ovs.state(), durable.read_text()
    for flows, more, message in REFUSED:
        result = bridge(flows, **more)
        assert result.get("failed"), (flows, more)
        assert message in result["msg"]
        assert " Fix: " in result["msg"]
        assert ovs.state() == before
        assert durable.read_text() == kept


def test_controller_is_refused(ovs: PrivateOvs, bridge: Apply) -> None:
    ovs.vsctl("set-controller", "mesh", "tcp:127.0.0.1:6653", "ptcp:6654:127.0.0.1")
    before = ovs.state()
    for check in (True, False):
        message = bridge([GOOD], check=check)["msg"]
        assert message.startswith(
            "Bridge mesh has the OpenFlow controller ptcp:6654:127.0.0.1, tcp:127.0.0.1:6653. Fix: run"
        )
    assert ovs.state() == before


def test_wrong_number_is_a_warning_in_check_mode(bridge: Apply) -> None:
    """There ovs_bridge has not run before and put it right. Ansible takes warnings elsewhere where it runs itself."""
    result = json.loads(bridge.apart([GOOD], check=True, ports={"veth100": 32869}).stdout)
    assert "Bridge mesh: port veth100 has number 32868, but its flows use 32869." in json.dumps(result["warnings"])
    assert result["changed"]


def test_rules_for_ports_that_are_not_there_yet(ovs: PrivateOvs, bridge: Apply, run: Module) -> None:
    ports = {**Apply.PORTS, "veth104": 32872}
    flow = 'in_port="veth104",actions=output:"veth102"'
    bridge([flow], ports=ports)
    assert run("ovs_bridge", name="mesh", ports=[{"name": "veth104", "ofport": 32872}])["changed"]
    result = bridge([flow], ports=ports)
    assert not result["changed"]
    assert 'in_port="veth104" actions=output:"veth102"' in bridge([], state="gathered")["flows"][0]
    assert any("in_port=32872" in line for line in ovs.flows("mesh"))
