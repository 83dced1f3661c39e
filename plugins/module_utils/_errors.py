# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Errors whose text is written for the operator: what, where, the tool's own words, and the fix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class SocketNetworkError(Exception):
    """Base of every error that this collection raises on purpose.

    ``str(error)`` is the whole message; ``fix`` says what the operator can do about it.
    """

    def __init__(self, message: str, *, fix: str | None = None) -> None:
        super().__init__(f"{message} Fix: {fix}" if fix else message)
        self.fix = fix

    def result(self) -> dict[str, object]:
        """Keys that a failing module returns beside ``msg``."""
        return {}


class RefusedError(SocketNetworkError):
    """The request is unsafe or wrong; nothing has been changed."""


class CommandError(SocketNetworkError):
    """A tool ended with an unexpected exit status."""

    def __init__(self, what: str, argv: Sequence[str], rc: int, stderr: str, *, fix: str | None = None) -> None:
        super().__init__(f"{what}: `{' '.join(argv)}` ended with {rc}: {stderr.strip() or '(no message)'}.", fix=fix)
        self.argv = tuple(argv)
        self.rc = rc
        self.stderr = stderr

    def result(self) -> dict[str, object]:
        return {"cmd": list(self.argv), "rc": self.rc, "stderr": self.stderr}


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing wrong in the inventory: where it stands, what it is, and how to mend it."""

    host: str
    variable: str
    value: str
    problem: str
    fix: str

    def __str__(self) -> str:
        return f"{self.host}: {self.variable} = {self.value}: {self.problem} Fix: {self.fix}"


class InvalidFleetError(RefusedError):
    """The inventory cannot be a socket network; carries every fault found, not only the first."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(sorted(faults))
        lines = "\n".join(f"  {number}. {fault}" for number, fault in enumerate(self.faults, 1))
        noun = "fault" if len(self.faults) == 1 else "faults"
        super().__init__(f"The inventory has {len(self.faults)} {noun}; nothing was changed.\n{lines}")
