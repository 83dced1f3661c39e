# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter that tells which connections a change opens and which it closes."""

from __future__ import annotations

DOCUMENTATION = r"""
name: reachability_diff
author: op-dbus maintainers (@op-dbus)
version_added: 0.1.0
short_description: Tell which connections a change opens and which it closes
description:
  - Compares two results of P(op_dbus.socket_network.reachability#filter), exactly, down to the address and port.
  - A container that moves or gets another name is another container.
positional: after
options:
  _input:
    description: The result before the change, computed or read from the file that it was saved in.
    type: dict
    required: true
  after:
    description: The result after the change.
    type: dict
    required: true
seealso:
  - plugin: op_dbus.socket_network.reachability
    plugin_type: filter
  - plugin: op_dbus.socket_network.reachability
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Show what the change of the inventory opens and closes
  ansible.builtin.debug:
    msg: "{{ (before | op_dbus.socket_network.reachability_diff(after)).report }}"
  vars:
    before: "{{ lookup('op_dbus.socket_network.reachability', 'reachability.json') }}"
    after: "{{ hostvars | op_dbus.socket_network.fleet_inventory(groups['socket_network'])
      | op_dbus.socket_network.reachability }}"
"""

RETURN = r"""
_value:
  description: The difference.
  type: dict
  contains:
    opens:
      description:
        - What may be opened now and could not be opened before. Rows as in
          P(op_dbus.socket_network.reachability#filter), without path.
      type: list
      elements: dict
      contains:
        deciding:
          description: The inventory lines whose rules let it pass.
          type: list
          elements: str
    closes:
      description: What could be opened before and may not be opened now.
      type: list
      elements: dict
      contains:
        deciding:
          description: The inventory lines whose rules had let it pass.
          type: list
          elements: str
    report:
      description: All of it as lines for people to read.
      type: list
      elements: str
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.op_dbus.socket_network.plugins.plugin_utils._reachability import matrices_compared


def reachability_diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What the change from ``before`` to ``after`` opens and closes."""
    return matrices_compared("reachability_diff", before, after)


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"reachability_diff": reachability_diff}
