# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter that tells why a host cannot be the Netmaker server that the inventory makes it."""

from __future__ import annotations

DOCUMENTATION = r"""
name: netmaker_server_faults
author: op-dbus maintainers (@op-dbus)
version_added: 0.1.0
short_description: Tell what is wrong with the inventory of a Netmaker server
description:
  - Checks the variables of role P(op_dbus.socket_network.netmaker#role) for a host in mode V(server), and its ports
    against those that the host publishes for containers.
  - Says all faults at once, each with host, variable, value and fix. Secrets are not shown.
positional: inventory, host, servers
options:
  _input:
    description: The role's variables by name.
    type: dict
    required: true
  inventory:
    description: The result of P(op_dbus.socket_network.fleet_inventory#filter).
    type: dict
    required: true
  host:
    description: Inventory name of the host.
    type: str
    required: true
  servers:
    description: All hosts of the fleet in mode V(server).
    type: list
    elements: str
    required: true
seealso:
  - plugin: op_dbus.socket_network.fleet_inventory
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show what is wrong
  ansible.builtin.debug:
    msg: "{{ given | op_dbus.socket_network.netmaker_server_faults(fleet, inventory_hostname, [inventory_hostname]) }}"
  vars:
    fleet: "{{ hostvars | op_dbus.socket_network.fleet_inventory(groups['socket_network']) }}"
    given: "{{ hostvars[inventory_hostname] }}"
"""

RETURN = r"""
_value:
  description: Faults; none when the host can be the server.
  type: list
  elements: str
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker_server.validate import (
    published_ports,
    server_faults,
)
from ansible_collections.op_dbus.socket_network.plugins.plugin_utils._fleet import plain, with_node


def netmaker_server_faults(
    variables: Mapping[str, Any], inventory: Mapping[str, Mapping[str, Any]], host: str, servers: Sequence[str]
) -> list[str]:
    """Faults of ``variables`` for ``host``; a host that is no node of the fleet publishes nothing."""
    published: dict[int, str] = {}
    if host in inventory:
        published = with_node("netmaker_server_faults", inventory, host, published_ports)
    return server_faults(plain(host), plain(variables), published, plain(servers))


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"netmaker_server_faults": netmaker_server_faults}
