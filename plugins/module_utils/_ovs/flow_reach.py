# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What a change of flows opens and closes, for the diff: told only when it is asked for, and never in the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .flows import Flow


@dataclass(frozen=True, slots=True)
class Reachability:
    """``opens`` and ``closes`` in words; ``note`` says why they are incomplete."""

    opens: tuple[str, ...] = ()
    closes: tuple[str, ...] = ()
    note: str = ""

    @property
    def before(self) -> str:
        """Lines for the diff's side of what is found."""
        return "".join(f"closes: {line}\n" for line in self.closes)

    @property
    def after(self) -> str:
        """Lines for the diff's side of what is wanted."""
        note = f"reachability: {self.note}\n" if self.note else ""
        return "".join(f"opens: {line}\n" for line in self.opens) + note

    def result(self) -> dict[str, object]:
        return {"opens": list(self.opens), "closes": list(self.closes), "note": self.note}


def reachability(
    have: Sequence[Flow], want: Sequence[Flow], ports: Mapping[str, int], origins: Mapping[int, str]
) -> Reachability:
    """The change from ``have`` to ``want``. Whatever happens here is a note, for a diff must not stop a change."""
    from .._core.matrix_change import bridge_change  # noqa: PLC0415 - only a diff of changed flows needs it

    try:
        change = bridge_change([flow.text for flow in have], [flow.text for flow in want], ports, origins)
    except Exception as exc:
        return Reachability(note=f"not told, which is a bug of ours: {type(exc).__name__}: {exc}")
    return Reachability(change.opens, change.closes, change.note)
