# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all parts of the server share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

from .access import Tokens
from .settings import Settings
from .store import Document, Store

NEVER = "0001-01-01T00:00:00Z"
"""How the real server writes a time that is not set."""


class State:
    """``skew`` is the error of the server's clock, in seconds. ``taken`` are the overlay addresses it thinks in use."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings = settings
        self.store = store
        self.skew = 0.0
        self.tokens = Tokens(store, self.now)
        self.config: Document = store.seed("settings", dict(settings.seeds))
        self.taken = {(node["network"], _bare(node["address"])) for node in store.all("nodes")}

    def now(self) -> float:
        return time.time() + self.skew

    def stamp(self) -> str:
        """Now, as the API writes times."""
        return datetime.fromtimestamp(self.now(), UTC).isoformat().replace("+00:00", "Z")

    def later(self, work: Callable[[], object]) -> None:
        """Do it in the background, as the real server does much."""
        asyncio.get_running_loop().call_later(self.settings.delay, work)

    def release(self, network: str, address: str) -> None:
        """The address counts as free now, even when another node was given the same one by hand."""
        self.taken.discard((network, _bare(address)))

    def take(self, network: str, address: str) -> None:
        self.taken.add((network, _bare(address)))


def _bare(address: str) -> str:
    return str(address).partition("/")[0]
