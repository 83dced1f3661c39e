# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""The checker for rules that somebody wrote: it says what it can, also when it does not understand all of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from .checker import check
from .fields import FlowTextError
from .findings import as_data
from .rules import DEFAULT_PRIORITY, FlowReader, Rule
from .structure import port_findings

Unread = tuple[int, str]
"""A line that is not understood, by number from 1, and why."""

_TABLE = re.compile(r"(?:^|[, ])table=(\d+)")
_PRIORITY = re.compile(r"(?:^|[, ])priority=(\d+)")


class Verdict(NamedTuple):
    """``findings`` as data, with the ``places`` of their rules in the list from 1, and the lines that are no rules."""

    findings: list[dict[str, Any]]
    places: list[int]
    unread: list[Unread]


def vet(
    bridge: str,
    canonical: Sequence[str],
    given: Sequence[tuple[int, str]],
    ports: Mapping[str, int],
    origins: Mapping[str, str],
) -> Verdict:
    """What there is to say about the rules of ``bridge``.

    ``canonical`` has them in the words of Open vSwitch, ``given`` with line and text as they are told. Without
    ``ports`` nothing is said about ports; ``origins`` as in `FlowReader.read`.
    """
    reader = FlowReader(ports)
    read, unread = _read(reader, canonical, origins)
    rules = [replace(rule, line=given[rule.line - 1][0], text=given[rule.line - 1][1].strip()) for rule in read]
    places = {id(rule): before.line for rule, before in zip(rules, read, strict=True)}
    found = check(rules, unread=[_place(canonical[number - 1]) for number, _reason in unread])
    if ports:
        found += port_findings(rules, reader, ports, {})
    found.sort(key=lambda finding: places[id(finding.rule)])
    data = [as_data(finding, bridge) for finding in found]
    return Verdict(data, [places[id(finding.rule)] for finding in found], unread)


def _read(reader: FlowReader, lines: Sequence[str], origins: Mapping[str, str]) -> tuple[list[Rule], list[Unread]]:
    try:
        return reader.read(lines, origins), []
    except FlowTextError:
        pass
    rules: list[Rule] = []
    unread: list[Unread] = []
    for number, line in enumerate(lines, 1):
        try:
            rules += [replace(rule, line=number) for rule in reader.read([line], origins)]
        except FlowTextError as exc:
            unread.append((number, str(exc).partition("': ")[2]))
    return rules, unread


def _place(line: str) -> tuple[int, int]:
    """Table and priority of a rule that is not understood otherwise."""
    head = line.partition("actions=")[0]
    table, priority = _TABLE.search(head), _PRIORITY.search(head)
    return (int(table[1]) if table else 0, int(priority[1]) if priority else DEFAULT_PRIORITY)
