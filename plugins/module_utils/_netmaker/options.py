# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Options that all Netmaker modules take, and the settings of a connection made from them."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from .errors import NetmakerRefusedError

CONNECTION_SPEC: dict[str, Any] = {
    "api_url": {"type": "str", "required": True},
    "master_key": {"type": "str", "no_log": True},
    "api_token": {"type": "str", "no_log": True},
    "tenant_id": {"type": "str"},
    "validate_certs": {"type": "bool", "default": True},
    "ca_path": {"type": "path"},
    "timeout": {"type": "int", "default": 60},
}
CREDENTIALS = ("master_key", "api_token")
ENVIRONMENT = {
    "api_url": "NETMAKER_API_URL",
    "master_key": "NETMAKER_MASTER_KEY",
    "api_token": "NETMAKER_API_TOKEN",
    "username": "NETMAKER_USERNAME",
    "password": "NETMAKER_PASSWORD",
}
"""Options that may come from the environment of the host on which the module runs."""


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the server is and how to talk to it. ``timeout`` is in seconds, for each request."""

    url: str
    credential: str | None = field(default=None, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tenant: str | None = None
    validate_certs: bool = True
    ca_path: str | None = None
    timeout: int = 60

    @property
    def secure(self) -> bool:
        return self.url.startswith("https://")

    @property
    def loopback(self) -> bool:
        return _is_loopback(urlsplit(self.url).hostname or "")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def checked_url(text: str) -> str:
    """``text`` without what the client adds itself; refuses what would send the credential in clear text."""
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise NetmakerRefusedError(
            "invalid_value", f"api_url {text} is not an address of a server.", fix="write https://api.DOMAIN."
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise NetmakerRefusedError(
            "invalid_value",
            "api_url must not hold a login, a query or a fragment.",
            fix="give the credential in master_key or api_token.",
        )
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise NetmakerRefusedError(
            "invalid_value",
            f"api_url {text} would send the credential over the network in clear text.",
            fix="use https://, or delegate to the server and use its loopback address.",
        )
    path = parts.path.rstrip("/").removesuffix("/api")
    return f"{parts.scheme}://{parts.netloc}{path}"


def connection_of(params: Mapping[str, Any]) -> Connection:
    """The connection that the module's ``params`` describe."""
    if params["timeout"] < 1:
        raise NetmakerRefusedError("invalid_value", "timeout must be at least 1.", fix="leave it out for 60 seconds.")
    if params["ca_path"] and not os.path.isfile(params["ca_path"]):
        raise NetmakerRefusedError(
            "tls_failed",
            f"ca_path {params['ca_path']} is not a file on the host that talks to the server.",
            fix="put the certificate of the authority there, in PEM form.",
        )
    return Connection(
        url=checked_url(params["api_url"]),
        credential=params["master_key"] or params["api_token"],
        username=params.get("username"),
        password=params.get("password"),
        tenant=params["tenant_id"],
        validate_certs=params["validate_certs"],
        ca_path=params["ca_path"],
        timeout=params["timeout"],
    )
