# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server, asked over HTTPS."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from typing import Any

from .files import Document

TIMEOUT = 10.0


class Refused(Exception):
    """The server answered with an error."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"code: {status} {text}")
        self.status = status


def ask(method: str, url: str, body: object = None, token: str = "") -> Any:
    """HTTPS only, the certificate checked against the system's store. Raises Refused, or OSError without an answer."""
    request = urllib.request.Request("https://" + url, json.dumps(body).encode() if body else None, method=method)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT, context=ssl.create_default_context()) as response:
            text = response.read().decode()
    except urllib.error.HTTPError as error:
        raise Refused(error.code, error.read().decode(errors="replace")) from error
    except ValueError as error:
        raise OSError(str(error)) from error
    return json.loads(text) if text else None


def log_in(server: Document, host: Document) -> str:
    """Raises Refused when the server does not know this host any more."""
    body = {"id": host["id"], "password": host["hostpass"], "macaddress": host["macaddress"]}
    return str(ask("POST", f"{server['API']}/api/hosts/adm/authenticate", body)["Response"]["AuthToken"])
