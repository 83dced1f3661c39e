# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter that finds OpenFlow rules which cannot do what they say."""

from __future__ import annotations

DOCUMENTATION = r"""
name: check_flows
author: op-dbus maintainers (@op-dbus)
version_added: 0.1.0
short_description: Find dead, ambiguous and stray OpenFlow rules before a switch sees them
description:
  - Tells which rules never act because rules of higher priority take all their packets, alone or together, which
    contradict each other at the same priority, which tables no packet reaches, which rules no packet of their table
    can match, and which ways and ports lead nowhere.
  - The answer is exact for the fields that rules can match; a rule is never accused wrongly.
  - Reads the matches and actions that this collection's own rules are made of, and those of plain lists of the same
    kind (see the notes). Anything else is an error that names the line; nothing is guessed.
notes:
  - >-
    Matches: C(in_port), C(arp), C(ip), C(ipv6), C(tcp), C(udp), C(icmp), C(dl_type), C(dl_src), C(dl_dst),
    C(vlan_tci), C(nw_src), C(nw_dst), C(nw_proto), C(tp_src), C(tp_dst) (also as C(tcp_dst) and so on), C(tcp_flags),
    C(arp_op), C(arp_spa), C(arp_tpa), C(arp_sha), C(arp_tha), C(ct_state), C(ct_zone), C(ct_mark), C(reg0) to
    C(reg15), with masks where Open vSwitch takes them.
  - >-
    Actions: C(drop), C(output), C(IN_PORT), C(normal), C(goto_table), C(set_field), C(move) of whole fields,
    C(dec_ttl), C(ct) with C(commit), C(zone), C(table) and C(exec), and C(learn).
  - In a list of rules, a port's name and its number are taken for two ports; write one of them throughout.
options:
  _input:
    description:
      - The result of P(op_dbus.socket_network.compile_flows#filter), or a list of rules in the text of C(ovs-ofctl).
      - Empty lines and lines that start with C(#) are passed over.
    type: raw
    required: true
  ports:
    description:
      - Ports of the bridge, for a list of rules; rules that name another port are then reported.
      - The result of P(op_dbus.socket_network.compile_flows#filter) brings its own.
    type: list
    elements: str
    default: []
seealso:
  - plugin: op_dbus.socket_network.compile_flows
    plugin_type: filter
  - plugin: op_dbus.socket_network.trace_packet
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Refuse rules that cannot do what they say
  ansible.builtin.assert:
    that: (fleet | op_dbus.socket_network.compile_flows(inventory_hostname) | op_dbus.socket_network.check_flows) == []
  vars:
    fleet: "{{ hostvars | op_dbus.socket_network.fleet_inventory(groups['socket_network']) }}"

- name: Show that the second rule is dead
  ansible.builtin.debug:
    msg: "{{ flows | op_dbus.socket_network.check_flows(ports=['veth102', 'warp0', 'nm-privacy']) }}"
  vars:
    flows:
      - priority=100,in_port=veth102,actions=output:warp0
      - priority=80,in_port=veth102,actions=output:nm-privacy
"""

RETURN = r"""
_value:
  description: Findings, in the order of the rules; empty when there are none.
  type: list
  elements: dict
  contains:
    kind:
      description:
        - V(dead), one rule of higher priority takes all its packets.
        - V(dead_union), several of them do so together.
        - V(duplicate), a later rule has the same match and priority and replaces it.
        - V(ambiguous), a rule of the same priority matches some of the same packets and does something else.
        - V(unreachable_table), no packet comes to its table, or to the table that it learns into.
        - V(unreachable_rule), no packet that comes to its table has the value that it matches.
        - V(goto_nowhere), it sends packets to a table without rules.
        - V(goto_backward), it goes to a table that is not a later one.
        - V(no_such_port), the bridge does not have the port that it names.
        - V(undecided), so many rules overlap that the exact answer would take too long.
      type: str
    bridge:
      description: Name of the bridge; empty for a list of rules.
      type: str
    line:
      description: Position of the rule in its list, from 1; of a host in literal mode, its line in the text.
      type: int
    rule:
      description: The rule as it was given.
      type: str
    origin:
      description: The inventory line that asked for the rule; empty for a list of rules.
      type: str
    by:
      description: The rules that are the cause, each with RV(_value[].line), RV(_value[].rule) and RV(_value[].origin).
      type: list
      elements: dict
    explanation:
      description: What is wrong.
      type: str
    remedy:
      description: What would make the rule live, or the rules clear.
      type: str
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.checker import check_bridge
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.findings import as_data
from ansible_collections.op_dbus.socket_network.plugins.module_utils._errors import SocketNetworkError
from ansible_collections.op_dbus.socket_network.plugins.plugin_utils._fleet import COLLECTION, plain

_NAME = f"{COLLECTION}.check_flows"


def check_flows(flows: object, ports: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Findings about compiled bridges or about a list of rules."""
    given = plain(flows)
    if isinstance(given, Mapping):
        return list(_compiled(given))
    if not _is_text_list(given):
        raise AnsibleFilterError(f"{_NAME}: expected the result of compile_flows or a list of rules.")
    if not _is_text_list(plain(ports)):
        raise AnsibleFilterError(f"{_NAME}: ports has to be a list of port names.")
    return list(_found("", {"flows": given}, names=plain(ports)))


def _compiled(bridges: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name, bridge in bridges.items():
        if not isinstance(bridge, Mapping) or not _is_text_list(bridge.get("flows")) or "ports" not in bridge:
            raise AnsibleFilterError(f"{_NAME}: {name} is not a bridge as compile_flows gives it.")
    for name, bridge in bridges.items():
        elsewhere = {other: list(bridges[other]["ports"]) for other in bridges if other != name}
        yield from _found(name, bridge, elsewhere=elsewhere)


def _is_text_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _found(name: str, bridge: Mapping[str, Any], **more: Any) -> Iterator[dict[str, Any]]:
    try:
        given = [(rule["line"], rule["text"]) for rule in bridge.get("given", ())]
        known: dict[str, Any] = {"ports": bridge.get("ports"), "origins": bridge.get("origins"), "given": given}
        found = check_bridge(bridge["flows"], **known, **more)
    except SocketNetworkError as exc:
        raise AnsibleFilterError(f"{_NAME}: {f'bridge {name}: ' if name else ''}{exc}") from exc
    return (as_data(finding, name) for finding in found)


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"check_flows": check_flows}
