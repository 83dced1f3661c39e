# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What the filters and the lookup about reachability share: inventories to matrices, and matrices compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.cube import OutOfBudgetError
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.matrix import matrix_of
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.matrix_diff import (
    difference,
    difference_report,
)
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.matrix_rows import rows_of, stopped_rows
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.matrix_text import table
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.model import Fleet
from ansible_collections.op_dbus.socket_network.plugins.module_utils._errors import SocketNetworkError
from ansible_collections.op_dbus.socket_network.plugins.plugin_utils._fleet import COLLECTION, plain, with_node

_KEYS = ("rows", "stopped", "containers")


def matrix_of_inventory(name: str, inventory: object) -> dict[str, Any]:
    """What filter ``reachability`` returns; errors name the filter ``name``."""
    if not isinstance(inventory, Mapping) or not inventory:
        raise AnsibleFilterError(f"{COLLECTION}.{name}: expected the result of fleet_inventory.")

    def build(fleet: Fleet, _host: str) -> dict[str, Any]:
        matrix = matrix_of(fleet)
        rows, stopped = list(rows_of(matrix)), stopped_rows(matrix)
        containers = [str(container) for container in matrix.containers]
        notes = list(matrix.notes)
        lines = list(table(rows, stopped, containers, notes))
        return {"rows": rows, "stopped": stopped, "containers": containers, "notes": notes, "table": lines}

    try:
        return with_node(name, inventory, next(iter(inventory)), build)
    except OutOfBudgetError:
        problem = "the rules overlap in so many ways that the exact answer would take too long."
        raise AnsibleFilterError(f"{COLLECTION}.{name}: {problem}") from None
    except SocketNetworkError as exc:
        raise AnsibleFilterError(f"{COLLECTION}.{name}: {exc}") from exc


def is_matrix(value: object) -> bool:
    """Whether ``value`` has the shape of what `matrix_of_inventory` returns."""
    return isinstance(value, Mapping) and all(isinstance(value.get(key), list) for key in _KEYS)


def matrices_compared(name: str, before: object, after: object) -> dict[str, Any]:
    """What filter ``reachability_diff`` returns; errors name the filter ``name``."""
    old, new = plain(before), plain(after)
    if not is_matrix(old) or not is_matrix(new):
        raise AnsibleFilterError(f"{COLLECTION}.{name}: expected two results of the filter reachability.")
    try:
        changes = difference(old["rows"], new["rows"])
    except SocketNetworkError as exc:
        raise AnsibleFilterError(f"{COLLECTION}.{name}: {exc}") from exc
    containers = list(dict.fromkeys([*old["containers"], *new["containers"]]))
    return {**changes, "report": list(difference_report(changes, containers))}
