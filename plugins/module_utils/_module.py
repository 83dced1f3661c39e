# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""The frame of every module of this collection: run the body, turn our own errors into ``fail_json``."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule, env_fallback

from ._errors import SocketNetworkError


def run_module(module: AnsibleModule, body: Callable[[AnsibleModule], dict[str, Any]]) -> None:
    """Exit with ``body``'s result, showing its ``warnings``. Only SocketNetworkError is caught: all else is a bug."""
    try:
        result = body(module)
    except SocketNetworkError as error:
        module.fail_json(msg=str(error), exception=traceback.format_exc(), **error.result())
    for warning in result.pop("warnings", ()):
        module.warn(warning)
    module.exit_json(**result)


def from_environment(spec: Mapping[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
    """``spec`` with the options in ``variables`` taken from the environment variable named there when not set."""
    fallbacks = {name: {"fallback": (env_fallback, [variables[name]])} for name in spec if name in variables}
    return {name: {**option, **fallbacks.get(name, {})} for name, option in spec.items()}
