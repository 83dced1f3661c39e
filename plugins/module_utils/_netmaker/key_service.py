# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What the module `netmaker_enrollment_key` does and returns, apart from its documentation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from .._plan import Plan, Step
from .api import Api, Json, name_of
from .client import Client, Opener
from .converge import Target, converge, outcome
from .errors import NetmakerRefusedError
from .key import (
    TIME,
    UNLIMITED,
    Key,
    Wanted,
    check_name,
    creation,
    fixed_differences,
    key_of,
    refuse_past,
    refuse_taken,
    refuse_unknown_networks,
    update,
    wanted_key,
)
from .options import connection_of
from .relay import gateway_id
from .server import probe
from .values import lines, rfc3339

DEADLINE = 30
"""Seconds until the server must tell the change back."""


@dataclass(frozen=True, slots=True)
class Found:
    """All keys as the server tells them, the one asked for, and the names of the networks."""

    keys: tuple[Json, ...]
    mine: Json | None
    networks: frozenset[str]

    @property
    def key(self) -> Key | None:
        return None if self.mine is None else key_of(self.mine)


@dataclass(slots=True)
class Manager:
    """Plans for the key ``name``. ``old`` holds the values of the keys that a new one has replaced."""

    api: Api
    name: str
    now: Callable[[], datetime]
    recreate: bool = False
    renew: bool = False

    def read(self) -> Found:
        keys = tuple(self.api.enrollment_keys())
        mine = next((raw for raw in keys if name_of(raw) == self.name), None)
        networks = frozenset(str(raw.get("netid")) for raw in self.api.networks())
        return Found(keys, mine, networks)

    def plan(self, want: Wanted, have: Found) -> Plan:
        """What makes ``want`` true."""
        refuse_unknown_networks(want, have.networks)
        key = have.key
        if key is None or have.mine is None:
            refuse_taken(want, have.keys)
            return self._made(want, (), "")
        if self.renew and key.state(self.now()) != "valid":
            return self._replaced(want, have.mine, key.state(self.now()))
        differences = fixed_differences(want, key)
        if differences and self.recreate:
            return self._replaced(want, have.mine, "; ".join(differences))
        if differences:
            raise NetmakerRefusedError(
                "immutable_change",
                f"Key {want.name} exists and the server cannot change {'; '.join(differences)}.",
                fix="keep the old value, or set force_recreate, which ends the old token.",
            )
        return self._changed(want, have.mine)

    def _replaced(self, want: Wanted, raw: Json, why: str) -> Plan:
        if raw.get("default"):
            raise NetmakerRefusedError(
                "immutable_change",
                f"Key {want.name} is the default key of its network and cannot be made anew.",
                fix="take another name for your key.",
            )
        delete = Step(f"delete enrollment key {want.name} ({why})", partial(self.api.delete_key, raw))
        return self._made(want, (delete,), self._text(key_of(raw)))

    def _made(self, want: Wanted, first: tuple[Step, ...], before: str) -> Plan:
        refuse_past(want, self.now())
        create = Step(f"create enrollment key {want.name}", partial(self.api.create_key, creation(want)))
        after = {
            "name": want.name,
            "networks": sorted(want.networks),
            "unlimited": want.kind == UNLIMITED,
            "uses_remaining": want.uses,
            "expires_at": rfc3339(want.expires_at),
            "groups": sorted(want.groups or ()),
            "relay": want.relay,
        }
        return Plan((*first, create), before, lines(after))

    def _changed(self, want: Wanted, raw: Json) -> Plan:
        have = key_of(raw)
        done = replace(
            have,
            groups=have.groups if want.groups is None else want.groups,
            relay=have.relay if want.relay is None else want.relay or None,
        )
        if done == have:
            return Plan()
        step = Step(f"update enrollment key {want.name}", partial(self.api.update_key, raw, update(want, raw)))
        return Plan((step,), self._text(have), self._text(done))

    def plan_absent(self, have: Found) -> Plan:
        """What removes the key."""
        if have.mine is None:
            return Plan()
        if have.mine.get("default"):
            raise NetmakerRefusedError(
                "immutable_change",
                f"{self.name} is the default key of its network; the server does not delete it.",
                fix="remove the network, or leave the key.",
            )
        step = Step(f"delete enrollment key {self.name}", partial(self.api.delete_key, have.mine))
        return Plan((step,), self._text(key_of(have.mine)), "")

    def _text(self, key: Key) -> str:
        shown = key.settings(self.now())
        return lines({name: value for name, value in shown.items() if name not in {"default", "state"}})


def utc_now() -> datetime:
    return datetime.now(UTC)


def run_key(
    opener: Callable[..., Opener],
    params: Mapping[str, Any],
    check: bool,
    now: Callable[[], datetime] = utc_now,
) -> dict[str, Any]:
    """Body of module `netmaker_enrollment_key`; returns its result."""
    absent = params["state"] == "absent"
    want = Wanted(check_name(params["name"]), TIME, frozenset()) if absent else wanted_key(params)
    client = Client(opener, connection_of(params))
    server = probe(client)
    api = Api(client)
    if want.relay:
        want = replace(want, relay=gateway_id(api, want.relay, want.networks))
    manager = Manager(api, want.name, now, params["force_recreate"], params["renew"])
    plan_of = manager.plan_absent if absent else partial(manager.plan, want)
    plan, have = converge(Target(client, manager.read, plan_of, f"key {want.name}", DEADLINE), check=check)
    key = have.key
    created = any(action.startswith("create ") for action in plan.actions)
    told = key is not None and not check and (created or params["return_token"])
    return {
        **outcome(plan, f"enrollment key {want.name}"),
        "key": None if key is None else key.settings(now()),
        "token": key.token if key is not None and told else None,
        "server_version": server.version,
        "warnings": [] if absent or key is None else _warnings(key, check and created, now()),
    }


def _warnings(key: Key, replaced: bool, now: datetime) -> list[str]:
    state = key.state(now)
    if replaced or state == "valid":
        return []
    return [f"Enrollment key {key.name} is {state}: nobody can join with it. Set renew to have it made anew."]
