# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules that packets teach the switch: the same as in the simulator, and packets that meet them go the same way."""

from __future__ import annotations

import random
from pathlib import Path

from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.conntrack import Conntrack, Packet, Tuple
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.fields import FIELDS, UDP, Bits
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.rules import FlowReader, Rule
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.simulator import Simulator

from tests.integration.verify.conftest import Laboratory, Loaded
from tests.integration.verify.wire import Wire, packet_of

# The first rule is that of the design documents, whose table somebody consults here.
FLOWS = """
table=0,priority=9,in_port=1,ip,actions=learn(table=1,hard_timeout=300,priority=110,\
NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[]),goto_table:1
table=0,priority=8,in_port=2,udp,tp_dst=7,actions=learn(table=1,priority=120,cookie=0x5,eth_type=0x800,nw_proto=17,\
NXM_OF_IP_DST[]=NXM_OF_IP_SRC[],NXM_OF_UDP_SRC[]=NXM_OF_UDP_DST[],load:0x9->NXM_NX_REG3[],\
load:NXM_OF_IP_DST[]->NXM_OF_IP_SRC[],output:NXM_OF_IN_PORT[]),resubmit(,1),output:3
table=0,priority=1,actions=goto_table:1
table=1,priority=1,actions=output:4
"""
PORTS = {f"port{number}": number for number in range(1, 7)}
MACS = (0x020000000002, 0x020000000005)
HOSTS = (0x0A000001, 0x0A000002)


def packets(rng: random.Random) -> list[Packet]:
    found = []
    for _packet in range(120):
        ends = Tuple(rng.choice(HOSTS), rng.choice(HOSTS), UDP, rng.choice((7, 8)), rng.choice((7, 8)))
        header = packet_of(rng.choice((1, 2, 5, 6)), ends).header
        found.append(Packet(FIELDS["dl_dst"].put(header, rng.choice(MACS))))
    return found


def known(rules: list[Rule]) -> dict[tuple[int, Bits], tuple[object, ...]]:
    """Later lessons of the same match take the place of earlier ones."""
    return {(rule.priority, rule.bits): (rule.actions, rule.cookie) for rule in rules if rule.priority > 1}


def learned(lab: Laboratory, bridge: Loaded) -> list[Rule]:
    """The rules of table 1 of the switch."""
    dump = lab.ovs.run(
        "ovs-ofctl", "-O", "OpenFlow15", "--no-stats", "--no-names", "dump-flows", bridge.name, "table=1"
    )
    lines = [line.strip().replace("hard_timeout=300,", "") for line in dump.splitlines() if "actions=" in line]
    return FlowReader(PORTS).read(lines)


def test_packets_teach_switch_and_simulator_the_same(lab: Laboratory, tmp_path: Path) -> None:
    flows = FLOWS.strip().splitlines()
    bridge = lab.load(flows, PORTS)
    wire = Wire(lab, bridge.name, PORTS.values(), tmp_path)
    simulator = Simulator(bridge.rules, PORTS.values())
    taught: list[Rule] = []
    seen = set()
    for packet in packets(random.Random(3)):
        result = simulator.run(packet, Conntrack())
        ours = sorted((sent.port, FIELDS["nw_src"].of(sent.header)) for sent in result.sent)
        real = wire.send_to_many(packet, len(ours))
        assert ours == sorted((sent.port, sent.source) for sent in real)
        seen |= {port for port, _source in ours}
        if result.learned:
            simulator.learn(result.learned)
            taught += result.learned
            # The switch forgets what it has cached of packets that meet the new rule.
            lab.control("revalidator/purge")
            assert known(learned(lab, bridge)) == known(taught)
    assert seen == {1, 2, 3, 4}
