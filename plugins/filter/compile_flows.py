# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter that compiles the OpenFlow rules of a host."""

from __future__ import annotations

DOCUMENTATION = r"""
name: compile_flows
author: op-dbus maintainers (@op-dbus)
version_added: 0.1.0
short_description: Compile the OpenFlow rules of a host's bridges
description:
  - Checks the inventory of the whole fleet and compiles the rules of every bridge of one host.
  - The same inventory always gives the same text, whatever the order of its lists.
  - Of a host with C(socket_bridge_mode=literal) it returns the rules that somebody wrote, in their order, with the
    names of ports as the bridges have them.
  - Fails with all faults of the inventory in one message, each with host, variable, value and fix.
positional: host
options:
  _input:
    description: The result of P(op_dbus.socket_network.fleet_inventory#filter).
    type: dict
    required: true
  host:
    description: Inventory name of the host.
    type: str
    required: true
seealso:
  - plugin: op_dbus.socket_network.fleet_inventory
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show the rules of bridge mesh
  ansible.builtin.debug:
    msg: "{{ (fleet | op_dbus.socket_network.compile_flows(inventory_hostname)).mesh.flows }}"
  vars:
    fleet: "{{ hostvars | op_dbus.socket_network.fleet_inventory(groups['socket_network']) }}"
"""

RETURN = r"""
_value:
  description: A dictionary of bridge names.
  type: dict
  contains:
    flows:
      description: Rules in canonical OpenFlow 1.5 text, by table and priority, with port names in quotes.
      type: list
      elements: str
      sample:
        - cookie=0x6f6f000a136d8367,table=10,priority=100,ip,reg0=0x10066,nw_src=10.0.0.102,actions=goto_table:20
    ports:
      description: OpenFlow port number of every port of the bridge, by name.
      type: dict
      sample:
        veth102: 32870
    origins:
      description: The inventory line that asked for a rule, by the rule's cookie in hexadecimal.
      type: dict
      sample:
        "0x6f6f000a136d8367": "oo1424oo: lxc_service_containers[xray-client]"
    given:
      description:
        - On a host with C(socket_bridge_mode=literal), each rule as it was written, with its C(line) and C(text).
        - Empty otherwise.
      type: list
      elements: dict
      sample: []
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.compile import compile_node
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.model import Fleet
from ansible_collections.op_dbus.socket_network.plugins.plugin_utils._fleet import with_node


def compile_flows(inventory: Mapping[str, Mapping[str, Any]], host: str) -> dict[str, dict[str, Any]]:
    """Rules, port numbers and origins by bridge."""
    return with_node("compile_flows", inventory, host, _bridges)


def _bridges(fleet: Fleet, host: str) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "flows": [flow.text() for flow in bridge.flows],
            "ports": bridge.ports,
            "origins": bridge.origins,
            "given": [{"line": rule.line, "text": rule.text} for rule in bridge.given],
        }
        for name, bridge in compile_node(fleet, host).items()
    }


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"compile_flows": compile_flows}
