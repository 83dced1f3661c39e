# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter that tells the Netmaker membership of a host."""

from __future__ import annotations

DOCUMENTATION = r"""
name: netmaker_memberships
author: op-dbus maintainers (@op-dbus)
version_added: 0.1.0
short_description: Tell the Netmaker membership of a host
description:
  - Checks the inventory of the whole fleet and returns what Netmaker has to know of one host.
  - The host's uplink of kind C(netmaker) says it. A host without one gives none.
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
  - plugin: op_dbus.socket_network.netmaker_node
    plugin_type: module
"""

EXAMPLES = r"""
- name: Show the membership of a host
  ansible.builtin.debug:
    msg: "{{ fleet | op_dbus.socket_network.netmaker_memberships('oo1424oo') }}"
  vars:
    fleet: "{{ hostvars | op_dbus.socket_network.fleet_inventory(groups['socket_network']) }}"
"""

RETURN = r"""
_value:
  description: The membership; none for a host without an uplink of kind C(netmaker).
  type: dict
  contains:
    network:
      description: Name of the network.
      type: str
    host:
      description: Inventory name of the host, which is its name in Netmaker too.
      type: str
    uplink:
      description: Name of its uplink.
      type: str
    device:
      description: Interface of netclient.
      type: str
    address:
      description: Fixed overlay address.
      type: str
    addresses:
      description: Fixed overlay addresses of all hosts of the network.
      type: dict
    listen_port:
      description: UDP port of WireGuard.
      type: int
    endpoint:
      description: Public IPv4 address; none for a host that has none of its own.
      type: str
    gateway:
      description: Whether it relays the hosts without an endpoint.
      type: bool
    relay_via:
      description: Host that relays this one; none when it has an endpoint or the network no relay.
      type: str
    egress:
      description: Networks behind the host, which are the subnet of the bridge that the uplink serves.
      type: list
      elements: str
    mtu:
      description: MTU of the uplink.
      type: int
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.memberships import netmaker_membership
from ansible_collections.op_dbus.socket_network.plugins.plugin_utils._fleet import with_node


def netmaker_memberships(inventory: Mapping[str, Mapping[str, Any]], host: str) -> dict[str, Any] | None:
    """The membership of ``host``."""
    return with_node("netmaker_memberships", inventory, host, netmaker_membership)


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"netmaker_memberships": netmaker_memberships}
