# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Follows a packet from one end to the other: through the bridges of a host and over the meshes to other hosts.

What the kernels do between two bridges' uplinks is taken from the inventory: a mesh carries a packet to the member
whose subnet it is for. Everything else is what the compiled rules say, with connection tracking on every host.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address

from .compile import compile_node
from .conntrack import Conntrack, Packet
from .fields import FIELDS, NORMAL, read_mac
from .identity import ROUTER_MAC
from .model import Container, Fleet, Uplink
from .packet import Place, Question, container_place, uplink_place
from .rules import FlowReader, Rule
from .simulator import Result, Sent, Simulator
from .tables import POLICY, SOCKET, STATE, TRANSIT, Pipeline

FLOODED = "flooded to every port of the bridge"
_MAX_HOPS = 8
_KEPT = ("dl_src", "dl_dst", "dl_type", "nw_src", "nw_dst", "nw_proto", "nw_ttl", "tp_src", "tp_dst", "tcp_flags")


@dataclass(frozen=True, slots=True)
class Hop:
    """A table that the packet came to, on which bridge of which host; ``rule`` is None when none matched."""

    host: str
    bridge: str
    table: int
    table_name: str
    rule: Rule | None


@dataclass(frozen=True, slots=True)
class Path:
    """The way of one packet. ``end`` is where it left our bridges, None when it was dropped on the way."""

    hops: tuple[Hop, ...]
    end: Place | None
    why: str

    @property
    def verdict(self) -> str:
        """`sent`, `flooded` or `dropped`."""
        return "sent" if self.end else "flooded" if self.why == FLOODED else "dropped"

    @property
    def deciding(self) -> Hop:
        """The rule that dropped it; of a packet that arrived, the last that had to judge it: by policy or by state."""
        if self.end is not None:
            for table in (POLICY, STATE):
                judged = [hop for hop in self.hops if hop.table_name == SOCKET[table].name]
                if judged:
                    return judged[-1]
        return self.hops[-1]


@dataclass(frozen=True, slots=True)
class _Bridge:
    """``tables`` is None for rules that somebody wrote: what their tables are for nobody knows."""

    simulator: Simulator
    tables: Pipeline | None
    places: Mapping[int, Place]

    def name(self, table: int) -> str:
        return f"table {table}" if self.tables is None else self.tables[table].name

    def out(self, sent: Sent) -> Place | None:
        """Where ``sent`` leaves. The MAC learning switch knows the containers; None: it floods the packet."""
        if sent.port != NORMAL:
            return self.places.get(sent.port)
        target = IPv4Address(FIELDS["nw_dst"].of(sent.header))
        owners = ((place, place.owner) for place in self.places.values())
        return next((place for place, owner in owners if isinstance(owner, Container) and owner.ip == target), None)


class Tracer:
    """The rules of a fleet, compiled host by host as packets come there, and the connections on each host."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._connections: dict[str, Conntrack] = {host: Conntrack() for host in fleet.nodes}
        self._bridges = cache(self._compile)

    def follow(self, question: Question) -> tuple[Path, Path | None]:
        """The way of a connection's first packet and, when it arrives, that of the answer."""
        path = self._path(question.start, question.packet())
        if path.end is None:
            return path, None
        return path, self._path(path.end, question.reply(path.end))

    def _path(self, place: Place, packet: Packet) -> Path:
        hops: list[Hop] = []
        for _hop in range(_MAX_HOPS):
            bridge = self._bridges(place.host)[place.bridge]
            result = bridge.simulator.run(packet, self._connections[place.host])
            bridge.simulator.learn(result.learned)
            hops += [
                Hop(place.host, place.bridge, step.table, bridge.name(step.table), step.rule) for step in result.steps
            ]
            if not result.sent:
                return Path(tuple(hops), None, _loss(result))
            out = bridge.out(result.sent[0])
            if out is None:
                return Path(tuple(hops), None, FLOODED)
            onward = self._onward(out, IPv4Address(FIELDS["nw_dst"].of(result.sent[0].header)))
            if onward is None:
                return Path(tuple(hops), out, "sent")
            packet, place = _entering(onward, result.sent[0].header), onward
        return Path(tuple(hops), None, "it goes in circles")

    def _onward(self, out: Place, destination: IPv4Address) -> Place | None:
        """Where a packet that left by ``out`` enters a bridge again; None when it has left them all."""
        node = self._fleet.nodes[out.host]
        if isinstance(out.owner, Uplink) and out.owner.is_mesh:
            for member in self._fleet.members(out.owner.network, out.owner.kind):
                if member.node.name != out.host and member.subnet is not None and destination in member.subnet:
                    return uplink_place(member.node, member.uplink)
        for near, far in node.ends(out.bridge):
            if near.name == out.port:
                return Place(out.host, far.bridge, far.name, far.ofport)
        return None

    def _compile(self, host: str) -> Mapping[str, _Bridge]:
        node = self._fleet.nodes[host]
        places = [container_place(node, container) for container in node.containers]
        places += [uplink_place(node, uplink) for uplink in node.uplinks]
        for bridge in node.bridges:
            places += [Place(host, bridge.name, near.name, near.ofport) for near, _far in node.ends(bridge.name)]
        made = {}
        for name, flows in compile_node(self._fleet, host).items():
            rules = FlowReader(flows.ports).read([flow.text() for flow in flows.flows], flows.origins)
            tables = None if flows.given else TRANSIT if node.bridge(name).subnet is None else SOCKET
            by_number = {place.ofport: place for place in places if place.bridge == name}
            made[name] = _Bridge(Simulator(rules, flows.ports.values()), tables, by_number)
        return made


def _entering(place: Place, header: int) -> Packet:
    """A packet that comes in at ``place``: from another bridge as it left it, from an uplink from its gateway."""
    kept = sum(header & FIELDS[name].mask for name in _KEPT)
    if place.owner is not None:
        kept = FIELDS["dl_src"].put(kept, place.mac)
        kept = FIELDS["dl_dst"].put(kept, read_mac(ROUTER_MAC))
    return Packet(FIELDS["in_port"].put(kept, place.ofport))


def _loss(result: Result) -> str:
    return {"ttl": "its TTL ran out", "loop": "it goes in circles"}.get(result.ended, "dropped")
