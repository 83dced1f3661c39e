# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections of a revoked rule end, all others go on. Packets are real ones, in the switch's own conntrack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.ovs.conftest import Apply
from tests.integration.ovs.private_ovs import PrivateOvs

ZONE = 4242
PIPELINE = [
    'table=0,priority=200,ip,in_port="veth100",actions=set_field:0x10064->reg0,ct(table=21,zone=4242)',
    'table=0,priority=200,ip,in_port="veth102",actions=set_field:0x10066->reg0,ct(table=21,zone=4242)',
    "table=21,priority=100,ct_state=-new+trk,ip,actions=goto_table:60",
    "table=21,priority=90,ct_state=+new+trk,ip,actions=goto_table:40",
    "table=60,ct_state=+new+trk,ip,actions=ct(commit,zone=4242,exec(move:NXM_NX_REG0[]->NXM_NX_CT_MARK[])),LOCAL",
]
HTTPS = "table=40,priority=200,tcp,nw_dst=10.1.0.5,tp_dst=443,actions=goto_table:60"
OTHER = "table=40,priority=200,tcp,nw_dst=10.1.0.5,tp_dst=8443,actions=goto_table:60"
DNS = "table=40,priority=200,udp,nw_dst=10.1.0.5,tp_dst=53,actions=goto_table:60"
EGRESS = "table=40,priority=100,ip,reg0=0x10066,actions=goto_table:60"


def connect(ovs: PrivateOvs, port: str, protocol: str, number: int) -> None:
    """One packet that opens a connection from ``port`` to 10.1.0.5."""
    source = {"veth100": "10.0.0.100", "veth102": "10.0.0.102"}[port]
    codes = {"tcp": (6, ",tcp_flags(syn)"), "udp": (17, "")}
    proto, more = codes[protocol]
    ovs.appctl(
        "netdev-dummy/receive",
        port,
        "in_port(1),eth(src=02:00:00:00:00:02,dst=02:00:00:00:00:01),eth_type(0x0800),"
        f"ipv4(src={source},dst=10.1.0.5,proto={proto},tos=0,ttl=64,frag=no),{protocol}(src=4000,dst={number}){more}",
    )


def live(ovs: PrivateOvs) -> list[tuple[str, str, int]]:
    """(source, protocol, port) of the connections in the zone."""
    lines = ovs.appctl("dpctl/dump-conntrack", f"zone={ZONE}").splitlines()
    found = []
    for line in lines:
        fields = dict(part.split("=", 1) for part in line.replace("orig=(", "").split(",")[1:5])
        found.append((fields["src"], line.split(",")[0], int(fields["dport"].rstrip(")"))))
    return sorted(found)


@pytest.fixture
def connected(ovs: PrivateOvs, apply: Apply) -> Apply:
    """All four rules, and a connection that each let in."""
    apply([*PIPELINE, HTTPS, OTHER, DNS, EGRESS])
    for protocol, number in (("tcp", 443), ("tcp", 8443), ("udp", 53)):
        connect(ovs, "veth100", protocol, number)
    connect(ovs, "veth102", "udp", 9999)
    assert len(live(ovs)) == 4
    return apply


FLUSH: dict[str, Any] = {"flush_revoked": True, "ct_zone": ZONE}


def test_only_the_revoked_service_is_cut(ovs: PrivateOvs, connected: Apply) -> None:
    wanted = [*PIPELINE, OTHER, DNS, EGRESS]
    result = connected(wanted, **FLUSH, check=True)
    assert result["actions"][1] == "cut connections of 1 revoked rule(s)"
    assert len(live(ovs)) == 4
    result = connected(wanted, **FLUSH)
    assert (result["flushed"], len(result["revoked"])) == (1, 1)
    assert "nw_dst=10.1.0.5,tp_dst=443 actions=goto_table:60" in result["revoked"][0]
    assert live(ovs) == [("10.0.0.100", "tcp", 8443), ("10.0.0.100", "udp", 53), ("10.0.0.102", "udp", 9999)]
    assert not connected(wanted, **FLUSH)["changed"]


def test_rule_turned_into_a_drop_is_revoked(ovs: PrivateOvs, connected: Apply) -> None:
    result = connected([*PIPELINE, HTTPS, OTHER, DNS.replace("goto_table:60", "drop"), EGRESS], **FLUSH)
    assert result["counts"]["modified"] == 1
    assert ("10.0.0.100", "udp", 53) not in live(ovs)
    assert len(live(ovs)) == 3


def test_rule_without_an_address_goes_by_mark(ovs: PrivateOvs, connected: Apply) -> None:
    """An egress rule names its container by register only."""
    result = connected([*PIPELINE, HTTPS, OTHER, DNS], **FLUSH)
    assert result["flushed"] == 1
    assert [source for source, _protocol, _port in live(ovs)] == ["10.0.0.100"] * 3


def test_without_flush_connections_stay_and_are_told(ovs: PrivateOvs, connected: Apply) -> None:
    result = connected([*PIPELINE, OTHER, DNS, EGRESS])
    assert (result["flushed"], len(result["revoked"])) == (0, 1)
    assert len(live(ovs)) == 4


def test_absent_cuts_everything(ovs: PrivateOvs, connected: Apply) -> None:
    assert connected([], state="absent", **FLUSH)["flushed"] == 4
    assert live(ovs) == []


def test_interrupted_run_is_completed(ovs: PrivateOvs, connected: Apply, durable: Path) -> None:
    """Flows changed, then the module died: the durable file still knows the rule that was revoked."""
    wanted = [*PIPELINE, OTHER, DNS, EGRESS]
    former = durable.read_text()
    connected(wanted)
    durable.write_text(former)
    result = connected(wanted, **FLUSH)
    assert result["actions"] == ["cut connections of 1 revoked rule(s)", f"update {durable}"]
    assert ("10.0.0.100", "tcp", 443) not in live(ovs)
    assert not connected(wanted, **FLUSH)["changed"]
