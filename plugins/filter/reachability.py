# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter that tells who may open which connection to whom."""

from __future__ import annotations

DOCUMENTATION = r"""
name: reachability
author: op-dbus maintainers (@op-dbus)
version_added: 0.1.0
short_description: Tell who may open which connection to whom in the whole fleet
description:
  - Compiles the OpenFlow rules of all hosts and follows every packet that can open a connection through them, from
    every container, host, mesh and exit. The answer is exact, and it is what the rules do, whatever was meant.
  - No host is contacted and nothing has to be running.
  - Between hosts, a packet is carried over the mesh to the member whose subnet it is for, as the inventory says.
    Tunnels, kernel routes and packet filters are not looked at, except for the ports that a host publishes.
options:
  _input:
    description: The result of P(op_dbus.socket_network.fleet_inventory#filter).
    type: dict
    required: true
seealso:
  - plugin: op_dbus.socket_network.reachability_diff
    plugin_type: filter
  - plugin: op_dbus.socket_network.reachability
    plugin_type: lookup
  - plugin: op_dbus.socket_network.trace_packet
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show who may open connections to whom
  ansible.builtin.debug:
    msg: "{{ (fleet | op_dbus.socket_network.reachability).table }}"
  vars:
    fleet: "{{ hostvars | op_dbus.socket_network.fleet_inventory(groups['socket_network']) }}"

- name: Refuse to go on when the internet reaches anything but the proxy
  ansible.builtin.assert:
    that: >-
      (fleet | op_dbus.socket_network.reachability).rows | selectattr('source', 'equalto', 'internet')
      | map(attribute='destination') | unique == ['vps-gateway/xray-server']
  vars:
    fleet: "{{ hostvars | op_dbus.socket_network.fleet_inventory(groups['socket_network']) }}"
"""

RETURN = r"""
_value:
  description: >-
    The matrix. A container is called C(HOST/NAME); C(host NAME) is a host itself, C(mesh NAME) what is on a mesh and is
    no container of the fleet, C(internet via HOST/NAME) what is behind an exit, and C(internet) whoever calls a
    published port.
  type: dict
  contains:
    rows:
      description: What may be opened; everything else may not.
      type: list
      elements: dict
      contains:
        source:
          description: Who opens the connection.
          type: str
        destination:
          description: To whom.
          type: str
        protocol:
          description:
            - V(tcp), V(udp), V(icmp), V(any) for every IP protocol, a number, or V(other) for what has no row itself.
          type: str
        ports:
          description: Destination ports, single ones and ranges. Empty for protocols other than V(tcp) and V(udp).
          type: list
          elements: str
        addresses:
          description: Destination addresses, single ones, prefixes and ranges.
          type: list
          elements: str
        published:
          description: The public port that is translated to this destination and port; 0 for none.
          type: int
        path:
          description: Bridges that the connection passes, each as C(HOST/BRIDGE).
          type: list
          elements: str
        origins:
          description: For each of these bridges the inventory line whose rule lets the connection pass.
          type: list
          elements: str
        origin:
          description: The last of RV(_value.rows[].origins).
          type: str
    stopped:
      description: What a container's own bridge lets out to another container and a later bridge drops entirely.
      type: list
      elements: dict
      contains:
        sources:
          description: The containers that are let out in vain.
          type: list
          elements: str
        destination:
          description: To whom.
          type: str
        bridge:
          description: Where it ends, as C(HOST/BRIDGE).
          type: str
        origin:
          description: The inventory line whose rule drops it.
          type: str
    containers:
      description: All containers of the fleet.
      type: list
      elements: str
    notes:
      description: What was not looked at, for example rules that C(learn) adds on a host in literal mode.
      type: list
      elements: str
    table:
      description: All of it as lines for people to read, for a terminal of 80 columns.
      type: list
      elements: str
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.op_dbus.socket_network.plugins.plugin_utils._reachability import matrix_of_inventory


def reachability(inventory: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Who may open which connection to whom in the fleet of ``inventory``."""
    return matrix_of_inventory("reachability", inventory)


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"reachability": reachability}
