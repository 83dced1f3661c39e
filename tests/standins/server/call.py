# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One request, as handlers see it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from aiohttp import web

from .answers import Problem

Access = Literal["open", "user", "host"]
"""Who may call: anybody; the master key, users and their access tokens; the master key and a host for itself."""

NO_RECORD = "record not found"
BAD_NODE = "error fetching node during parameter validation: no result found"
IDENTIFIER = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Call:
    """``caller`` is the user's name, the host's id, or settings.MASTER. ``path`` and ``query`` hold the variables."""

    caller: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    raw: bytes

    def document(self, status: int = 400) -> dict[str, Any]:
        """The body. Raises Problem with ``status`` when it is no JSON object."""
        try:
            body = json.loads(self.raw)
        except ValueError as error:
            raise Problem(status, f"bad JSON: {error}" if self.raw else "EOF") from error
        if not isinstance(body, dict):
            raise Problem(status, "json: cannot unmarshal into an object")
        return body


Handler = Callable[[Call], web.Response]


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    path: str
    handler: Handler
    access: Access = "user"
    since_1_5_1: bool = False


def host_id(text: object) -> str:
    """Raises Problem for anything that is no UUID."""
    if not isinstance(text, str) or not IDENTIFIER.fullmatch(text):
        raise Problem(400, "failed to parse host id: not a UUID")
    return text.lower()
