# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""The server itself: whether it is there, new enough, and in touch with its clients."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from .client import Client
from .errors import NetmakerError

OLDEST = (0, 99, 0)
"""The first version with the egress routes that this collection uses."""
TYPED_NETWORKS = (1, 5, 1)
"""The first version whose networks have booleans instead of words."""
_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")


@dataclass(frozen=True, slots=True)
class Server:
    """Answer of /api/server/status. ``number`` is None for a build without a number ("dev")."""

    version: str
    number: tuple[int, int, int] | None
    broker: bool
    database: bool
    pro: bool

    @property
    def warnings(self) -> list[str]:
        if self.broker:
            return []
        return ["The server has no connection to its broker: clients learn of changes only when they ask themselves."]

    @property
    def shown(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "broker_connected": self.broker,
            "db_connected": self.database,
            "is_pro": self.pro,
        }


def number_of(version: str) -> tuple[int, int, int] | None:
    """The numbers of ``version``."""
    found = _VERSION.match(version)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else None


def probe(client: Client) -> Server:
    """The server, once it is known to be one that these modules can work with. Needs no credential."""
    answer = client.get("/api/server/status", what="asking for its status")
    if not isinstance(answer, dict) or "version" not in answer:
        raise NetmakerError(
            "unsupported_version",
            f"{client.connection.url} answers, but not as a Netmaker server does.",
            fix="check api_url: it must lead to the API, not to the dashboard.",
        )
    server = Server(
        version=str(answer["version"]),
        number=number_of(str(answer["version"])),
        broker=bool(answer.get("broker_connected")),
        database=bool(answer.get("db_connected")),
        pro=bool(answer.get("is_pro")),
    )
    if server.number is not None and server.number < OLDEST:
        oldest = ".".join(str(part) for part in OLDEST)
        raise NetmakerError(
            "unsupported_version",
            f"{client.connection.url} is Netmaker {server.version}; these modules need {oldest} or newer.",
            fix="upgrade the server.",
        )
    return server
