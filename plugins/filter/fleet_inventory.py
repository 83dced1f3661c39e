# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter that takes from hostvars what makes the fleet."""

from __future__ import annotations

DOCUMENTATION = r"""
name: fleet_inventory
author: op-dbus maintainers (@op-dbus)
version_added: 0.1.0
short_description: Take what makes the fleet from the variables of all hosts
description:
  - Returns, for every host of the fleet, the inventory variables that describe its part of the socket network.
  - It reads inventory data only, so that C(--limit) does not change what it returns. Secrets are never read.
  - The result is the input of the filters P(op_dbus.socket_network.compile_flows#filter),
    P(op_dbus.socket_network.link_layer#filter) and P(op_dbus.socket_network.container_specs#filter).
positional: hosts
options:
  _input:
    description: The C(hostvars) of the play.
    type: dict
    required: true
  hosts:
    description: Names of all hosts of the fleet, usually a group.
    type: list
    elements: str
    required: true
seealso:
  - plugin: op_dbus.socket_network.compile_flows
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show the inventory of the fleet
  ansible.builtin.debug:
    msg: "{{ hostvars | op_dbus.socket_network.fleet_inventory(groups['socket_network']) }}"
"""

RETURN = r"""
_value:
  description:
    - A dictionary of host names. Each value holds those of C(socket_bridge_bridges), C(socket_bridge_veth_pairs),
      C(socket_bridge_uplinks), C(lxc_service_containers), C(socket_bridge_mode) and C(socket_bridge_literal_flows) that
      the host has.
  type: dict
  sample:
    oo1424oo:
      socket_bridge_bridges:
        - name: mesh
          subnet: 10.0.0.0/24
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.inventory import VARIABLES
from ansible_collections.op_dbus.socket_network.plugins.plugin_utils._fleet import COLLECTION, plain


def fleet_inventory(hostvars: Mapping[str, Mapping[str, Any]], hosts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The fleet's variables of ``hosts`` as plain data: {host: {variable: value}}."""
    name = f"{COLLECTION}.fleet_inventory"
    if not isinstance(hostvars, Mapping):
        raise AnsibleFilterError(f"{name}: expected hostvars, got {type(hostvars).__name__}.")
    if isinstance(hosts, str) or not isinstance(hosts, Sequence):
        raise AnsibleFilterError(f"{name}: expected a list of host names, got {type(hosts).__name__}.")
    unknown = [str(host) for host in hosts if host not in hostvars]
    if unknown:
        raise AnsibleFilterError(f"{name}: the inventory has no host {', '.join(unknown)}.")
    found = {}
    for host in hosts:
        variables = hostvars[host]
        values = {variable: plain(variables[variable]) for variable in VARIABLES if variable in variables}
        found[str.__str__(host)] = {variable: value for variable, value in values.items() if value is not None}
    return found


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"fleet_inventory": fleet_inventory}
