# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter that tells the containers of a host."""

from __future__ import annotations

DOCUMENTATION = r"""
name: container_specs
author: op-dbus maintainers (@op-dbus)
version_added: 0.1.0
short_description: Tell the containers of a host with everything derived
description:
  - Checks the inventory of the whole fleet and returns the containers of one host, each with its MAC address, gateway,
    OpenFlow port and MTU.
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
- name: Show the MAC addresses of the containers
  ansible.builtin.debug:
    msg: "{{ fleet | op_dbus.socket_network.container_specs(inventory_hostname) | items2dict('name', 'mac') }}"
  vars:
    fleet: "{{ hostvars | op_dbus.socket_network.fleet_inventory(groups['socket_network']) }}"
"""

RETURN = r"""
_value:
  description:
    - Containers by name, each with C(id), C(name), C(veth), C(bridge), C(ipv4_address), C(gateway), C(mac), C(ofport),
      C(mtu), C(memory) and C(swap) in MiB, C(cpus), C(nesting), C(running), C(autostart), C(unprivileged), C(template),
      C(image), C(tree) and C(services). What is not set is none.
    - A service has C(name), C(protocol), C(port), C(exposed_to), C(public_port) and C(health).
  type: list
  elements: dict
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.op_dbus.socket_network.plugins.module_utils._core import specs
from ansible_collections.op_dbus.socket_network.plugins.plugin_utils._fleet import with_node


def container_specs(inventory: Mapping[str, Mapping[str, Any]], host: str) -> list[dict[str, Any]]:
    """The containers of ``host``."""
    return with_node("container_specs", inventory, host, specs.container_specs)


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"container_specs": container_specs}
