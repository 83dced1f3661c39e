# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Module parameters as specifications."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._errors import RefusedError
from .flow_table import FlowsSpec


def flows_spec(params: Mapping[str, Any]) -> FlowsSpec:
    """The parameters of ovs_bridge_flows; what YAML has turned into text becomes a number again."""
    return FlowsSpec(
        bridge=params["bridge"],
        flows=tuple(params["flows"]),
        ports={str(name): _number(value, f"ports: number of {name}") for name, value in params["ports"].items()},
        origins={_number(key, "origins: cookie"): str(text) for key, text in params["origins"].items()},
        owner=params["owner"],
        exclusive=params["exclusive"],
        force=params["force"],
        flush_revoked=params["flush_revoked"],
        ct_zone=params["ct_zone"],
        durable=params["durable"] or "",
        on_finding=params["on_finding"],
        given=tuple((item["line"], item["text"]) for item in params["given"]),
    )


def _number(value: object, what: str) -> int:
    try:
        return int(str(value), 0)
    except ValueError:
        raise RefusedError(
            f"{what} is {value!r}, which is not a number.", fix="write digits, or 0x and digits."
        ) from None
