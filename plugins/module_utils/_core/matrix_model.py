# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What a reachability matrix consists of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from .matrix_area import Area


class Endpoint(NamedTuple):
    """Who opens a connection, or to whom.

    ``kind``: container; host; mesh (what is on it and no container of the fleet); internet (``name`` is the exit, empty
    for the public side of the hosts); switch (any port, by the bridge's own MAC learning).
    """

    kind: str
    host: str
    name: str

    def __str__(self) -> str:
        if self.kind == "internet":
            return f"internet via {self.host}/{self.name}" if self.name else "internet"
        if self.kind == "container":
            return f"{self.host}/{self.name}"
        if self.kind == "switch":
            return f"any port of {self.host}/{self.name}"
        return f"{self.kind} {'/'.join(filter(None, (self.host, self.name)))}"


INTERNET = Endpoint("internet", "", "")


@dataclass(frozen=True, slots=True)
class Reach:
    """What ``source`` may open to ``destination`` on one ``path``: bridges as host/bridge.

    ``origins``: for each of them the inventory line whose rule decided there. ``published``: the public port of a
    service that is reached from the internet, 0 for everything else.
    """

    source: Endpoint
    destination: Endpoint
    area: Area
    path: tuple[str, ...]
    origins: tuple[str, ...]
    published: int = 0


@dataclass(frozen=True, slots=True)
class Stop:
    """``source``'s bridge lets it out to ``destination``, and a later ``bridge`` lets nothing of that in."""

    source: Endpoint
    destination: Endpoint
    bridge: str
    origin: str


@dataclass(frozen=True, slots=True)
class Matrix:
    """``containers``: all of the fleet, whether they reach something or not. ``notes``: what was not looked at."""

    reaches: tuple[Reach, ...]
    stops: tuple[Stop, ...]
    containers: tuple[Endpoint, ...]
    notes: tuple[str, ...] = ()
