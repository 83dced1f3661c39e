# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Faults of things that are already read: each carries its origin, "host: variable"."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from .._errors import Fault


class Report:
    """Collects faults into the list it was given."""

    def __init__(self, faults: list[Fault]) -> None:
        self._faults = faults

    def fault(self, origin: str, key: str, value: object, problem: str, fix: str) -> None:
        """Record that ``key`` of the thing at ``origin`` cannot be ``value``."""
        host, _separator, path = origin.partition(": ")
        self._faults.append(Fault(host, f"{path}.{key}" if key else path, str(value), problem, fix))

    def unique(self, entries: Iterable[tuple[Hashable, str, str, object]], what: str, fix: str) -> None:
        """Fault every entry (identity, origin, key, value) whose identity an earlier entry has."""
        seen: dict[Hashable, str] = {}
        for identity, origin, key, value in entries:
            if identity in seen:
                host = origin.partition(": ")[0]
                self.fault(origin, key, value, f"{what} is taken by {seen[identity].removeprefix(f'{host}: ')}.", fix)
            else:
                seen[identity] = f"{origin}.{key}" if key else origin
