# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Enrollment keys. With an empty list of tags the key is made, and then the handler dies."""

from __future__ import annotations

import base64
import json
import random
import string
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from . import answers
from .answers import HangUp, Problem
from .call import IDENTIFIER, Call, Route
from .state import NEVER, State
from .store import Document, Store

NOBODY = "00000000-0000-0000-0000-000000000000"
NO_KEY = "no enrollmentkey found"
TIME, USES, UNLIMITED = 1, 2, 3


class Keys:
    def __init__(self, state: State) -> None:
        self._state = state
        self._store = state.store

    def routes(self) -> list[Route]:
        path = "/api/v1/enrollment-keys"
        return [
            Route("GET", path, self._list),
            Route("POST", path, self._create),
            Route("PUT", path + "/{key}", self._update),
            Route("DELETE", path + "/{key}", self._delete),
        ]

    def _list(self, _call: Call) -> web.Response:
        """In no order that anybody could rely on."""
        keys = [self._shown(key) for key in self._store.all("keys")]
        random.shuffle(keys)
        return answers.bare(keys, kind=answers.PLAIN)

    def _create(self, call: Call) -> web.Response:
        body = call.document()
        tags = body.get("tags")
        if tags is None or any(not 3 <= len(tag) <= 32 for tag in tags):
            raise Problem(400, "validation error: a tag has 3 to 32 characters")
        used = {tag for key in self._store.all("keys") for tag in key["tags"]}
        if used & set(tags):
            raise Problem(400, "key names must be unique")
        self._check_identifier(body.get("relay", ""))
        key = new_key(
            tags=tags,
            networks=body.get("networks") or [],
            unlimited=bool(body.get("unlimited")),
            groups=body.get("groups"),
            uses=body.get("uses_remaining", 0),
            expiration=body.get("expiration", 0),
        )
        if not is_valid(key, self._state.now()):
            raise Problem(500, "enrollment key is not valid")
        key["auto_egress"] = bool(body.get("auto_egress"))
        key["auto_assign_gw"] = bool(body.get("auto_assign_gw"))
        self._set_relay(key, body.get("relay", ""))
        self._store.put("keys", key["value"], key)
        if not tags:
            raise HangUp
        return answers.bare(self._shown(key), kind=answers.PLAIN)

    def _update(self, call: Call) -> web.Response:
        """Only the gateway, the groups and auto_assign_gw; the rest of the body is ignored."""
        body = call.document()
        self._check_identifier(body.get("relay", ""))
        key = self._store.get("keys", call.path["key"])
        if key is None:
            raise Problem(500, NO_KEY)
        self._set_relay(key, body.get("relay", ""))
        key["groups"] = body.get("groups")
        key["auto_assign_gw"] = bool(body.get("auto_assign_gw")) and key["relay"] == NOBODY
        self._store.put("keys", key["value"], key)
        return answers.bare(self._shown(key), kind=answers.PLAIN)

    def _delete(self, call: Call) -> web.Response:
        key = self._store.get("keys", call.path["key"])
        if key is None:
            raise Problem(400, NO_KEY)
        if key["default"]:
            raise Problem(500, "cannot delete default network key")
        self._store.delete("keys", key["value"])
        if not key["tags"]:
            raise HangUp
        return answers.empty()

    def _check_identifier(self, relay: str) -> None:
        if relay and not IDENTIFIER.fullmatch(relay):
            raise Problem(400, "not a UUID")

    def _set_relay(self, key: Document, relay: str) -> None:
        key["relay"] = relay or NOBODY
        if not relay:
            return
        node = self._store.get("nodes", relay)
        if node is None:
            raise Problem(500, "no result found")
        if node["network"] not in key["networks"]:
            raise Problem(500, "the relay is not in the key's networks")
        if not node["isrelay"]:
            raise Problem(500, "the relay node is not a relay")

    def _shown(self, key: Document) -> Document:
        shown = dict(key)
        token = json.dumps({"server": self._state.settings.api_host, "value": key["value"]})
        shown["token"] = base64.b64encode(token.encode()).decode()
        return shown


def new_key(
    *,
    tags: list[str],
    networks: list[str],
    unlimited: bool,
    groups: list[str] | None,
    uses: int = 0,
    expiration: int = 0,
    default: bool = False,
) -> Document:
    """Uses beat expiration beats unlimited."""
    limited = uses > 0
    timed = not limited and expiration > 0
    expires = datetime.fromtimestamp(expiration, UTC).isoformat().replace("+00:00", "Z") if timed else NEVER
    return {
        "expiration": expires,
        "uses_remaining": uses if limited else 0,
        "value": "".join(random.choices(string.ascii_uppercase + "234567", k=32)),
        "networks": networks,
        "unlimited": unlimited,
        "tags": tags,
        "token": "",
        "type": USES if limited else TIME if timed else UNLIMITED if unlimited else 0,
        "relay": NOBODY,
        "groups": groups,
        "default": default,
        "auto_egress": False,
        "auto_assign_gw": False,
    }


def is_valid(key: Document, now: float) -> bool:
    if key["uses_remaining"] > 0:
        return True
    if key["expiration"] != NEVER and now < datetime.fromisoformat(key["expiration"]).timestamp():
        return True
    return bool(key["type"] and key["unlimited"])


def key_of(store: Store, token: str) -> Document:
    """Raises Problem for a token that names no key."""
    try:
        content: Any = json.loads(base64.b64decode(token, validate=True))
        key = store.get("keys", str(content.get("value", "")))
    except (ValueError, AttributeError) as error:
        raise Problem(400, "the token cannot be read") from error
    if key is None:
        raise Problem(400, NO_KEY)
    return key


def spend(store: Store, key: Document, now: float) -> None:
    """Take one use. Raises Problem when the key is spent or has expired."""
    if key["uses_remaining"] > 0:
        key["uses_remaining"] -= 1
        store.put("keys", key["value"], key)
    elif not is_valid(key, now):
        raise Problem(400, "invalid enrollment key")


def forget_network(store: Store, network: str) -> None:
    """Keys lose a deleted network; those that have no other go as well."""
    for key in store.all("keys"):
        if network in key["networks"]:
            key["networks"].remove(network)
            if key["networks"]:
                store.put("keys", key["value"], key)
            else:
                store.delete("keys", key["value"])


def forget_node(store: Store, node: str) -> None:
    for key in store.all("keys"):
        if key["relay"] == node:
            store.put("keys", key["value"], {**key, "relay": NOBODY})
