# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Requests to the Netmaker server: encoded, tried again only where that is safe, decoded, and errors told apart.

The server answers old routes with bare objects and new ones with ``{Code, Message, Response}``, whatever the content
type says, and a success may have no body at all.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
import urllib.error
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from .answers import MASK, envelope, error_of
from .errors import NetmakerError
from .options import Connection

ATTEMPTS = 3
PAUSE = 0.5
"""Seconds before the second attempt; doubled for the third."""
LARGEST = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Clock:
    """Time in seconds from any point on, and how to let it pass."""

    now: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep


class Opener(Protocol):
    """The part of ``ansible.module_utils.urls.Request`` that is used here."""

    def open(self, method: str, url: str, data: bytes | None = None) -> Any:
        """Send one request; raise urllib.error.HTTPError for a status that is no success."""


def settings(connection: Connection) -> dict[str, Any]:
    """Keyword arguments for ``ansible.module_utils.urls.Request``.

    A redirect would carry the credential elsewhere, and ~/.netrc would replace it, so neither is followed.
    """
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    if connection.credential:
        headers["Authorization"] = f"Bearer {connection.credential}"
    if connection.tenant:
        headers["X-Tenant-ID"] = connection.tenant
    return {
        "headers": headers,
        "timeout": connection.timeout,
        "validate_certs": connection.validate_certs,
        "ca_path": connection.ca_path,
        "context": trust(connection),
        "follow_redirects": "none",
        "use_netrc": False,
        "use_proxy": not connection.loopback,
        "http_agent": "op_dbus.socket_network",
    }


def trust(connection: Connection) -> ssl.SSLContext:
    """Which certificates are believed: made once, since reading all of the system's takes longer than a request."""
    if not connection.secure:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context = ssl.create_default_context(cafile=connection.ca_path)
    except (OSError, ssl.SSLError) as error:
        raise NetmakerError(
            "tls_failed",
            f"ca_path {connection.ca_path} cannot be used: {error}.",
            fix="put the certificate of the server's authority there, in PEM form.",
        ) from None
    if not connection.validate_certs:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class Client:
    """One server and one credential. ``opener`` makes a new Opener from keyword arguments."""

    def __init__(
        self,
        opener: Callable[..., Opener],
        connection: Connection,
        clock: Clock | None = None,
    ) -> None:
        self.connection = connection
        self.clock = clock or Clock()
        self._opener = opener(**settings(connection))
        self._secrets = {secret for secret in (connection.credential, connection.password) if secret}

    def hide(self, *secrets: str) -> None:
        """Keep ``secrets`` out of all messages from now on."""
        self._secrets.update(secret for secret in secrets if secret)

    def clean(self, text: str) -> str:
        """``text`` without any secret that is known here."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, MASK).replace(quote(secret, safe=""), MASK)
        return text

    def get(self, path: str, *, what: str, **query: str) -> Any:
        """Read; broken connections and gateways that stumble are tried again."""
        for attempt in range(1, ATTEMPTS):
            try:
                return self._once("GET", path, None, what, query)
            except NetmakerError as error:
                if not error.again:
                    raise
                self.clock.pause(PAUSE * 2 ** (attempt - 1))
        return self._once("GET", path, None, what, query)

    def send(self, method: str, path: str, body: Any = None, *, what: str, **query: str) -> Any:
        """Write, once. When the error is ``uncertain`` the caller has to look again."""
        return self._once(method, path, body, what, query)

    def _once(self, method: str, path: str, body: Any, what: str, query: dict[str, str]) -> Any:
        url = f"{self.connection.url}{path}" + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body).encode()
        try:
            with self._opener.open(method, url, data=data) as answer:
                return envelope(answer.read(LARGEST), self._named(what))
        except urllib.error.HTTPError as error:
            raise error_of(error.code, _body(error), self._named(what), self.clean) from None
        except urllib.error.URLError as error:
            raise self._broken(error.reason, what) from None
        except (OSError, http.client.HTTPException) as error:
            raise self._broken(error, what) from None

    def _named(self, what: str) -> str:
        return f"{self.connection.url}: {what}"

    def _broken(self, reason: object, what: str) -> NetmakerError:
        """The connection was refused, cut, too slow, or not to be trusted."""
        name = self._named(what)
        if isinstance(reason, ssl.SSLError):
            fix = "name the certificate of the server's authority in ca_path, and the server as its certificate does."
            return NetmakerError("tls_failed", f"{name}: TLS failed: {self.clean(str(reason))}.", fix=fix)
        if isinstance(reason, TimeoutError):
            said = f"no answer within {self.connection.timeout} seconds"
            fix = "see whether the server is overloaded, or raise timeout."
            return NetmakerError("unreachable", f"{name}: {said}.", fix=fix, uncertain=True)
        said = self.clean(str(reason)) or type(reason).__name__
        fix = "start the server (`systemctl status netmaker`), or correct api_url."
        cut = isinstance(reason, (ConnectionError, http.client.HTTPException))
        said = f"{name}: the connection failed: {said}."
        return NetmakerError("unreachable", said, fix=fix, uncertain=True, again=cut)


def _body(error: urllib.error.HTTPError) -> bytes:
    try:
        return error.read(LARGEST)
    except (OSError, http.client.HTTPException, AttributeError):
        return b""
