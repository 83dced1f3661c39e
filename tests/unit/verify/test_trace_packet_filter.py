# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets in the names of the inventory: where they end, which rule decides, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.op_dbus.socket_network.plugins.filter.trace_packet import trace_packet

from tests.lib.fleets import FLEETS

Packet = dict[str, Any]


def packet(sender: str, target: str, port: int | None = 443, protocol: str = "tcp", **more: Any) -> Packet:
    return {"from": sender, "to": target, "protocol": protocol, "port": port, **more}


@pytest.mark.parametrize(
    ("fleet", "asked", "end", "table", "origin"),
    [
        (
            "lab",
            packet("xray-client", "203.0.113.9"),
            ("oo1424oo", "uplink", "warp0"),
            "policy",
            "oo1424oo: lxc_service_containers[xray-client].egress",
        ),
        (
            "lab",
            packet("xray-server", "xray-client"),
            ("oo1424oo", "container", "xray-client"),
            "policy",
            "oo1424oo: lxc_service_containers[xray-client].services[xray-vless] from mesh",
        ),
        (
            "lab",
            packet("gateway", "xray-client"),
            ("oo1424oo", "container", "xray-client"),
            "policy",
            "oo1424oo: lxc_service_containers[xray-client].services[xray-vless] from local",
        ),
        (
            "lab",
            packet("gateway", "xray-client", port=80),
            None,
            "policy",
            "oo1424oo: socket_bridge_bridges[mesh].subnet (isolation)",
        ),
        (
            "lab",
            packet("gateway", "xray-client", port=None, protocol="icmp"),
            None,
            "policy",
            "oo1424oo: socket_bridge_bridges[mesh].subnet (isolation)",
        ),
        (
            "lab",
            packet("mcp-server", "203.0.113.9"),
            None,
            "policy",
            "vps-gateway: socket_bridge_bridges[mesh] (miss of table policy)",
        ),
        (
            "lab",
            packet("xray-client", "10.100.0.1", port=None, protocol="icmp"),
            ("oo1424oo", "uplink", "nm-privacy"),
            "policy",
            "oo1424oo: socket_bridge_uplinks[nm-privacy].address through oo1424oo: socket_bridge_uplinks[nm-privacy]",
        ),
        (
            "lab",
            packet("nm-privacy", "xray-client", source="10.0.0.100"),
            None,
            "spoof",
            "oo1424oo: socket_bridge_uplinks[nm-privacy] (claims a local address)",
        ),
        (
            "lab",
            packet("xray-client", "203.0.113.9", source="10.0.0.100"),
            None,
            "spoof",
            "oo1424oo: socket_bridge_bridges[mesh] (miss of table spoof)",
        ),
        (
            "two-bridges",
            packet("c120", "c110"),
            ("left", "container", "c110"),
            "policy",
            "left: lxc_service_containers[c110].services[web] from mesh",
        ),
        (
            "two-bridges",
            packet("c111", "c121", port=53, protocol="udp"),
            ("right", "container", "c121"),
            "policy",
            "right: lxc_service_containers[c121].services[dns] from mesh",
        ),
    ],
)
def test_packet(fleet: str, asked: Packet, end: tuple[str, str, str] | None, table: str, origin: str) -> None:
    told = trace_packet(FLEETS[fleet], asked)
    assert told["verdict"] == ("sent" if end else "dropped")
    assert (tuple(told["end"].values()) if end else told["end"]) == end
    assert (told["deciding"]["table_name"], told["deciding"]["origin"]) == (table, origin)
    assert told["deciding"] in told["path"]
    assert origin in told["report"][0]
    assert (told["reply"] is None) == (end is None)
    if end:
        assert told["reply"]["verdict"] == "sent"
        assert told["reply"]["end"]["name"] == asked["from"]
        assert told["reply"]["deciding"]["table_name"] == "state"


def test_the_way_leads_through_bridges_and_hosts() -> None:
    path = trace_packet(FLEETS["two-bridges"], packet("c120", "c110"))["path"]
    bridges = dict.fromkeys((hop["host"], hop["bridge"]) for hop in path)
    assert list(bridges) == [("right", "mesh"), ("left", "mesh"), ("left", "vmbr0")]
    tables = [hop["table_name"] for hop in path if hop["bridge"] == "vmbr0"]
    assert tables == ["classify", "spoof", "ct", "state", "steer", "policy", "l3", "commit", "out"]
    assert all(hop["rule"].startswith(f"cookie=0x6f6f{hop['table']:04x}") for hop in path)


def test_a_reply_leaves_by_the_uplink_that_its_connection_came_in_on() -> None:
    """The connection came in from the mesh, so its answer to a public address does not leave through WARP."""
    asked = packet("nm-privacy", "xray-client", source="198.51.100.7")
    reply = trace_packet(FLEETS["lab"], asked, "oo1424oo")["reply"]
    assert reply["end"] == {"host": "oo1424oo", "kind": "uplink", "name": "nm-privacy"}
    assert reply["deciding"]["origin"].endswith("(replies to connections from there)")


@pytest.mark.parametrize(
    ("words", "first", "end", "source"),
    [
        ("from xray-client to 203.0.113.9 tcp/443", ("oo1424oo", "mesh"), "warp0", "10.0.0.102 (container xray-client"),
        (
            "from vps-gateway to xray-client tcp/443",
            ("oo1424oo", "mesh"),
            "xray-client",
            "10.100.0.1 (uplink nm-privacy",
        ),
        (
            "from 10.100.0.1 to xray-client tcp/443",
            ("oo1424oo", "mesh"),
            "xray-client",
            "10.100.0.1 (uplink nm-privacy",
        ),
        ("from 10.0.0.102 to 203.0.113.9 tcp/443", ("oo1424oo", "mesh"), "warp0", "10.0.0.102 (container xray-client"),
        ("from oo1424oo to xray-client tcp/80", ("oo1424oo", "mesh"), None, "10.0.0.1 (uplink host of oo1424oo"),
        ("udp/53 from host on oo1424oo to gateway", ("oo1424oo", "mesh"), None, "10.0.0.1 (uplink host of oo1424oo"),
        ("from nm-privacy source 10.100.0.1 to xray-client icmp", ("oo1424oo", "mesh"), None, "10.100.0.1 (uplink nm-"),
    ],
)
def test_words(words: str, first: tuple[str, str], end: str | None, source: str) -> None:
    told = trace_packet(FLEETS["lab"], words)
    assert (told["path"][0]["host"], told["path"][0]["bridge"]) == first
    assert (told["end"] or {}).get("name") == end
    assert source in told["report"][0]


def test_a_peer_comes_in_through_the_transit_bridge() -> None:
    told = trace_packet(FLEETS["two-bridges"], "from right to c110 tcp/443")
    bridges = dict.fromkeys((hop["host"], hop["bridge"]) for hop in told["path"])
    assert list(bridges) == [("left", "mesh"), ("left", "vmbr0")]
    assert told["deciding"]["origin"] == "left: lxc_service_containers[c110].services[web] from mesh"
    assert told["reply"]["end"] == {"host": "left", "kind": "uplink", "name": "nm-left"}


def literal() -> dict[str, Any]:
    """The lab, with rules on oo1424oo that somebody wrote."""
    written = [
        "priority=100,in_port=veth102,actions=output:warp0",
        "priority=90,in_port=nm-privacy,actions=learn(table=1,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[]),"
        "normal",
        "priority=10,actions=normal",
    ]
    fleet = {host: dict(variables) for host, variables in FLEETS["lab"].items()}
    fleet["oo1424oo"] |= {"socket_bridge_mode": "literal", "socket_bridge_literal_flows": {"mesh": written}}
    return fleet


@pytest.mark.parametrize(
    ("words", "verdict", "end", "origin"),
    [
        ("from xray-client to gateway tcp/443", "sent", "warp0", "line 1"),
        ("from vps-gateway to xray-client tcp/443", "sent", "xray-client", "line 2"),
        ("from gateway to 203.0.113.9 tcp/443", "flooded", None, "line 3"),
    ],
)
def test_rules_that_somebody_wrote(words: str, verdict: str, end: str | None, origin: str) -> None:
    told = trace_packet(literal(), words)
    assert (told["verdict"], (told["end"] or {}).get("name")) == (verdict, end)
    assert told["deciding"]["table_name"] == "table 0"
    assert origin in told["deciding"]["origin"]


def test_the_host_tells_names_apart() -> None:
    asked = packet("warp0", "c121", source="198.51.100.7")
    with pytest.raises(AnsibleFilterError, match="warp0 names uplink warp0 of left, uplink warp0 of right"):
        trace_packet(FLEETS["two-bridges"], asked)
    assert trace_packet(FLEETS["two-bridges"], asked, "right")["path"][0]["host"] == "right"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"to": "xray-client", "port": 443}, "needs from"),
        ({"from": "xray-client", "port": 443}, "needs to"),
        ({"from": "", "to": None}, "needs from and to"),
        (packet("xray-clint", "10.0.0.1"), "called xray-clint. Fix: name one of gateway, host, mcp-server"),
        (packet("xray-client", "nowhere"), "to = nowhere is not a container or an IPv4 address"),
        (packet("xray-client", "fd00::1"), "to = fd00::1 is not a container or an IPv4 address"),
        (packet("xray-client", "10.0.0.1", port=None), "port = None is not a port"),
        (packet("xray-client", "10.0.0.1", port=65536), "port = 65536 is not a port"),
        (packet("xray-client", "10.0.0.1", source_port="x"), "source_port = x is not a port"),
        (packet("xray-client", "10.0.0.1", protocol="sctp"), "sctp is not traced"),
        (packet("nm-privacy", "xray-client"), "say which one as source"),
        (packet("nm-privacy", "xray-client", source="mesh"), "source = mesh is not an IPv4 address"),
        (packet("xray-client", "10.0.0.1", ttl=1), "has no ttl. Fix: say from, to"),
        (["xray-client"], "expected a packet in words"),
        ("from xray-client to gateway https", "https is not traced"),
        ("from xray-client to gateway tcp/443 udp/53", "'udp/53' of .* is not understood. Fix: write it like: from"),
        ("from xray-client 10.0.0.1", "'10.0.0.1' of .* is not understood"),
        ("from 198.51.100.9 to xray-client tcp/443", "No mesh leads to 198.51.100.9. Fix: say which uplink"),
        ("from vps-gateway to 203.0.113.9 tcp/443", "vps-gateway reaches 203.0.113.9 over no mesh"),
    ],
)
def test_what_cannot_be_traced_is_refused_with_the_fix(asked: Any, words: str) -> None:
    with pytest.raises(AnsibleFilterError, match=words):
        trace_packet(FLEETS["lab"], asked)


def test_an_unknown_host_is_refused() -> None:
    with pytest.raises(AnsibleFilterError, match="nowhere is not in the fleet, whose hosts are: oo1424oo, vps-gateway"):
        trace_packet(FLEETS["lab"], packet("xray-client", "10.0.0.1"), "nowhere")


def test_an_empty_inventory_is_refused() -> None:
    with pytest.raises(AnsibleFilterError, match="fleet_inventory"):
        trace_packet({}, packet("xray-client", "10.0.0.1"))
