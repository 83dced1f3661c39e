# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Plans: the only place where "changed", the diff and check mode come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Step:
    """One change: ``action`` says it in words ("create bridge mesh"), ``apply`` does it."""

    action: str
    apply: Callable[[], None] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to happen to get from the state found to the state wanted.

    ``before`` and ``after`` are sorted canonical texts, one setting a line, with secrets masked.
    """

    steps: tuple[Step, ...] = ()
    before: str = ""
    after: str = ""

    @property
    def changed(self) -> bool:
        return bool(self.steps)

    @property
    def actions(self) -> list[str]:
        return [step.action for step in self.steps]

    def diff(self, header: str) -> dict[str, str]:
        """The shape of Ansible's ``diff`` return value."""
        return {
            "before": self.before,
            "after": self.after,
            "before_header": f"{header} (found)",
            "after_header": f"{header} (wanted)",
        }

    def apply(self) -> None:
        """Take the steps in order. The first that fails stops the rest."""
        for step in self.steps:
            step.apply()

    def __add__(self, other: Plan) -> Plan:
        return Plan(self.steps + other.steps, self.before + other.before, self.after + other.after)


def result_of(plan: Plan, header: str, check_mode: bool) -> dict[str, object]:
    """Apply ``plan`` unless in check mode and return the keys that every module returns."""
    if plan.changed and not check_mode:
        plan.apply()
    return {"changed": plan.changed, "actions": plan.actions, "diff": plan.diff(header)}


def combine(plans: Sequence[Plan]) -> Plan:
    """Join plans in order into one."""
    total = Plan()
    for plan in plans:
        total += plan
    return total
