# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What the checker says about rules."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from .fields import Bits, Field, flags_text, ipv4_text, mac_text
from .reach import Misfit
from .rules import Rule

KINDS = (
    "dead",
    "dead_union",
    "duplicate",
    "ambiguous",
    "unreachable_table",
    "unreachable_rule",
    "goto_nowhere",
    "goto_backward",
    "no_such_port",
    "undecided",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with ``rule``, because of the rules ``by``; ``remedy`` says what would make it live."""

    kind: str
    rule: Rule
    by: tuple[Rule, ...]
    explanation: str
    remedy: str


def as_data(finding: Finding, bridge: str) -> dict[str, Any]:
    """``finding`` as filters and modules return it."""
    texts = {"explanation": finding.explanation, "remedy": finding.remedy}
    by = [_rule(rule) for rule in finding.by]
    return {"kind": finding.kind, "bridge": bridge, **_rule(finding.rule), "by": by, **texts}


def _rule(rule: Rule) -> dict[str, Any]:
    return {"line": rule.line, "rule": rule.text, "origin": rule.origin}


def name_of(rule: Rule) -> str:
    """A rule as a reader finds it again: its line and its text."""
    return f"line {rule.line} ({rule.text})"


def _names(rules: Sequence[Rule]) -> str:
    named = [name_of(rule) for rule in rules[:5]]
    if len(rules) > len(named):
        named.append(f"{len(rules) - len(named)} more")
    return ", ".join(named)


def dead(rule: Rule, cause: Rule) -> Finding:
    explanation = f"Never acts: every packet that it matches is taken by {name_of(cause)}, of higher priority."
    if rule.bits == cause.bits:
        remedy = (
            "Both match exactly the same packets, so only one of them can ever act: match something more in one of "
            "them and give that one the higher priority, or remove one."
        )
    else:
        remedy = (
            f"A priority above {cause.priority} would make it live, for it matches fewer packets than "
            f"line {cause.line}; so would a narrower match of line {cause.line}."
        )
    return Finding("dead", rule, (cause,), explanation, remedy)


def dead_by_union(rule: Rule, causes: Sequence[Rule]) -> Finding:
    top = max(cause.priority for cause in causes)
    least = min(cause.priority for cause in causes)
    return Finding(
        "dead_union",
        rule,
        tuple(causes),
        f"Never acts: every packet that it matches is taken by one of {_names(causes)}, of higher priority.",
        f"A priority above {least} would give it the packets of the lowest of them, above {top} all of its own; "
        "so would a narrower match of one of them.",
    )


def duplicate(rule: Rule, last: Rule) -> Finding:
    same = rule.actions == last.actions
    effect = "and does the same" if same else "and does something else: the later one silently replaces this one"
    remedy = "Remove one of them." if same else "Give one of them another match or another priority, or remove it."
    return Finding("duplicate", rule, (last,), f"Has the match and priority of {name_of(last)} {effect}.", remedy)


def ambiguous(rule: Rule, others: Sequence[Rule]) -> Finding:
    return Finding(
        "ambiguous",
        rule,
        tuple(others),
        f"Some packets match it and {_names(others)}, of the same priority but with other actions: undefined.",
        f"Give the rule that shall win a priority above {rule.priority}, or narrow a match until none fits both.",
    )


def undecided(rule: Rule, question: str) -> Finding:
    return Finding(
        "undecided",
        rule,
        (),
        f"Too many rules overlap to tell {question} within the budget.",
        "Raise the budget, or split the match; the rule may be sound.",
    )


def unreachable_table(rule: Rule, count: int, leads: Sequence[Rule]) -> Finding:
    table = rule.table
    if leads:
        why = f"only dead or unreachable rules lead there: {_names(leads)}"
        remedy = "Make one of them live."
    else:
        why = f"no rule goes on to table {table}"
        remedy = f"Add goto_table:{table} to a rule of an earlier table that is reached, or remove the rules."
    explanation = f"No packet reaches table {table}, which has {count} rule{'s' if count > 1 else ''}: {why}."
    return Finding("unreachable_table", rule, (), explanation, remedy)


def unreachable_rule(misfit: Misfit) -> Finding:
    rule, name = misfit.rule, misfit.field.name
    wanted, seen = _wanted(misfit.field, misfit.wanted), _seen(misfit.field, misfit.seen)
    if name in ("ct_state", "ct_zone", "ct_mark") and misfit.seen == {0}:
        why = f"no packet that comes to table {rule.table} has been through ct(table=...), so {name} is 0 there"
        remedy = f"Send packets through ct() to table {rule.table} first, or leave {name} out."
    else:
        why = f"no packet that comes to table {rule.table} has {name}={wanted}; there it is {seen}"
        remedy = f"Set {name} before table {rule.table}, lead other packets there, or match what comes there."
    return Finding("unreachable_rule", rule, (), f"Never acts: {why}.", remedy)


def _wanted(field: Field, bits: Bits) -> str:
    whole = bits.mask == (1 << field.width) - 1
    return _value(field, bits.value) if whole else f"{bits.value:#x}/{bits.mask:#x}"


def _seen(field: Field, values: Collection[int]) -> str:
    shown = [_value(field, value) for value in sorted(values)[:5]]
    if len(values) > len(shown):
        shown.append(f"one of {len(values) - len(shown)} more")
    return " or ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def _value(field: Field, value: int) -> str:
    texts: dict[str, Callable[[int], str]] = {"mac": mac_text, "ipv4": ipv4_text, "ct_state": _flags}
    return texts.get(field.kind, hex)(value)


def _flags(value: int) -> str:
    return flags_text("ct_state", value)


def learns_in_vain(rule: Rule, table: int) -> Finding:
    return Finding(
        "unreachable_table",
        rule,
        (),
        f"It learns rules into table {table}, but no packet reaches table {table}.",
        f"Add goto_table:{table} to a rule that is reached, or remove learn().",
    )


def goto_nowhere(rule: Rule, table: int) -> Finding:
    return Finding(
        "goto_nowhere",
        rule,
        (),
        f"It sends packets on to table {table}, which has no rules, so they are dropped.",
        f"Add rules to table {table}, or say actions=drop.",
    )


def goto_backward(rule: Rule, table: int) -> Finding:
    return Finding(
        "goto_backward",
        rule,
        (),
        f"It goes from table {rule.table} to table {table}; goto_table leads to later tables only.",
        f"Go to a table above {rule.table}.",
    )


def no_such_port(rule: Rule, port: str, role: str, elsewhere: Sequence[str]) -> Finding:
    where = f" (bridge {', '.join(elsewhere)} has it)" if elsewhere else ""
    effect = "matches packets from" if role == "in_port" else "sends packets to"
    return Finding(
        "no_such_port",
        rule,
        (),
        f"It {effect} port {port}, which the bridge does not have{where}.",
        f"Add port {port} to the bridge, or name a port that it has.",
    )
