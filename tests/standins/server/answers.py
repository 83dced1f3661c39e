# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of answers: bare or in an envelope, with the real server's misleading content types."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

PLAIN = "text/plain"
JSON = "application/json"


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Problem(Exception):
    """An error in an envelope."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class HangUp(Exception):
    """The handler dies: the connection closes without an answer. What was written stays written."""


def bare(document: Any, *, kind: str = JSON) -> web.Response:
    """The document itself."""
    return web.Response(text=json.dumps(document) + "\n", content_type=kind, charset=_charset(kind))


def wrapped(document: Any, message: str, status: int = 200) -> web.Response:
    """In an envelope with capital keys."""
    body = {"Code": status, "Message": message, "Response": document}
    return web.Response(status=status, text=json.dumps(body) + "\n", content_type=JSON)


def text(content: str, status: int = 200) -> web.Response:
    return web.Response(status=status, text=content, content_type=PLAIN)


def empty() -> web.Response:
    """Success, and nothing said."""
    answer = web.Response(status=200, body=b"")
    answer.headers.popall("Content-Type", None)
    return answer


def problem(error: Problem) -> web.Response:
    return wrapped(None, error.message, error.status)


def _charset(kind: str) -> str | None:
    return "utf-8" if kind == PLAIN else None
