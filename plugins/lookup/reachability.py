# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lookup of the reachability matrix of another inventory."""

from __future__ import annotations

DOCUMENTATION = r"""
name: reachability
author: op-dbus maintainers (@op-dbus)
version_added: 0.1.0
short_description: Who may open which connection to whom, by another inventory or by a saved matrix
description:
  - Reads an inventory beside that of the play, with its variables, and returns what
    P(op_dbus.socket_network.reachability#filter) says about its fleet. Vaulted variables are read with the passwords of
    the play.
  - Also reads a result of that filter which was saved as JSON.
options:
  _terms:
    description:
      - Inventories (a file or a directory, anything that C(ansible-playbook -i) takes) or saved matrices.
      - A relative path starts in the current directory.
    type: list
    elements: str
    required: true
  group:
    description: Group of the hosts of the fleet in the inventory.
    type: str
    default: socket_network
seealso:
  - plugin: op_dbus.socket_network.reachability
    plugin_type: filter
  - plugin: op_dbus.socket_network.reachability_diff
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show who could open connections to whom before the change
  ansible.builtin.debug:
    msg: "{{ lookup('op_dbus.socket_network.reachability', '../main/inventories/production').table }}"
"""

RETURN = r"""
_raw:
  description: A matrix for each path, as P(op_dbus.socket_network.reachability#filter) returns it.
  type: list
  elements: dict
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.inventory.manager import InventoryManager
from ansible.plugins.lookup import LookupBase
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager
from ansible_collections.op_dbus.socket_network.plugins.filter.fleet_inventory import fleet_inventory
from ansible_collections.op_dbus.socket_network.plugins.plugin_utils._fleet import COLLECTION
from ansible_collections.op_dbus.socket_network.plugins.plugin_utils._reachability import is_matrix, matrix_of_inventory

_NAME = f"{COLLECTION}.reachability"


class LookupModule(LookupBase):  # type: ignore[misc]
    """Ansible's entry point."""

    def run(
        self, terms: Sequence[str], variables: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> list[dict[str, Any]]:
        """A matrix for each of ``terms``."""
        self.set_options(var_options=variables, direct=kwargs)
        return [self._matrix(str(term)) for term in terms]

    def _matrix(self, term: str) -> dict[str, Any]:
        path = Path(term).expanduser().absolute()
        if not path.exists():
            raise AnsibleLookupError(f"{_NAME}: there is no {path}. Fix: name an inventory or a saved matrix.")
        saved = _saved(path)
        if saved is not None:
            return saved
        inventory = InventoryManager(loader=self._loader, sources=[str(path)])
        group = self.get_option("group")
        if group not in inventory.groups:
            raise AnsibleLookupError(f"{_NAME}: the inventory {path} has no group {group}.")
        manager = VariableManager(loader=self._loader, inventory=inventory)
        hosts = [host.name for host in inventory.groups[group].get_hosts()]
        hostvars = HostVars(inventory, manager, self._loader)
        return matrix_of_inventory("reachability", fleet_inventory(hostvars, hosts))


def _saved(path: Path) -> dict[str, Any] | None:
    """The matrix in ``path``; None when something else is there."""
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError):
        return None
    return content if is_matrix(content) else None
