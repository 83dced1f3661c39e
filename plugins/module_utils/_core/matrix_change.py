# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What a change of one bridge's rules opens and closes on that bridge, told in the names that its rules give."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .._errors import RefusedError
from .actions import Learn
from .cube import Budget, OutOfBudgetError
from .fields import FIELDS, NORMAL, Bits
from .matrix_area import Area, Areas
from .matrix_diff import Parts, changes
from .matrix_push import Switch, first_packets
from .matrix_rows import Pair, Row
from .matrix_space import Region
from .matrix_text import what, where
from .matrix_touched import concerned
from .rules import FlowReader, Rule

MAX_RULES = 4_000
"""Of one side; reading more takes longer than the answer is worth while a host is being configured."""

BUDGET = 500_000
"""Elementary steps for both sides: some seconds at most. Bridges with dozens of containers take a small part."""

SHOWN = 60
_IN_PORT = FIELDS["in_port"]
_NAMED = re.compile(r"(?:lxc_service_containers|socket_bridge_uplinks)\[([^\]]+)\]")


@dataclass(frozen=True, slots=True)
class Change:
    """Lines such as ``a (veth1) -> b (veth2) tcp/443  # origin``; ``note`` says why there are none or not all."""

    opens: tuple[str, ...] = ()
    closes: tuple[str, ...] = ()
    note: str = ""


def bridge_change(
    before: Sequence[str], after: Sequence[str], ports: Mapping[str, int], origins: Mapping[int, str]
) -> Change:
    """The change from the rules ``before`` to ``after`` (lines with port numbers). ``origins`` is by cookie.

    Never raises for what rules may say: the note tells what could not be answered.
    """
    count = max(len(before), len(after))
    if count > MAX_RULES:
        return Change(note=f"not told for {count} rules (more than {MAX_RULES})")
    named = {f"{cookie:#x}": origin for cookie, origin in origins.items()}
    reader, budget = FlowReader(ports), Budget(BUDGET)
    try:
        old, new = reader.read(before, named), reader.read(after, named)
        names = _names([*old, *new], ports)
        found = changes(*(_parts(rules, names, concerned(old, new), budget) for rules in (old, new)))
    except RefusedError as exc:
        return Change(note=f"not told, as not all rules are understood: {' '.join(str(exc).split())[:300]}")
    except OutOfBudgetError:
        return Change(note="not told, as the exact answer would take too long")
    opens, closes = _lines(found["opens"]), _lines(found["closes"])
    left = max(len(opens), len(closes)) - SHOWN
    notes = [f"{left} lines are left out"] if left > 0 else []
    if any(isinstance(action, Learn) for rule in new for action in rule.actions):
        notes.append("rules that learn() adds are not looked at")
    return Change(tuple(opens[:SHOWN]), tuple(closes[:SHOWN]), "; ".join(notes))


def _names(rules: Sequence[Rule], ports: Mapping[str, int]) -> dict[int, str]:
    """How ports are called: by the container or the uplink that an origin names, and by the port itself."""
    names = {number: name for name, number in ports.items()}
    known: dict[int, str] = {}
    for rule in rules:
        found = _NAMED.search(rule.origin) if rule.bits.mask & _IN_PORT.mask else None
        if found:
            known[_IN_PORT.of(rule.bits.value)] = found[1]
    for rule in rules:
        if rule.bits.mask & _IN_PORT.mask:
            number = _IN_PORT.of(rule.bits.value)
            names.setdefault(number, f"port {number}")
    return {number: f"{known[number]} ({name})" if number in known else name for number, name in names.items()}


def _parts(rules: Sequence[Rule], names: Mapping[int, str], about: Sequence[Bits], budget: Budget) -> Parts:
    """What packets of ``about`` may open from each port to each other."""
    switch = Switch(rules)
    parts: dict[Pair, list[tuple[Area, str]]] = {}
    areas = Areas(budget)
    for port, name in names.items():
        first = Region(first_packets(port))
        for region in filter(None, map(first.narrowed, about)):
            for way in switch.ways(region, budget):
                if way.port is not None:
                    there = "any port" if way.port == NORMAL else names.get(way.port, f"port {way.port}")
                    origin = way.deciding.origin if way.deciding else ""
                    parts.setdefault((name, there, 0), []).append((areas.of(way.region), origin))
    return parts


def _lines(rows: Sequence[Row]) -> list[str]:
    groups: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        place, origin = where(row, [row["destination"]]), "; ".join(filter(None, row["deciding"]))
        texts = (what(row), f" to {place}" if place else "", f"  # {origin}" if origin else "")
        groups.setdefault((row["destination"], *texts), []).append(row["source"])
    return sorted(
        f"{', '.join(sources)} -> {destination} {opened}{place}{origin}"
        for (destination, opened, place, origin), sources in groups.items()
    )
