# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Outputs of Open vSwitch 3.1.0, word for word."""

from __future__ import annotations

LIST = "\n".join(
    [
        '{"data":[["mesh","netdev","0000a2d1f4b00e4a","secure",["set",["OpenFlow10","OpenFlow13","OpenFlow15"]],'
        '["set",[]],["map",[["op-dbus-owner","socket_bridge"]]],'
        '["set",[["uuid","60d5d6b8-68ca-4e5d-9eac-d113fd292e9c"],["uuid","73910d84-e20c-4ed5-84b9-d42616ae52d2"],'
        '["uuid","87ed0f36-a7dc-43f7-a0fc-0a6eaf4b5c0e"]]]],'
        '["theirs","",["set",[]],["set",[]],["set",[]],["uuid","11111111-5f33-4ad5-a0c7-28bbd9b8b0a2"],["map",[]],'
        '["uuid","0d1c1b67-0a43-4ee4-9d4e-5bd3ba9c9ebd"]]],'
        '"headings":["name","datapath_type","datapath_id","fail_mode","protocols","controller","external_ids","ports"]}',
        '{"data":[[["uuid","73910d84-e20c-4ed5-84b9-d42616ae52d2"],"mesh",'
        '["uuid","e2aaa635-f0ef-4e93-9ade-fbb7a52b685c"],["map",[]]],'
        '[["uuid","60d5d6b8-68ca-4e5d-9eac-d113fd292e9c"],"veth102",'
        '["uuid","296ce9d2-4a11-4927-b046-3a88fa90a622"],["map",[]]],'
        '[["uuid","87ed0f36-a7dc-43f7-a0fc-0a6eaf4b5c0e"],"ovs-warp0",'
        '["uuid","9cc00e07-3e02-4ee8-9d7e-9c2be5cbbc9d"],["map",[]]],'
        '[["uuid","0d1c1b67-0a43-4ee4-9d4e-5bd3ba9c9ebd"],"theirs",'
        '["uuid","d7d1c3c1-a5fd-4f2e-b8fe-5b3a35b1b0f6"],["map",[]]]],'
        '"headings":["_uuid","name","interfaces","external_ids"]}',
        '{"data":[[["uuid","e2aaa635-f0ef-4e93-9ade-fbb7a52b685c"],"mesh",65534,["set",[]],["set",[]],["map",[]],7,"up"],'
        '[["uuid","296ce9d2-4a11-4927-b046-3a88fa90a622"],"veth102",32870,32870,["set",[]],'
        '["map",[["op-dbus-owner","lxc_service"]]],4,"up"],'
        '[["uuid","9cc00e07-3e02-4ee8-9d7e-9c2be5cbbc9d"],"ovs-warp0",-1,53211,'
        '"could not open network device ovs-warp0 (No such device)",["map",[["op-dbus-owner","socket_bridge"]]],'
        '["set",[]],["set",[]]],'
        '[["uuid","d7d1c3c1-a5fd-4f2e-b8fe-5b3a35b1b0f6"],"theirs",["set",[]],["set",[]],["set",[]],["map",[]],'
        '["set",[]],["set",[]]]],'
        '"headings":["_uuid","name","ofport","ofport_request","error","external_ids","ifindex","link_state"]}',
        '{"data":[[["uuid","11111111-5f33-4ad5-a0c7-28bbd9b8b0a2"],"tcp:127.0.0.1:6653"]],"headings":["_uuid","target"]}',
        "",
    ]
)

PARSED = """\
usable protocols: OXM,NXM+table_id
chosen protocol: OXM-OpenFlow15
OFPT_FLOW_MOD (OF1.5) (xid=0x1): ADD priority=200,arp,in_port=32870 cookie:0x6f6f000092e9bae6 actions=goto_table:5
OFPT_FLOW_MOD (OF1.5) (xid=0x2): ADD table:6 arp,arp_op=1 cookie:0x6f6f00065e828374 send_flow_rem actions=IN_PORT
OFPT_FLOW_MOD (OF1.5) (xid=0x3): ADD table:21 ip cookie:0x6f6f0015c3077967 idle:5 importance:3 actions=goto_table:50
OFPT_FLOW_MOD (OF1.5) (xid=0x4): ADD cookie:0x6f6f000000000001 check_overlap actions=drop
"""

DUMPED = """\
 cookie=0x6f6f000092e9bae6, priority=200,arp,in_port=32870 actions=goto_table:5
 cookie=0x6f6f00065e828374, table=6, send_flow_rem arp,arp_op=1 actions=IN_PORT
 cookie=0x6f6f0015c3077967, table=21, idle_timeout=5, importance=3, ip actions=goto_table:50
 cookie=0x6f6f000000000001, actions=drop
 priority=5 actions=learn(table=1,priority=5,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[]),NORMAL
"""

DIFFERED = """\
-priority=200,arp,in_port=32870 cookie=0x6f6f000092e9bae6 actions=goto_table:5
-table=21 ip cookie=0x6f6f0015c3077967 idle_timeout=5 importance=3 actions=goto_table:50
+table=21 ip cookie=0x6f6f0015c3077967 idle_timeout=5 importance=3 actions=drop
+cookie=0x6f6f000000000001 actions=drop
"""

NORMALIZED = """\
2026-11-22T03:50:42Z|00001|ofp_match|INFO|normalization changed ofp_match, details:
2026-11-22T03:50:42Z|00002|ofp_match|INFO| pre: tp_dst=443
2026-11-22T03:50:42Z|00003|ofp_match|INFO|post:
"""

CONNECTIONS = """\
tcp,orig=(src=10.0.0.102,dst=10.1.0.5,sport=1000,dport=8443),reply=(src=10.1.0.5,dst=10.0.0.102,sport=8443,dport=1000),zone=4242,mark=65638,protoinfo=(state=SYN_SENT)
udp,orig=(src=10.0.0.102,dst=10.1.0.5,sport=7,dport=53),reply=(src=10.1.0.5,dst=10.0.0.102,sport=53,dport=7),zone=4242,mark=65638
icmp,orig=(src=10.0.0.102,dst=10.1.0.5,id=0,type=8,code=0),reply=(src=10.1.0.5,dst=10.0.0.102,id=0,type=0,code=0),zone=4242,mark=65638
tcp,orig=(src=10.0.0.100,dst=10.1.0.5,sport=1000,dport=8443),reply=(src=10.1.0.5,dst=10.0.0.100,sport=8443,dport=1000),zone=4242,mark=65636,protoinfo=(state=ESTABLISHED)
udp,orig=(src=10.0.0.100,dst=10.1.0.5,sport=9,dport=53),reply=(src=10.1.0.5,dst=10.0.0.100,sport=53,dport=9),zone=4242
"""
