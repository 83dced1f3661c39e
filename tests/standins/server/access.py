# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who calls: master key, a user's token, an access token, or a host's token."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from typing import Any

from .answers import Problem
from .call import Access
from .settings import MASTER, Settings
from .store import Store

UNAUTHORIZED = Problem(401, "unauthorized")
FORBIDDEN = Problem(403, "forbidden")
HOST_TOKEN_LIFE = 15 * 60
ROUNDS = 1000


class Tokens:
    """Signed tokens in the three-part form of the real ones. ``clock`` gives the server's time, in seconds."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._secret = store.token_secret()
        self._clock = clock

    def issue(self, claims: dict[str, Any], life: float) -> str:
        now = int(self._clock())
        return self.sign({**claims, "iat": now, "exp": int(now + life)})

    def sign(self, claims: dict[str, Any]) -> str:
        head = _encode({"alg": "HS256", "typ": "JWT"})
        content = f"{head}.{_encode(claims)}"
        return f"{content}.{self._signature(content)}"

    def read(self, token: str) -> dict[str, Any]:
        """Raises Problem for a token that is not ours or too old."""
        content, _dot, signature = token.rpartition(".")
        if not content or not hmac.compare_digest(signature.encode(), self._signature(content).encode()):
            raise UNAUTHORIZED
        claims = json.loads(_decode(content.partition(".")[2]))
        if claims["exp"] < self._clock():
            raise UNAUTHORIZED
        return dict(claims)

    def _signature(self, content: str) -> str:
        digest = hmac.new(self._secret, content.encode(), "sha256").digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


class Gate:
    """Finds out who calls."""

    def __init__(self, settings: Settings, store: Store, tokens: Tokens) -> None:
        self._settings = settings
        self._store = store
        self._tokens = tokens

    def caller(self, authorization: str, access: Access, variables: dict[str, str]) -> str:
        """Raises Problem when the credential is missing, wrong, or of a kind that this route does not take."""
        if access == "open":
            return ""
        words = authorization.split(" ")
        if len(words) < 2:
            raise UNAUTHORIZED
        token = words[1]
        if self._settings.master_key and hmac.compare_digest(token.encode(), self._settings.master_key.encode()):
            return MASTER
        claims = self._tokens.read(token)
        if "host" in claims:
            return self._host(claims["host"], access, variables)
        if access == "host":
            raise UNAUTHORIZED
        return self._user(claims)

    def _user(self, claims: dict[str, Any]) -> str:
        if self._store.get("users", claims["user"]) is None:
            raise UNAUTHORIZED
        if "access" in claims and self._store.get("tokens", claims["access"]) is None:
            raise UNAUTHORIZED
        return str(claims["user"])

    def _host(self, host: str, access: Access, variables: dict[str, str]) -> str:
        """A host may do things to itself only."""
        if access != "host":
            raise UNAUTHORIZED
        if variables.get("hostid", host) != host:
            raise FORBIDDEN
        if "nodeid" in variables:
            node = self._store.get("nodes", variables["nodeid"])
            if node is None:
                raise Problem(400, "no result found")
            if node["hostid"] != host:
                raise FORBIDDEN
        return host


def hash_password(password: str) -> str:
    salt = secrets.token_hex(8)
    return f"stand-in${salt}${_derive(password, salt)}"


def is_password(password: str, hashed: str) -> bool:
    _name, salt, digest = hashed.split("$")
    return hmac.compare_digest(_derive(password, salt), digest)


def _derive(password: str, salt: str) -> str:
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), ROUNDS).hex()


def _encode(claims: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
