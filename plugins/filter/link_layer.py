# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter that tells the link layer of a host."""

from __future__ import annotations

DOCUMENTATION = r"""
name: link_layer
author: op-dbus maintainers (@op-dbus)
version_added: 0.1.0
short_description: Tell the bridges, uplinks, tunnels and published ports of a host
description:
  - Checks the inventory of the whole fleet and returns what the host below the containers needs.
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
- name: Show the routing tables of the uplinks
  ansible.builtin.debug:
    msg: "{{ (fleet | op_dbus.socket_network.link_layer(inventory_hostname)).uplinks | items2dict('name', 'table') }}"
  vars:
    fleet: "{{ hostvars | op_dbus.socket_network.fleet_inventory(groups['socket_network']) }}"
"""

RETURN = r"""
_value:
  description: A dictionary that describes the links of the host.
  type: dict
  contains:
    bridges:
      description: Bridges with C(name), C(subnet) (none for a transit bridge), C(ct_zone) and the C(ports) of links.
      type: list
      elements: dict
    uplinks:
      description:
        - Uplinks with C(name), C(kind), C(bridge), C(device), C(gateway_port), C(bridge_port), C(mac), C(ofport),
          C(number), C(table), C(mtu), C(subnet) of the bridge that it serves, C(prefixes) behind it, C(relay) and
          C(masquerade).
      type: list
      elements: dict
    veth_pairs:
      description: Veth pairs between bridges; C(peer1) and C(peer2) have C(name), C(bridge), C(ofport) and C(mac).
      type: list
      elements: dict
    published:
      description:
        - Services on the public address, with C(protocol), C(public_port), C(address), C(port) and C(gateway_port).
      type: list
      elements: dict
    host_services:
      description: Services that the host itself may use, with C(protocol), C(address), C(port) and C(gateway_port).
      type: list
      elements: dict
    tunnels:
      description:
        - WireGuard devices with C(name), C(address), C(listen_port), C(mtu), C(public_key) and C(peers).
        - A peer has C(name), C(public_key), C(endpoint), C(allowed_ips) and C(keepalive) (0 is none).
      type: list
      elements: dict
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.op_dbus.socket_network.plugins.module_utils._core import links
from ansible_collections.op_dbus.socket_network.plugins.plugin_utils._fleet import with_node


def link_layer(inventory: Mapping[str, Mapping[str, Any]], host: str) -> dict[str, Any]:
    """Bridges, uplinks, veth pairs, published ports and tunnels of ``host``."""
    return with_node("link_layer", inventory, host, links.link_layer)


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"link_layer": link_layer}
