# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""How the tables of a rule set hang together, and whether its ports exist."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from . import findings
from .actions import Ct, Goto, Learn, Output, Resubmit
from .fields import FIELDS, LOCAL
from .findings import Finding
from .reach import reach
from .rules import FlowReader, Rule

_IN_PORT = FIELDS["in_port"]


def next_tables(rule: Rule) -> list[int]:
    """Tables that packets of ``rule`` go on to."""
    found = [action.table for action in rule.actions if isinstance(action, (Goto, Resubmit, Ct))]
    return [table for table in found if table is not None]


def table_findings(tables: Mapping[int, Sequence[Rule]], dead: Collection[int]) -> Iterator[Finding]:
    """Tables and rules that no packet comes to, and ways that lead nowhere or back.

    ``dead`` holds the id() of rules that never act.
    """
    reached = reach(tables, dead)
    for misfit in reached.misfits:
        yield findings.unreachable_rule(misfit)
    leads: dict[int, list[Rule]] = {}
    learned = set()
    for rules in tables.values():
        for rule in rules:
            for table in next_tables(rule):
                leads.setdefault(table, []).append(rule)
            learned |= {action.table for action in rule.actions if isinstance(action, Learn)}
    for table, rules in sorted(tables.items()):
        if table not in reached.tables:
            yield findings.unreachable_table(rules[0], len(rules), leads.get(table, []))
        for rule in rules:
            yield from _ways(rule, {*tables, *learned}, reached.tables)


def _ways(rule: Rule, tables: Collection[int], reached: Collection[int]) -> Iterator[Finding]:
    for action in rule.actions:
        if isinstance(action, Goto) and action.table <= rule.table:
            yield findings.goto_backward(rule, action.table)
        if isinstance(action, Learn) and action.table not in reached:
            yield findings.learns_in_vain(rule, action.table)
    for table in dict.fromkeys(next_tables(rule)):
        if table not in tables:
            yield findings.goto_nowhere(rule, table)


def port_findings(
    rules: Sequence[Rule], reader: FlowReader, known: Collection[str], elsewhere: Mapping[str, Collection[str]]
) -> Iterator[Finding]:
    """Rules that name a port which is not among ``known``; ``elsewhere`` has the ports of other bridges."""
    numbers = {LOCAL, *(reader.port(f'"{name}"') for name in known)}
    for rule in rules:
        used = [("output", action.port) for action in rule.actions if isinstance(action, Output)]
        if rule.bits.mask & _IN_PORT.mask:
            used.insert(0, ("in_port", _IN_PORT.of(rule.bits.value)))
        for role, port in used:
            if port not in numbers:
                name = reader.port_name(port)
                owners = [bridge for bridge, ports in sorted(elsewhere.items()) if name in ports]
                yield findings.no_such_port(rule, name, role, owners)
