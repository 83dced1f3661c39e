# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What the filters share: plain data out of Ansible's containers, one parse for one inventory, errors with names."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from ansible.errors import AnsibleFilterError
from ansible.utils.display import Display
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.inventory import fleet_from_inventory
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.model import Fleet
from ansible_collections.op_dbus.socket_network.plugins.module_utils._errors import SocketNetworkError

COLLECTION = "op_dbus.socket_network"
T = TypeVar("T")


def plain(value: object) -> Any:
    """``value`` without Ansible's lazy containers and tags. Other than YAML's own types become their names."""
    if value is None or isinstance(value, bool):
        return value
    for scalar in (str, int, float):
        if isinstance(value, scalar):
            return scalar(value)
    if isinstance(value, Mapping):
        return {plain(key): plain(value[key]) for key in value}
    if isinstance(value, Sequence):
        return [plain(item) for item in value]
    return f"({type(value).__name__})"


def with_node(name: str, inventory: object, host: object, build: Callable[[Fleet, str], T]) -> T:
    """What ``build`` says about ``host`` in the fleet of ``inventory``; errors name the filter ``name``."""
    filter_name = f"{COLLECTION}.{name}"
    if not isinstance(inventory, Mapping):
        raise AnsibleFilterError(f"{filter_name}: expected a mapping of host names, got {type(inventory).__name__}.")
    if not isinstance(host, str):
        raise AnsibleFilterError(f"{filter_name}: expected a host name, got {type(host).__name__}.")
    try:
        fleet = _fleet(json.dumps(plain(inventory), sort_keys=True))
    except SocketNetworkError as exc:
        raise AnsibleFilterError(f"{filter_name}: {exc}") from exc
    if host not in fleet.nodes:
        known = ", ".join(sorted(fleet.nodes)) or "none"
        raise AnsibleFilterError(f"{filter_name}: {host} is not in the fleet, whose hosts are: {known}.")
    return build(fleet, str.__str__(host))


@lru_cache(maxsize=1)
def _fleet(inventory: str) -> Fleet:
    fleet = fleet_from_inventory(json.loads(inventory))
    for warning in fleet.warnings:
        Display().warning(warning)
    return fleet
