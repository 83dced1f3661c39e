# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""An enrollment key: what was found, what is wanted, and whether it still serves. Nothing is sent here.

The server keeps neither the number of uses that a key was made for nor, once they are spent, any trace of them but its
type. So uses never count as a difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .api import name_of
from .errors import NetmakerRefusedError
from .values import moment, rfc3339, server_time

NOBODY = "00000000-0000-0000-0000-000000000000"
NAME_LENGTH = range(3, 33)
TIME, USES, UNLIMITED = "expires_at", "uses", "unlimited"
_KINDS = {1: TIME, 2: USES, 3: UNLIMITED}
"""The server's ``type`` -> which of the three limits counts."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is. ``relay`` is the node that relays those who join with it, None for nobody."""

    name: str
    kind: str
    networks: frozenset[str]
    uses_remaining: int
    expires_at: datetime | None
    groups: frozenset[str]
    relay: str | None
    default: bool
    token: str = field(repr=False)

    def state(self, now: datetime) -> str:
        """``valid``, ``spent`` or ``expired``, as the server judges when somebody registers."""
        if self.uses_remaining > 0 or self.kind == UNLIMITED:
            return "valid"
        if self.expires_at is not None:
            return "valid" if now < self.expires_at else "expired"
        return "spent"

    def settings(self, now: datetime) -> dict[str, Any]:
        """What a module returns: everything but the token."""
        return {
            "name": self.name,
            "networks": sorted(self.networks),
            "unlimited": self.kind == UNLIMITED,
            "uses_remaining": self.uses_remaining,
            "expires_at": rfc3339(self.expires_at),
            "groups": sorted(self.groups),
            "relay": self.relay,
            "default": self.default,
            "state": self.state(now),
        }


@dataclass(frozen=True, slots=True)
class Wanted:
    """A key as it should be. ``kind`` says which limit counts; None for ``groups`` or ``relay`` leaves them."""

    name: str
    kind: str
    networks: frozenset[str]
    uses: int = 0
    expires_at: datetime | None = None
    groups: frozenset[str] | None = None
    relay: str | None = None


def key_of(raw: Mapping[str, Any]) -> Key:
    """A key out of the server's JSON."""
    uses, expires_at = int(raw.get("uses_remaining") or 0), server_time(raw.get("expiration"))
    guessed = UNLIMITED if raw.get("unlimited") else TIME if expires_at and not uses else USES
    relay = str(raw.get("relay") or "")
    return Key(
        name=name_of(raw),
        kind=_KINDS.get(int(raw.get("type") or 0), guessed),
        networks=frozenset(raw.get("networks") or ()),
        uses_remaining=uses,
        expires_at=expires_at,
        groups=frozenset(raw.get("groups") or ()),
        relay=relay if relay not in {"", NOBODY} else None,
        default=bool(raw.get("default")),
        token=str(raw.get("token") or ""),
    )


def check_name(name: str) -> str:
    """``name`` when the server would take it."""
    if len(name) not in NAME_LENGTH:
        raise NetmakerRefusedError(
            "invalid_value", f"{name} is no name of an enrollment key.", fix="use 3 to 32 characters."
        )
    return name


def wanted_key(params: Mapping[str, Any]) -> Wanted:
    """What the module's ``params`` ask for."""
    uses, expires_at = params["uses"], params["expires_at"]
    if uses is not None and uses < 1:
        raise NetmakerRefusedError("invalid_value", f"uses {uses} makes a key for nobody.", fix="use 1 or more.")
    if not params["unlimited"] and uses is None and expires_at is None:
        raise NetmakerRefusedError(
            "invalid_value", f"Key {params['name']} has no limit.", fix="set uses, expires_at, or unlimited to true."
        )
    if not params["networks"]:
        raise NetmakerRefusedError(
            "invalid_value", f"Key {params['name']} leads into no network.", fix="name at least one in networks."
        )
    groups = params["groups"]
    return Wanted(
        name=check_name(params["name"]),
        kind=UNLIMITED if params["unlimited"] else USES if uses is not None else TIME,
        networks=frozenset(params["networks"]),
        uses=uses or 0,
        expires_at=None if expires_at is None else moment(expires_at, "expires_at"),
        groups=None if groups is None else frozenset(groups),
        relay=params["relay"],
    )


def refuse_unknown_networks(want: Wanted, known: Iterable[str]) -> None:
    """Refuse networks that do not exist; the server would take them and the key would lead nowhere."""
    missing = sorted(want.networks - set(known))
    if missing:
        raise NetmakerRefusedError(
            "not_found",
            f"Key {want.name}: the server has no network {', '.join(missing)}.",
            fix="create it first (netmaker_network), or correct networks.",
        )


def refuse_past(want: Wanted, now: datetime) -> None:
    """Refuse to make a key that has already ended."""
    if want.kind == TIME and want.expires_at is not None and want.expires_at <= now:
        raise NetmakerRefusedError(
            "invalid_value",
            f"Key {want.name} would end at {rfc3339(want.expires_at)}; now is {rfc3339(now)}.",
            fix="take a later expires_at, and see that the clocks are right (`timedatectl`).",
        )


def refuse_taken(want: Wanted, keys: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a name that another key has as a further tag: names are unique over all tags of all keys."""
    for raw in keys:
        if want.name in (raw.get("tags") or ())[1:]:
            raise NetmakerRefusedError(
                "key_name_taken",
                f"{want.name} is a tag of the key {name_of(raw)}.",
                fix="take another name.",
            )


def fixed_differences(want: Wanted, have: Key) -> list[str]:
    """Differences, in words, that only a new key (with a new token) can mend."""
    found: list[str] = []
    if want.networks != have.networks:
        found.append(f"networks {', '.join(sorted(have.networks))} to {', '.join(sorted(want.networks))}")
    if want.kind != have.kind:
        found.append(f"limit {have.kind} to {want.kind}")
    elif want.kind == TIME and want.expires_at != have.expires_at:
        found.append(f"expires_at {rfc3339(have.expires_at)} to {rfc3339(want.expires_at)}")
    return found


def creation(want: Wanted) -> dict[str, Any]:
    """Body that makes the key. One tag is always sent: without any the server stores the key and then fails."""
    body: dict[str, Any] = {
        "tags": [want.name],
        "networks": sorted(want.networks),
        "unlimited": want.kind == UNLIMITED,
        "uses_remaining": want.uses,
        "expiration": 0 if want.expires_at is None else int(want.expires_at.timestamp()),
        "groups": sorted(want.groups or ()),
    }
    return {**body, "relay": want.relay} if want.relay else body


def update(want: Wanted, raw: Mapping[str, Any]) -> dict[str, Any]:
    """The whole key with what can be changed changed."""
    relay = want.relay if want.relay is not None else raw.get("relay")
    groups = raw.get("groups") or [] if want.groups is None else sorted(want.groups)
    expires_at = server_time(raw.get("expiration"))
    return {
        **{name: value for name, value in raw.items() if name not in {"value", "token"}},
        "expiration": 0 if expires_at is None else int(expires_at.timestamp()),
        "relay": relay if relay and relay != NOBODY else "",
        "groups": groups,
    }
