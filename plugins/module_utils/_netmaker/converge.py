# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""From a plan to a server that holds it: steps taken, doubtful ones looked at again, and the end read back twice.

What does not read back is planned and done again, a few times: a check-in of the client may have been faster.
"""

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
"""How often in a row the end must read back."""
PATIENCE = 5.0
"""Seconds that a change may take before it is made again."""
REPEATS = 2


@dataclass(frozen=True, slots=True)
class Target(Generic[State]):
    """``read`` looks at the server, ``plan`` says what is missing in what was read. ``deadline`` is in seconds."""

    client: Client
    read: Callable[[], State]
    plan: Callable[[State], Plan]
    what: str
    deadline: float = 30
    interval: float = 0.5


def outcome(plan: Plan, header: str) -> dict[str, Any]:
    """The keys that every module returns."""
    return {"changed": plan.changed, "actions": plan.actions, "diff": plan.diff(header)}


def converge(target: Target[State], *, check: bool, have: State | None = None) -> tuple[Plan, State]:
    """The plan, carried out unless in check mode, and the state afterwards. ``have`` saves the first look."""
    found = target.read() if have is None else have
    plan = target.plan(found)
    if check or not plan.changed:
        return plan, found
    _take(target, plan)
    return plan, _read_back(target)


def _take(target: Target[Any], plan: Plan) -> None:
    """Take the steps; one that fails without a clear answer is looked at, and never simply sent again."""
    for step in plan.steps:
        try:
            step.apply()
        except NetmakerError as error:
            if not (error.uncertain and _was_done(target, step.action)):
                raise


def _was_done(target: Target[Any], action: str) -> bool:
    """Whether ``action`` is no longer wanted."""
    for look in range(LOOKS):
        target.client.clock.pause(target.interval * look)
        if action not in target.plan(target.read()).actions:
            return True
    return False


def _read_back(target: Target[State]) -> State:
    """The state, once it has twice in a row been what is wanted."""
    clock = target.client.clock
    good, repeats, taken = 0, REPEATS, clock.now()
    end = taken + target.deadline
    while True:
        have = target.read()
        left = target.plan(have)
        good = 0 if left.changed else good + 1
        if good >= IN_A_ROW:
            return have
        if clock.now() >= end:
            raise NetmakerError(
                "not_kept",
                f"{target.what}: the server took the change and {target.deadline:g} seconds later still does not "
                f"hold it. Still to do: {'; '.join(left.actions) or 'nothing at the last look'}.",
                fix="see whether somebody else (a client's daemon, the dashboard) sets it back; then run again.",
            )
        if left.changed and repeats and clock.now() >= taken + PATIENCE:
            _take(target, left)
            repeats, taken = repeats - 1, clock.now()
        clock.pause(target.interval)
