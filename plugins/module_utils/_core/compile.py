# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""From a checked fleet to the flows of one node's bridges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .flow import Flow
from .literal import literal_flows
from .model import Bridge, Fleet, LiteralRule, Node
from .pipeline import miss_flows, socket_flows
from .tables import CLASSIFY, SOCKET, TRANSIT, Pipeline
from .transit import transit_flows
from .view import View, view_of


class CompilerError(Exception):
    """The compiler contradicts itself: never the operator's fault."""


@dataclass(frozen=True, slots=True)
class BridgeFlows:
    """Flows in the order of table and priority, the OpenFlow port numbers that they rely on.

    Flows that somebody wrote stand in their own order; ``given`` has each as it was written.
    """

    flows: tuple[Flow, ...]
    ports: dict[str, int]
    given: tuple[LiteralRule, ...] = ()

    @property
    def origins(self) -> dict[str, str]:
        """What asked for a flow, by cookie in hexadecimal."""
        return {f"{flow.cookie:#x}": flow.origin for flow in self.flows}


def compile_node(fleet: Fleet, host: str) -> dict[str, BridgeFlows]:
    """The flows of every bridge of ``host``. The time it takes grows with the node and with its meshes' members."""
    node = fleet.nodes[host]
    if node.literal is not None:
        written = dict(node.literal)
        return {bridge.name: _written(fleet, node, bridge, written[bridge.name]) for bridge in node.bridges}
    return {bridge.name: compile_bridge(fleet, node, bridge) for bridge in node.bridges}


def _written(fleet: Fleet, node: Node, bridge: Bridge, rules: tuple[LiteralRule, ...]) -> BridgeFlows:
    """The rules that a host in literal mode has for ``bridge``."""
    return BridgeFlows(literal_flows(node, bridge, rules), view_of(fleet, node, bridge).ports, rules)


def compile_bridge(fleet: Fleet, node: Node, bridge: Bridge) -> BridgeFlows:
    """The flows of ``bridge``, each checked against the declaration of its table."""
    view = view_of(fleet, node, bridge)
    tables = TRANSIT if bridge.subnet is None else SOCKET
    flows = tuple(sorted(_reached(list(_flows(view, tables))), key=_order))
    _check(flows, tables)
    return BridgeFlows(flows, view.ports)


def _flows(view: View, tables: Pipeline) -> Iterator[Flow]:
    yield from transit_flows(view) if tables is TRANSIT else socket_flows(view)
    yield from miss_flows(view, tables)


def _reached(flows: Sequence[Flow]) -> list[Flow]:
    """``flows`` of tables that packets come to: a bridge without containers, say, guards nobody's ARP."""
    ahead: dict[int, set[int]] = {}
    for flow in flows:
        ahead.setdefault(flow.table, set()).update(flow.next_tables)
    reached, pending = {CLASSIFY}, [CLASSIFY]
    while pending:
        new = ahead.get(pending.pop(), set()) - reached
        reached |= new
        pending += new
    return [flow for flow in flows if flow.table in reached]


def _order(flow: Flow) -> tuple[int, int, str]:
    return flow.table, -flow.priority, flow.match_text()


def _check(flows: tuple[Flow, ...], tables: Pipeline) -> None:
    seen: dict[int, Flow] = {}
    for flow in flows:
        refusal = tables[flow.table].refusal(flow)
        if refusal:
            raise CompilerError(f"{flow.text()}: {refusal}")
        twin = seen.setdefault(flow.cookie, flow)
        if twin is not flow:
            raise CompilerError(f"{flow.text()} ({flow.origin}) has the cookie of {twin.text()} ({twin.origin})")
