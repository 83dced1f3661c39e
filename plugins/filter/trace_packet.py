# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter that tells what the compiled OpenFlow rules do to a packet."""

from __future__ import annotations

DOCUMENTATION = r"""
name: trace_packet
author: op-dbus maintainers (@op-dbus)
version_added: 0.1.0
short_description: Follow a packet through the compiled OpenFlow rules
description:
  - Compiles the rules of the hosts that the packet comes to and simulates their bridges, connection tracking included.
    No host is contacted and nothing has to be running.
  - Tells every table on the way, the rule that acted there with the inventory line that asked for it, where the packet
    ends, and what becomes of the answer.
  - Between hosts, a packet is carried over the mesh to the member whose subnet it is for, as the inventory says;
    tunnels, kernel routes and packet filters are not simulated.
positional: packet, host
options:
  _input:
    description: The result of P(op_dbus.socket_network.fleet_inventory#filter).
    type: dict
    required: true
  packet:
    description:
      - The first packet of a connection.
      - In words, V(from xray-client to 203.0.113.9 tcp/443), also with V(on HOST) and V(source ADDRESS).
    type: dict
    required: true
    suboptions:
      from:
        description:
          - Where it comes from, a container, an uplink or a host of the fleet by name, or an address.
          - A host sends through its host uplink to its own containers, and over the mesh to those of other hosts.
          - An address is that of a container, or one that a mesh leads to.
        type: str
        required: true
      to:
        description: Name of a container of the fleet, or an IPv4 address.
        type: str
        required: true
      protocol:
        description: Its protocol; V(icmp) is a ping.
        type: str
        choices: [tcp, udp, icmp]
        default: tcp
      port:
        description: Destination port. Required for V(tcp) and V(udp).
        type: int
      source:
        description:
          - IPv4 address that it comes from. Required when O(packet.from) is an uplink other than the host's.
          - The default is the address of the container, of the host's end of the bridge, or of the host in the mesh.
        type: str
      source_port:
        description: Source port.
        type: int
        default: 40000
  host:
    description: Inventory name of the host where O(packet.from) is. Only needed when several hosts have that name.
    type: str
seealso:
  - plugin: op_dbus.socket_network.check_flows
    plugin_type: filter
  - plugin: op_dbus.socket_network.fleet_inventory
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show whether xray-client may open HTTPS connections, and by which rule
  ansible.builtin.debug:
    msg: "{{ (fleet | op_dbus.socket_network.trace_packet(packet)).report }}"
  vars:
    fleet: "{{ hostvars | op_dbus.socket_network.fleet_inventory(groups['socket_network']) }}"
    packet: {from: xray-client, to: 203.0.113.9, protocol: tcp, port: 443}

- name: Refuse to go on when the mesh can reach the database
  ansible.builtin.assert:
    that: (fleet | op_dbus.socket_network.trace_packet(packet, 'oo1424oo')).verdict == 'dropped'
  vars:
    fleet: "{{ hostvars | op_dbus.socket_network.fleet_inventory(groups['socket_network']) }}"
    packet: {from: nm-privacy, source: 10.100.0.1, to: xray-client, protocol: tcp, port: 5432}

- name: Ask the same in words, for a peer of the mesh
  ansible.builtin.debug:
    msg: "{{ (fleet | op_dbus.socket_network.trace_packet('from vps-gateway to xray-client tcp/443')).report }}"
  vars:
    fleet: "{{ hostvars | op_dbus.socket_network.fleet_inventory(groups['socket_network']) }}"
"""

RETURN = r"""
_value:
  description: What becomes of the packet.
  type: dict
  contains:
    verdict:
      description:
        - V(sent) when it leaves the bridges to a container or an uplink, V(dropped) when it does not.
        - V(flooded) when a rule that somebody wrote (C(socket_bridge_mode=literal)) leaves a packet for no container to
          the bridge's MAC learning.
      type: str
    end:
      description: Where it leaves them; none when it is dropped.
      type: dict
      contains:
        host:
          description: Inventory name of the host.
          type: str
        kind:
          description: V(container) or V(uplink).
          type: str
        name:
          description: Name of the container or the uplink.
          type: str
    deciding:
      description:
        - The rule that dropped it. Of a packet that is sent, the rule that let it pass, in the table policy for a new
          connection and in the table state for an answer.
        - Has the keys of RV(_value.path).
      type: dict
    path:
      description: Every table that it came to, in order.
      type: list
      elements: dict
      contains:
        host:
          description: Inventory name of the host.
          type: str
        bridge:
          description: Name of the bridge.
          type: str
        table:
          description: Number of the table.
          type: int
        table_name:
          description: Name of the table.
          type: str
        rule:
          description: The rule that acted; empty when none matched.
          type: str
        origin:
          description: The inventory line that asked for the rule.
          type: str
    reply:
      description: The same about the answer, without a reply of its own; none when the packet is dropped.
      type: dict
    report:
      description: All of it as lines for people to read.
      type: list
      elements: str
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.model import Container, Fleet
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.packet import (
    Place,
    Question,
    read_question,
    read_words,
)
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.trace import Hop, Path, Tracer
from ansible_collections.op_dbus.socket_network.plugins.module_utils._errors import SocketNetworkError
from ansible_collections.op_dbus.socket_network.plugins.plugin_utils._fleet import COLLECTION, plain, with_node

_NAME = f"{COLLECTION}.trace_packet"


def trace_packet(
    inventory: Mapping[str, Mapping[str, Any]], packet: Mapping[str, Any] | str, host: str | None = None
) -> dict[str, Any]:
    """What the rules of the fleet do to ``packet``."""
    if not isinstance(packet, (Mapping, str)):
        raise AnsibleFilterError(f"{_NAME}: expected a packet in words, or a mapping that describes one.")
    if not isinstance(inventory, Mapping) or not inventory:
        raise AnsibleFilterError(f"{_NAME}: expected the result of fleet_inventory.")

    def build(fleet: Fleet, _host: str) -> dict[str, Any]:
        asked, on = plain(packet), plain(host) or None
        if isinstance(asked, str):
            asked = read_words(asked)
            on = asked.pop("on", on)
        question = read_question(fleet, asked, on)
        path, reply = Tracer(fleet).follow(question)
        answer = _plain(path)
        answer["reply"] = _plain(reply) if reply else None
        answer["report"] = list(_report(question, path, reply))
        return answer

    try:
        return with_node("trace_packet", inventory, host or next(iter(inventory)), build)
    except SocketNetworkError as exc:
        raise AnsibleFilterError(f"{_NAME}: {exc}") from exc


def _plain(path: Path) -> dict[str, Any]:
    return {
        "verdict": path.verdict,
        "end": _end(path.end) if path.end else None,
        "deciding": _hop(path.deciding),
        "path": [_hop(hop) for hop in path.hops],
    }


def _end(place: Place) -> dict[str, str]:
    kind = "container" if isinstance(place.owner, Container) else "uplink"
    return {"host": place.host, "kind": kind, "name": place.owner.name if place.owner else place.port}


def _hop(hop: Hop) -> dict[str, Any]:
    rule = {"rule": hop.rule.text if hop.rule else "", "origin": hop.rule.origin if hop.rule else ""}
    return {"host": hop.host, "bridge": hop.bridge, "table": hop.table, "table_name": hop.table_name, **rule}


def _report(question: Question, path: Path, reply: Path | None) -> Iterator[str]:
    yield f"{question}: {_fate(path)}"
    yield from _way(path)
    if reply:
        yield f"The answer: {_fate(reply)}"
        yield from _way(reply)


def _fate(path: Path) -> str:
    decided = path.deciding
    fate = f"arrives at {path.end} of {path.end.host}" if path.end else f"lost on {decided.host}, {path.why}"
    cause = f"{_short(decided)} [{decided.rule.origin}]" if decided.rule else "no rule matches"
    return f"{fate}. Decided in table {decided.table_name} of {decided.host}: {cause}"


def _way(path: Path) -> Iterator[str]:
    for hop in path.hops:
        rule = f"{_short(hop)} [{hop.rule.origin}]" if hop.rule else "no rule matches"
        yield f"  {hop.host} {hop.bridge} {hop.table} {hop.table_name}: {rule}"


def _short(hop: Hop) -> str:
    """The rule without cookie and table."""
    return hop.rule.text.split(",", 2)[2] if hop.rule else ""


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"trace_packet": trace_packet}
