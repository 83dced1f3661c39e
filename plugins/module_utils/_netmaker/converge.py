# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""From a plan to a server that holds it: steps taken, doubtful ones looked at again, and the end read back twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from .._plan import Plan
from .client import Client
from .errors import NetmakerError

State = TypeVar("State")
LOOKS = 3
"""How often the server is looked at after a write whose outcome is unknown."""
IN_A_ROW = 2
"""How often in a row the end must read back: a client's own check-in may overwrite it once."""


@dataclass(frozen=True, slots=True)
class Target(Generic[State]):
    """``read`` looks at the server, ``plan`` says what is missing in what was read. ``deadline`` is in seconds."""

    client: Client
    read: Callable[[], State]
    plan: Callable[[State], Plan]
    what: str
    deadline: int = 30
    interval: float = 0.5


def converge(target: Target[State], *, check: bool) -> tuple[Plan, State]:
    """The plan, carried out unless in check mode, and the state afterwards."""
    have = target.read()
    plan = target.plan(have)
    if check or not plan.changed:
        return plan, have
    for step in plan.steps:
        try:
            step.apply()
        except NetmakerError as error:
            if not (error.uncertain and _was_done(target, step.action)):
                raise
    return plan, _read_back(target)


def _was_done(target: Target[Any], action: str) -> bool:
    """Whether ``action`` is no longer wanted, after a write that failed without a clear answer."""
    for look in range(LOOKS):
        target.client.pause(target.interval * look)
        if action not in target.plan(target.read()).actions:
            return True
    return False


def _read_back(target: Target[State]) -> State:
    """The state, once it has twice in a row been what is wanted."""
    good = waited = 0.0
    while True:
        have = target.read()
        left = target.plan(have)
        good = 0 if left.changed else good + 1
        if good >= IN_A_ROW:
            return have
        if waited >= target.deadline:
            raise NetmakerError(
                "not_kept",
                f"{target.what}: the server took the change and {target.deadline} seconds later still does not hold "
                f"it. Still to do: {'; '.join(left.actions)}.",
                fix="see whether somebody else (a client's daemon, the dashboard) sets it back; then run again.",
            )
        target.client.pause(target.interval)
        waited += target.interval
