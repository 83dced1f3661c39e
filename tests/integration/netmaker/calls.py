# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules called in this process: parameters as Ansible checks them, results as the module's body gives them."""

from __future__ import annotations

import importlib
import itertools
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.urls import Request
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker.info_service import run_info
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker.key_service import run_key
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker.network_service import run_network
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker.node_service import run_node

from tests.integration.netmaker.servers import MASTER_KEY, Netmaker

_numbers = itertools.count(64)
MODULES = "ansible_collections.op_dbus.socket_network.plugins.modules"


def new_range() -> str:
    """A range that no network has."""
    return f"100.{next(_numbers)}.0.0/16"


def validated(module: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """``arguments`` completed by the module's argument spec."""
    spec = importlib.import_module(f"{MODULES}.{module}").ARGUMENT_SPEC
    result = ArgumentSpecValidator(spec).validate(arguments)
    assert result.error_messages == []
    return dict(result.validated_parameters)


class Caller:
    """Calls modules against ``server``; ``options`` replace those of the connection."""

    def __init__(self, server: Netmaker, **options: Any) -> None:
        self.connection: dict[str, Any] = {"api_url": server.url, "master_key": MASTER_KEY, **options}

    def _params(self, module: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return validated(module, {**self.connection, **arguments})

    def network(self, check: bool = False, **arguments: Any) -> dict[str, Any]:
        return run_network(Request, self._params("netmaker_network", arguments), check)

    def key(self, check: bool = False, **arguments: Any) -> dict[str, Any]:
        return run_key(Request, self._params("netmaker_enrollment_key", arguments), check)

    def node(self, check: bool = False, **arguments: Any) -> dict[str, Any]:
        given = {"wait_timeout": 10, "wait_interval": 1, **arguments}
        return run_node(Request, self._params("netmaker_node", given), check)

    def info(self, **arguments: Any) -> dict[str, Any]:
        return run_info(Request, self._params("netmaker_info", arguments))
