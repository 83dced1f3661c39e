# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much the packets notice: rule sets with one rule less, or one that drops, have to behave otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.actions import (
    Action,
    Back,
    Ct,
    Output,
    Resubmit,
    ToGroup,
)
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.cube import (
    Budget,
    cover,
    intersection,
    overlap,
)
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.fields import exact
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.groups import Group, buckets_for, first
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.rules import Rule
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.simulator import Simulator

from tests.integration.verify.conftest import Loaded
from tests.lib.trace import Verdict

Groups = Mapping[int, Group]
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


def survivors(bridge: Loaded, real: Mapping[int, Verdict], simulate: Callable[[Simulator, int], Verdict]) -> Mutation:
    """Every mutant of ``bridge`` against what the switch said about the packets that come to the rule."""
    by_cookie: dict[int | None, list[int]] = {}
    for header, verdict in real.items():
        for _table, cookie in verdict.steps:
            by_cookie.setdefault(cookie, []).append(header)
    mutation = Mutation()
    for index, rule in enumerate(bridge.rules):
        others = [*bridge.rules[:index], *bridge.rules[index + 1 :]]
        hit = by_cookie.get(rule.cookie, [])
        for change, mutant, groups in _mutants(bridge, rule, others):
            mutation.tried += 1
            simulator = Simulator(mutant, bridge.ports, groups)
            if any(simulate(simulator, header).effect != real[header].effect for header in hit):
                continue
            if change == "removed" and _does_the_same(rule, others):
                mutation.equivalent += 1
            else:
                mutation.alive.append(f"{change} ({len(hit)} packets): {rule.text}")
    return mutation


def _mutants(bridge: Loaded, rule: Rule, others: Sequence[Rule]) -> Iterator[tuple[str, list[Rule], Groups]]:
    """The rule removed, turned into a drop, without one of its actions, with one of them changed; buckets removed."""
    yield "removed", list(others), bridge.groups
    if rule.actions:
        yield "turned into drop", [*others, replace(rule, actions=())], bridge.groups
    for place, action in enumerate(rule.actions):
        before, after = rule.actions[:place], rule.actions[place + 1 :]
        if len(rule.actions) > 1 and not _idle(bridge, rule, action):
            yield f"without {action}", [*others, replace(rule, actions=(*before, *after))], bridge.groups
        for other in _changed(action):
            yield f"with {other}", [*others, replace(rule, actions=(*before, other, *after))], bridge.groups
        if isinstance(action, ToGroup):
            group = bridge.groups[action.number]
            for bucket in buckets_for(group, bridge.groups, bridge.ports, first):
                fewer = replace(group, buckets=tuple(other for other in group.buckets if other is not bucket))
                yield f"without {bucket}", list(bridge.rules), {**bridge.groups, group.number: fewer}


def _idle(bridge: Loaded, rule: Rule, action: Action) -> bool:
    """Whether ``action`` sends to a port that does not exist, or back to where the packet came from."""
    if not isinstance(action, Output):
        return False
    own = exact("in_port", action.port)
    return action.port not in bridge.ports or (
        rule.bits.value & own.mask == own.value and rule.bits.mask & own.mask != 0
    )


def _changed(action: Action) -> Iterator[Action]:
    if isinstance(action, Ct):
        if action.commit:
            yield replace(action, zone=action.zone + 1)
        if action.nat is not None and action.nat.end:
            yield replace(action, nat=None)
            yield replace(action, nat=replace(action.nat, end="dst" if action.nat.end == "src" else "src"))
        if action.exec:
            yield replace(action, exec=())
    elif isinstance(action, Resubmit):
        yield replace(action, port=None if action.port else 9)
    elif isinstance(action, Output):
        yield Back()


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
