# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users, logins and access tokens."""

from __future__ import annotations

import uuid
from datetime import datetime

from aiohttp import web

from . import answers
from .access import hash_password, is_password
from .answers import Problem
from .call import NO_RECORD, Call, Route
from .settings import MASTER
from .state import NEVER, State
from .store import Document

MINUTE = 60
SHORTEST_PASSWORD = 5


class Users:
    def __init__(self, state: State) -> None:
        self._state = state
        self._store = state.store

    def routes(self) -> list[Route]:
        tokens = "/api/v1/users/access_token"
        return [
            Route("GET", "/api/users", self._list),
            Route("GET", "/api/users/adm/hassuperadmin", self._has_superadmin, "open"),
            Route("POST", "/api/users/adm/createsuperadmin", self._create_superadmin, "open"),
            Route("POST", "/api/users/adm/authenticate", self._authenticate, "open"),
            Route("GET", tokens, self._tokens),
            Route("POST", tokens, self._create_token),
            Route("DELETE", tokens, self._delete_token),
        ]

    def _list(self, _call: Call) -> web.Response:
        return answers.bare([_shown(user) for user in self._store.all("users")])

    def _has_superadmin(self, _call: Call) -> web.Response:
        return answers.bare(bool(self._store.all("users")))

    def _create_superadmin(self, call: Call) -> web.Response:
        """Whoever comes first is it."""
        body = call.document()
        if self._store.all("users"):
            raise Problem(400, "superadmin user already exists")
        if not self._state.config["basic_auth"]:
            raise Problem(400, "basic auth is disabled")
        name, password = str(body.get("username", "")), str(body.get("password", ""))
        if len(password) < SHORTEST_PASSWORD:
            raise Problem(400, f"the password needs at least {SHORTEST_PASSWORD} characters")
        now = self._state.stamp()
        user = {"username": name, "password": hash_password(password), "created_at": now}
        return answers.bare(_shown(self._store.put("users", name, user)))

    def _authenticate(self, call: Call) -> web.Response:
        body = call.document(500)
        name, password = str(body.get("username", "")), str(body.get("password", ""))
        user = self._store.get("users", name)
        if user is None:
            raise Problem(401, NO_RECORD)
        if not self._state.config["basic_auth"]:
            raise Problem(400, "basic auth is disabled")
        if not is_password(password, user["password"]):
            raise Problem(400, "incorrect credentials")
        if self._state.settings.mfa:
            return answers.wrapped({"user_name": name, "pre_auth_token": "stand-in"}, "second factor needed")
        life = self._state.config["jwt_validity_duration"] * MINUTE
        token = self._state.tokens.issue({"user": name}, life)
        return answers.wrapped({"UserName": name, "AuthToken": token}, "user authorized")

    def _tokens(self, call: Call) -> web.Response:
        name = call.query.get("username", "")
        return answers.wrapped([item for item in self._store.all("tokens") if item["user_name"] == name], "tokens")

    def _create_token(self, call: Call) -> web.Response:
        """The master key is no user, so it cannot."""
        if call.caller == MASTER:
            raise Problem(401, NO_RECORD)
        body = call.document()
        name = str(body.get("user_name", ""))
        if self._store.get("users", name) is None:
            raise Problem(401, NO_RECORD)
        expires = str(body.get("expires_at", ""))
        key = str(uuid.uuid4())
        record = {
            "id": key,
            "name": body.get("name", ""),
            "user_name": name,
            "expires_at": expires,
            "last_used": NEVER,
            "created_by": call.caller,
            "created_at": self._state.stamp(),
        }
        self._store.put("tokens", key, record)
        claims = {"user": name, "access": key, "exp": datetime.fromisoformat(expires).timestamp()}
        return answers.wrapped({"UserName": name, "AuthToken": self._state.tokens.sign(claims)}, "token made")

    def _delete_token(self, call: Call) -> web.Response:
        self._store.delete("tokens", call.query.get("id", ""))
        return answers.wrapped(None, "token deleted")


def _shown(user: Document) -> Document:
    """Without the password's hash."""
    return {
        "username": user["username"],
        "external_identity_provider_id": "",
        "is_mfa_enabled": False,
        "display_name": "",
        "account_disabled": False,
        "isadmin": True,
        "issuperadmin": True,
        "auth_type": "basic_auth",
        "remote_gw_ids": None,
        "user_group_ids": {},
        "platform_role_id": "super-admin",
        "network_roles": None,
        "last_login_time": NEVER,
        "num_access_tokens": 0,
        "created_by": "",
        "created_at": user["created_at"],
        "updated_at": user["created_at"],
    }
