# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much the packets notice: rule sets with one rule less, or one that drops, have to behave otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.cube import (
    Budget,
    cover,
    intersection,
    overlap,
)
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.rules import Rule
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.simulator import Simulator

from tests.lib.trace import Verdict

_BUDGET = 200_000


@dataclass
class Mutation:
    """``tried`` mutants, of which ``equivalent`` ones cannot be told from the original; ``alive`` are the others."""

    tried: int = 0
    equivalent: int = 0
    alive: list[str] = field(default_factory=list)

    @property
    def score(self) -> float:
        """Share of the mutants that can be noticed which were."""
        real = self.tried - self.equivalent
        return (real - len(self.alive)) / real

    @property
    def summary(self) -> str:
        real = self.tried - self.equivalent
        return f"{real - len(self.alive)} of {real} mutants killed ({self.score:.1%}), {self.equivalent} equivalent"


def survivors(
    rules: Sequence[Rule], real: Mapping[int, Verdict], simulate: Callable[[Simulator, int], Verdict]
) -> Mutation:
    """Each rule removed, and each turned into a drop, against what the switch said about the packets."""
    by_cookie: dict[int | None, list[int]] = {}
    for header, verdict in real.items():
        for _table, cookie in verdict.steps:
            by_cookie.setdefault(cookie, []).append(header)
    mutation = Mutation()
    for index, rule in enumerate(rules):
        others = [*rules[:index], *rules[index + 1 :]]
        hit = by_cookie.get(rule.cookie, [])
        mutants = {"removed": others}
        if rule.actions:
            mutants["turned into drop"] = [*others, replace(rule, actions=())]
        for change, mutant in mutants.items():
            mutation.tried += 1
            simulator = Simulator(mutant)
            if any(simulate(simulator, header).effect != real[header].effect for header in hit):
                continue
            if change == "removed" and _does_the_same(rule, others):
                mutation.equivalent += 1
            else:
                mutation.alive.append(f"{change} ({len(hit)} packets): {rule.text}")
    return mutation


def _does_the_same(rule: Rule, others: Sequence[Rule]) -> bool:
    """Whether the rules below ``rule`` treat its packets just as it does: then nobody can notice that it is gone."""
    lower = [
        other
        for other in others
        if other.table == rule.table and other.priority < rule.priority and overlap(other.bits, rule.bits)
    ]
    unlike = [other for other in lower if other.actions != rule.actions]
    for other in unlike:
        above = [higher.bits for higher in lower if higher.priority > other.priority]
        if cover(intersection(rule.bits, other.bits), above, Budget(_BUDGET)) is None:
            return False
    return not rule.actions or cover(rule.bits, [other.bits for other in lower], Budget(_BUDGET)) is not None
