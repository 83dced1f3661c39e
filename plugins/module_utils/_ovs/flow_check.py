# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""The checker's word on the flows wanted, before any of them is sent."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
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
    """``findings`` as the filter check_flows returns them, about the flows at ``places`` (positions from 1).

    ``unread`` are flows that the checker does not understand, each with the reason.
    """

    bridge: str
    findings: tuple[Mapping[str, Any], ...] = ()
    places: tuple[int, ...] = ()
    unread: tuple[tuple[str, str], ...] = ()
    cookies: tuple[int, ...] = ()

    @property
    def sound(self) -> bool:
        """All flows are understood, and nothing is wrong with them."""
        return not self.findings and not self.unread

    @property
    def replaced(self) -> frozenset[int]:
        """Positions of flows that a later one replaces."""
        pairs = zip(self.findings, self.places, strict=True)
        return frozenset(place for finding, place in pairs if finding["kind"] == "duplicate")

    def by_cookie(self, cookies: Iterable[int]) -> Report:
        """With the cookies of all flows, in their order, so that `origins` can tell what is wrong with each."""
        found = list(cookies)
        return replace(self, cookies=tuple(found[place - 1] for place in self.places))

    def origins(self, known: Mapping[int, str]) -> dict[int, str]:
        """``known`` origins by cookie, with the kind of the finding in words for a diff."""
        told = {}
        for cookie, finding in zip(self.cookies, self.findings, strict=True):
            told[cookie] = f"{known.get(cookie, '')} ({finding['kind']}, see the findings)".strip()
        return {**known, **told}

    @property
    def warnings(self) -> list[str]:
        """Everything in words, at most `LISTED` findings."""
        texts = [f"Bridge {self.bridge}, {text}" for text in told(self.findings)]
        if self.unread:
            flow, reason = self.unread[0]
            more = f" and {len(self.unread) - 1} more" if len(self.unread) > 1 else ""
            texts.append(f"Bridge {self.bridge}: {flow}{more} is not checked, as the checker says: {reason}")
        return texts

    def refuse(self) -> None:
        """Raise FindingsError when something is wrong. What could not be decided may be right: that stays a warning."""
        wrong = [finding for finding in self.findings if finding["kind"] != "undecided"]
        if wrong:
            lines = "\n".join(f"  {number}. {text}" for number, text in enumerate(told(wrong), 1))
            raise FindingsError(
                f"Bridge {self.bridge}: {len(wrong)} finding{'s' if len(wrong) > 1 else ''} about its flows; nothing "
                f"was changed.\n{lines}\n",
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
    line, origin = f"line {finding['line']}", finding["origin"]
    if origin.endswith(line):
        line = origin
    elif origin:
        origin = f" from {origin}"
    where = f"{line} ({finding['rule']}){'' if line == origin else origin}"
    return f"{where}: {finding['explanation']} {finding['remedy']}"


def mark(ports: Mapping[str, int]) -> str:
    """What a durable file says of flows that were checked and found sound, with these port numbers."""
    numbers = ",".join(str(number) for number in sorted(ports.values()))
    digest = hashlib.sha256(f"{VERSION}:{numbers}".encode()).hexdigest()
    return f"# Checked, and nothing was found ({digest[:16]}).\n"


def checked(
    bridge: str,
    canonical: Sequence[str],
    given: Sequence[tuple[int, str]],
    *,
    ports: Mapping[str, int],
    origins: Mapping[int, str],
) -> Report:
    """What the checker says about flows that ``canonical`` has in the switch's own text.

    ``given`` has them with line and text as they are told. Without ``ports`` nothing is said about port numbers.
    """
    from .._core.vet import vet  # noqa: PLC0415 - an unchanged run needs no checker, and so need not load it

    named = {f"{cookie:#x}": origin for cookie, origin in origins.items()}
    found = vet(bridge, canonical, given, ports, named)
    unread = [(f"line {given[place - 1][0]} ({given[place - 1][1]})", reason) for place, reason in found.unread]
    return Report(bridge, tuple(found.findings), tuple(found.places), tuple(unread))
