# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""The checker's word on the flows wanted, before any of them is sent."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._errors import RefusedError

VERSION = 1
"""Of what the checker finds. Flows that an older one has passed are checked again."""

LISTED = 20
"""Findings told in one message; all of them are in the returned list."""


class FindingsError(RefusedError):
    """The flows cannot do what they say; carries every finding."""

    def __init__(self, message: str, findings: Sequence[Mapping[str, Any]], *, fix: str) -> None:
        super().__init__(message, fix=fix)
        self.findings = list(findings)

    def result(self) -> dict[str, object]:
        return {"findings": self.findings}


@dataclass(frozen=True, slots=True)
class Report:
    """``findings`` as the filter check_flows returns them; ``unread`` are flows that the checker does not understand.

    Those are (position from 1, reason).
    """

    bridge: str
    findings: tuple[Mapping[str, Any], ...] = ()
    unread: tuple[tuple[int, str], ...] = ()

    @property
    def sound(self) -> bool:
        """All flows are understood, and nothing is wrong with them."""
        return not self.findings and not self.unread

    @property
    def replaced(self) -> frozenset[int]:
        """Positions of flows that a later one replaces."""
        return frozenset(finding["line"] for finding in self.findings if finding["kind"] == "duplicate")

    @property
    def warnings(self) -> list[str]:
        """Everything in words, at most `LISTED` findings."""
        texts = [f"Bridge {self.bridge}, {text}" for text in told(self.findings)]
        if self.unread:
            number, reason = self.unread[0]
            more = f" and {len(self.unread) - 1} more" if len(self.unread) > 1 else ""
            texts.append(f"Bridge {self.bridge}: flow {number}{more} is not checked, as the checker says: {reason}")
        return texts

    def refuse(self) -> None:
        """Raise FindingsError when there is a finding."""
        if self.findings:
            count = len(self.findings)
            lines = "\n".join(f"  {number}. {text}" for number, text in enumerate(told(self.findings), 1))
            raise FindingsError(
                f"Bridge {self.bridge}: {count} finding{'s' if count > 1 else ''} about its flows; nothing was "
                f"changed.\n{lines}\n",
                self.findings,
                fix="do as each finding says, or set on_finding: warn to load the flows as they are.",
            )


def told(findings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Findings in words."""
    texts = [_told(finding) for finding in findings[:LISTED]]
    if len(findings) > LISTED:
        texts.append(f"and {len(findings) - LISTED} more, in the returned findings.")
    return texts


def _told(finding: Mapping[str, Any]) -> str:
    origin = f" from {finding['origin']}" if finding["origin"] else ""
    return f"line {finding['line']} ({finding['rule']}){origin}: {finding['explanation']} {finding['remedy']}"


def mark(ports: Mapping[str, int]) -> str:
    """What a durable file says of flows that were checked and found sound, with these port numbers."""
    numbers = ",".join(str(number) for number in sorted(ports.values()))
    digest = hashlib.sha256(f"{VERSION}:{numbers}".encode()).hexdigest()
    return f"# Checked, and nothing was found ({digest[:16]}).\n"


def checked(
    bridge: str,
    lines: Sequence[str],
    canonical: Sequence[str],
    *,
    ports: Mapping[str, int],
    origins: Mapping[int, str],
) -> Report:
    """What the checker says about the flows ``lines``, which ``canonical`` has in the switch's own text and order.

    Without ``ports`` nothing is said about port numbers.
    """
    from .._core.vet import vet  # noqa: PLC0415 - an unchanged run needs no checker, and so need not load it

    named = {f"{cookie:#x}": origin for cookie, origin in origins.items()}
    findings, unread = vet(bridge, lines, canonical, ports, named)
    return Report(bridge, tuple(findings), tuple(unread))
