# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What module `netmaker_client` does and returns, apart from its documentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._plan import Plan, result_of
from .._runner import Runner
from .driver import Driver, Wanted


def run_client(runner: Runner, params: Mapping[str, Any], check: bool) -> dict[str, Any]:
    """Body of the module; returns its result."""
    driver = Driver(runner, params["wait_timeout"], check)
    plan = Plan()
    if params["state"] == "present":
        plan = driver.plan_present(_wanted(params))
    elif params["state"] == "absent":
        plan = driver.plan_absent()
    done = result_of(plan, "netclient", check)
    if params["state"] == "present" and params["wait_address"] and not check:
        driver.wait_for(params["network"], params["wait_address"], params["wait_handshake"])
    state = driver.state()
    return {
        **done,
        "host_id": state.host_id,
        "name": state.name,
        "public_key": state.public_key,
        "listen_port": state.listen_port,
        "addresses": state.addresses,
        "joined": params["network"] in state.addresses,
    }


def _wanted(params: Mapping[str, Any]) -> Wanted:
    return Wanted(
        network=params["network"],
        name=params["name"],
        listen_port=params["listen_port"],
        endpoint=params["endpoint"] or None,
        certificate=params["ca_certificate"] or None,
        hosts=dict(params["hosts"]),
        refuse_lookups=params["refuse_lookups"],
        token=params["token"],
    )
