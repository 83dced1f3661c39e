# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our rules and the proven table do the same to packets, in the eyes of a real switch."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from tests.integration.ovs.private_ovs import PrivateOvs, private_ovs
from tests.lib.unixctl import Unixctl
from tests.unit.core.samples import like_reference, reference_flows

MADE = like_reference()
MESH, WARP = "ovs-nm-privacy", "ovs-warp0"
SENDERS = {
    "veth100": ("02:00:0a:00:00:64", "10.0.0.100"),
    "veth102": ("02:00:0a:00:00:66", "10.0.0.102"),
    MESH: ("02:01:5a:7f:f1:ef", "10.1.0.5"),
    WARP: ("02:01:e1:13:bd:43", "203.0.113.9"),
}
"""Port to the MAC and the address that may come in there."""

LOCAL, REMOTE = ["10.0.0.100", "10.0.0.102", "10.0.0.77"], ["10.1.0.5", "10.100.9.9", "203.0.113.9"]
NEVER = ["127.0.0.1", "169.254.1.1", "224.0.0.251", "0.0.0.1"]
LAYER4 = [
    "tcp,tcp_src=40000,tcp_dst=443,tcp_flags=syn",
    "tcp,tcp_src=40000,tcp_dst=443,tcp_flags=ack",
    "tcp,tcp_src=40000,tcp_dst=8443,tcp_flags=syn",
    "tcp,tcp_src=40000,tcp_dst=9999,tcp_flags=syn",
    "udp,udp_src=40000,udp_dst=443",
    "icmp,icmp_type=8,icmp_code=0",
]
STATES = ["ct_mark=0 new", "ct_mark=0x10066 est", "ct_mark=0x20001 est", "ct_mark=0x10066 est,rpl"]
STATES += ["ct_mark=0x20001 est,rpl", "ct_mark=0x20002 est,rpl", "ct_mark=0x20002 rel,rpl", "ct_mark=0 inv"]
_RECIRCULATION = re.compile(r"recirc\(0x[0-9a-f]+\)")
_ACTIONS = re.compile(r"^Datapath actions: (.*)$", re.MULTILINE)


@pytest.fixture(scope="module")
def ovs() -> Iterator[PrivateOvs]:
    with (
        tempfile.TemporaryDirectory(prefix="ovs-", dir="/tmp") as path,
        private_ovs(Path(path), "--enable-dummy=override") as switch,
    ):
        command = ["add-br", "mesh", "--", "set", "Bridge", "mesh", "datapath_type=netdev", "protocols=OpenFlow15"]
        for name, number in MADE.ports.items():
            command += ["--", "add-port", "mesh", name, "--", "set", "Interface", name, f"ofport_request={number}"]
        switch.vsctl(*command)
        yield switch


def ip(layer4: str, mac: str, source: str, target: str) -> str:
    protocol, comma, ports = layer4.partition(",")
    return f"{protocol},dl_src={mac},nw_src={source},nw_dst={target},nw_ttl=64{comma}{ports}"


def ip_packets() -> Iterator[tuple[str, str, str]]:
    """Sender's port, packet, state that connection tracking tells: honest senders everywhere, liars to one place."""
    for port, (mac, address) in SENDERS.items():
        for target, layer4, state in product(LOCAL + REMOTE + NEVER, LAYER4, STATES):
            yield port, ip(layer4, mac, address, target), state
        for other_mac, other in product({mac for mac, _address in SENDERS.values()}, [*LOCAL, *REMOTE]):
            for layer4, target in product(LAYER4[:1], ["10.0.0.102", "203.0.113.9"]):
                yield port, ip(layer4, other_mac, other, target), STATES[0]


def other_packets() -> Iterator[tuple[str, str, str]]:
    for (port, (mac, address)), operation in product(SENDERS.items(), (1, 2)):
        for sender, target in product([address, "10.0.0.77"], LOCAL + REMOTE):
            arp = f"arp,dl_src={mac},arp_op={operation},arp_spa={sender},arp_tpa={target},arp_tha=00:00:00:00:00:00"
            yield port, f"{arp},arp_sha={mac}", STATES[0]
            yield port, f"{arp},arp_sha=02:00:0a:00:00:64", STATES[0]
    for port, (mac, address) in SENDERS.items():
        yield port, f"{ip(LAYER4[0], mac, address, '10.0.0.102')},dl_vlan=7", STATES[0]
        yield port, f"ipv6,dl_src={mac},ipv6_src=fe80::1,ipv6_dst=ff02::1", STATES[0]
        yield port, f"dl_src={mac},dl_type=0x88cc", STATES[0]


def fates(ovs: PrivateOvs, lines: list[str]) -> dict[tuple[str, str, str], list[str]]:
    """What the switch with these rules does to each packet, before and after connection tracking."""
    ovs.ofctl("--names", "--bundle", "replace-flows", "mesh", "-", stdin="\n".join(lines))
    control = Unixctl(ovs.directory)
    found = {}
    for port, packet, state in [*ip_packets(), *other_packets()]:
        mark, flags = state.split(" ")
        flow = f"in_port={MADE.ports[port]},{packet},{mark}"
        traced = control("ofproto/trace", "mesh", flow, "--ct-next", f"trk,{flags}")
        found[port, packet, state] = _ACTIONS.findall(_RECIRCULATION.sub("recirc", traced))
    control.close()
    return found


def is_transit(port: str, packet: str, state: str) -> bool:
    """A packet from an uplink to the outside, on a connection that neither table ever lets begin."""
    target = re.search(r"nw_dst=([0-9.]+)", packet)
    on = "est" in state or "rel" in state
    return bool(target) and port in (MESH, WARP) and target[1] == "203.0.113.9" and on  # type: ignore[index]


def test_same_fate_for_every_packet(ovs: PrivateOvs) -> None:
    theirs, ours = fates(ovs, reference_flows()), fates(ovs, [flow.text() for flow in MADE.flows])
    differing = {packet for packet in theirs if theirs[packet] != ours[packet]}
    assert all(is_transit(*packet) for packet in differing)
    assert all(ours[packet][-1] == "drop" for packet in differing)
    assert len(theirs) > 2000
    assert len({str(actions) for actions in theirs.values()}) > 20


def test_a_changed_rule_would_be_seen(ovs: PrivateOvs) -> None:
    """Without the exposed service of the mesh, the comparison above fails."""
    lines = [line for line in reference_flows() if "reg0=0x20001,nw_dst=10.0.0.102,tp_dst=443" not in line]
    theirs, ours = fates(ovs, lines), fates(ovs, [flow.text() for flow in MADE.flows])
    assert not all(is_transit(*packet) for packet in theirs if theirs[packet] != ours[packet])
