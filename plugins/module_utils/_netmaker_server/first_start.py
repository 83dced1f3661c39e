# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What the server holds in its database and the role cares for: the superadmin, and settings that were only seeded."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from .._errors import RefusedError
from .._netmaker.client import Client
from .._netmaker.errors import NetmakerError
from .._plan import Plan, Step
from .layout import SETTINGS, Wanted

_HIDDEN = re.compile("secret|password|token|creds")
_FATAL = {"metric_interval"}
"""Settings whose change ends the server (1.5.1): it stops a clock twice. It keeps the change."""
_STATUS = "/api/server/status"
_SETTINGS = "/api/server/settings"


def status(client: Client) -> dict[str, Any] | None:
    """The answer of the server's status page, or None when nobody answers as a Netmaker server does."""
    try:
        answer = client.send("GET", _STATUS, what="asking for its status")
    except NetmakerError:
        return None
    return answer if isinstance(answer, dict) and "version" in answer else None


def has_superadmin(client: Client) -> bool:
    return client.get("/api/users/adm/hassuperadmin", what="asking for the superadmin") is True


def make_superadmin(client: Client, wanted: Wanted) -> None:
    """Does nothing when there is one: the first caller wins, and a second one is refused."""
    if has_superadmin(client):
        return
    body = {"username": wanted.admin, "password": wanted.admin_password}
    client.hide(wanted.admin_password)
    try:
        client.send("POST", "/api/users/adm/createsuperadmin", body, what="making the superadmin")
    except NetmakerError as error:
        if not error.uncertain:
            raise
    if not has_superadmin(client):
        raise NetmakerError(
            "not_kept",
            f"The server took superadmin {wanted.admin} and does not have it.",
            fix="read `journalctl -u netmaker`.",
        )


def wanted_settings(wanted: Wanted) -> dict[str, Any]:
    """Settings by name; those of the inventory come last."""
    if "client_secret" in wanted.settings:
        raise RefusedError(
            "netmaker_settings has client_secret, which the server never shows, so that nobody can compare it.",
            fix="set it in Netmaker itself.",
        )
    return {**SETTINGS, **wanted.settings}


def differing(found: Mapping[str, Any], want: Mapping[str, Any]) -> dict[str, Any]:
    """The part of ``want`` that ``found`` has otherwise. Refuses names that the server does not know."""
    unknown = sorted(set(want) - set(found))
    if unknown:
        raise RefusedError(
            f"netmaker_settings: this server has no setting {', '.join(unknown)}.",
            fix=f"use its names: {', '.join(sorted(found))}.",
        )
    return {name: value for name, value in sorted(want.items()) if found[name] != value}


def read_settings(client: Client) -> dict[str, Any]:
    answer = client.get(_SETTINGS, what="reading its settings")
    if not isinstance(answer, dict):
        raise NetmakerError("server_error", "The server's settings are no object.", fix="check the server's version.")
    return answer


def write_settings(client: Client, want: Mapping[str, Any], restart: Callable[[], None]) -> None:
    """Read, merge, put, read back: the server replaces all settings by what it is sent."""
    found = read_settings(client)
    change = differing(found, want)
    if not change:
        return
    try:
        client.send("PUT", _SETTINGS, {**found, **want}, what="changing its settings")
    except NetmakerError as error:
        if not error.uncertain:
            raise
    if _FATAL & set(change):
        restart()
    left = differing(read_settings(client), want)
    if left:
        raise NetmakerError(
            "not_kept", f"The server did not keep the settings {', '.join(left)}.", fix="check their values."
        )


def _lines(values: Mapping[str, Any], names: Mapping[str, Any]) -> str:
    shown = {name: "(secret)" if _HIDDEN.search(name) else values[name] for name in names}
    return "".join(f"setting {name} = {value}\n" for name, value in shown.items())


def plan(client: Client, wanted: Wanted, restart: Callable[[], None]) -> Plan:
    """For a server that answers. ``restart`` starts it anew and waits until it answers again."""
    steps = []
    if not has_superadmin(client):
        steps.append(Step(f"make superadmin {wanted.admin}", partial(make_superadmin, client, wanted)))
    want = wanted_settings(wanted)
    found = read_settings(client)
    change = differing(found, want)
    if change:
        steps.append(Step(f"set {', '.join(change)}", partial(write_settings, client, want, restart)))
    return Plan(tuple(steps), _lines(found, change), _lines(want, change))


def plan_unseen(client: Client, wanted: Wanted, restart: Callable[[], None]) -> Plan:
    """For a server that does not answer yet: what is needed shows when it does."""
    want = wanted_settings(wanted)
    return Plan(
        (
            Step(f"see that there is superadmin {wanted.admin}", partial(make_superadmin, client, wanted)),
            Step("see that the server has its settings", partial(write_settings, client, want, restart)),
        ),
        "",
        _lines(want, want),
    )
