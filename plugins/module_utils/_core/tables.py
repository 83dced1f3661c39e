# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""The tables of both pipelines as data. A flow that does not fit its table's declaration is a bug of the compiler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .flow import Flow

CLASSIFY, ARP_GUARD, ARP_REPLY, SPOOF, CT, STATE, STEER, POLICY, L3, COMMIT, OUT = (
    0,
    5,
    6,
    10,
    20,
    21,
    30,
    40,
    50,
    60,
    70,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """``matches``: fields that its rules may match. ``next``: tables they may go on to. ``miss``: None drops."""

    number: int
    name: str
    purpose: str
    matches: frozenset[str]
    next: tuple[int, ...] = ()
    miss: int | None = None
    outputs: bool = False

    def refusal(self, flow: Flow) -> str | None:
        """Why ``flow`` does not belong here; None when it does."""
        strange = set(flow.fields) - self.matches
        if strange:
            return f"table {self.name} does not match {', '.join(sorted(strange))}"
        onward = set(flow.next_tables) - set(self.next)
        if onward:
            return f"table {self.name} does not go on to {', '.join(map(str, sorted(onward)))}"
        if not self.outputs and any(action.name in ("output", "IN_PORT") for action in flow.actions):
            return f"table {self.name} sends nothing out"
        return None


def _table(number: int, name: str, purpose: str, matches: str, **more: object) -> Table:
    return Table(number=number, name=name, purpose=purpose, matches=frozenset(matches.split()), **more)  # type: ignore[arg-type]


Pipeline = Mapping[int, Table]


def _pipeline(*tables: Table) -> Pipeline:
    return {table.number: table for table in tables}


_CLASSIFY = "The only table that matches in_port: drops VLAN and IPv6, turns the port into a logical source in reg0."
_ARP_REPLY = "Answers every ARP request for an address of the subnet with the virtual router's MAC address."
_OUT = "The only table that sends packets on: logical destination in reg1 to port, new sender MAC, one TTL less."

SOCKET = _pipeline(
    _table(CLASSIFY, "classify", _CLASSIFY, "arp ip ipv6 in_port vlan_tci", next=(ARP_GUARD, ARP_REPLY, SPOOF)),
    _table(
        ARP_GUARD,
        "arp_guard",
        "Sender address, sender MAC and Ethernet source of a container's ARP must be its own.",
        "arp reg0 dl_src arp_spa arp_sha",
        next=(ARP_REPLY,),
    ),
    _table(ARP_REPLY, "arp_reply", _ARP_REPLY, "arp reg0 arp_op arp_tpa", outputs=True),
    _table(
        SPOOF,
        "spoof",
        "A container sends from its own MAC and address; a link from its known MAC and never from the local subnet.",
        "ip reg0 dl_src nw_src",
        next=(CT,),
    ),
    _table(CT, "ct", "Looks the connection up in the bridge's conntrack zone.", "ip", next=(STATE,)),
    _table(
        STATE,
        "state",
        "Replies leave by the link their connection came in on (ct_mark); the rest is routed, new ones are judged.",
        "ip ct_state ct_mark",
        next=(STEER, L3, COMMIT),
    ),
    _table(STEER, "steer", "Service addresses go here; none yet.", "", next=(POLICY,), miss=POLICY),
    _table(
        POLICY,
        "policy",
        "New connections: to exposed services, from containers to the mesh and to their exit; nothing else.",
        "ip tcp udp reg0 nw_dst tp_dst tcp_flags",
        next=(L3,),
    ),
    _table(
        L3,
        "l3",
        "Longest prefix first: containers, never the rest of the subnet, mesh prefixes, each container's exit.",
        "ip reg0 nw_dst",
        next=(COMMIT,),
    ),
    _table(
        COMMIT,
        "commit",
        "Remembers a permitted connection, with its logical source as ct_mark.",
        "ip ct_state",
        next=(OUT,),
        miss=OUT,
    ),
    _table(OUT, "out", _OUT, "ip reg1", outputs=True),
)
"""Of a bridge with a subnet."""

TRANSIT = _pipeline(
    _table(CLASSIFY, "classify", _CLASSIFY, "arp ip ipv6 in_port vlan_tci", next=(ARP_REPLY, SPOOF)),
    _table(ARP_REPLY, "arp_reply", _ARP_REPLY, "arp arp_op arp_tpa", outputs=True),
    _table(
        SPOOF,
        "spoof",
        "The served subnet comes from the socket bridge only, the rest from the mesh only, each with its known MAC.",
        "ip reg0 dl_src nw_src",
        next=(L3,),
    ),
    _table(
        L3,
        "l3",
        "From the mesh to the served subnet, from there to the prefixes of the mesh; nothing turns back.",
        "ip reg0 nw_dst",
        next=(OUT,),
    ),
    _table(OUT, "out", _OUT, "ip reg1", outputs=True),
)
"""Of a bridge without a subnet: stateless, for the socket bridge behind it has judged every connection."""
