# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""From the flows found and wanted to one atomic bundle. Pure: nothing here runs a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from .._errors import RefusedError
from .flows import Flow, Key, parse_line, with_names

_LISTED = 5


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs, sorted. ``modified`` holds (found, wanted) pairs of one match."""

    added: tuple[Flow, ...] = ()
    removed: tuple[Flow, ...] = ()
    modified: tuple[tuple[Flow, Flow], ...] = ()
    unchanged: int = 0

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.modified)

    @property
    def before(self) -> list[Flow]:
        return [*self.removed, *(found for found, _wanted in self.modified)]

    @property
    def after(self) -> list[Flow]:
        return [*self.added, *(wanted for _found, wanted in self.modified)]

    @property
    def words(self) -> str:
        counts = {"add": len(self.added), "modify": len(self.modified), "remove": len(self.removed)}
        return ", ".join(f"{verb} {count}" for verb, count in counts.items() if count)


def differing_keys(diff: str) -> set[Key]:
    """The flows that ``ovs-ofctl diff-flows`` printed, by key."""
    return {parse_line(line[1:]).key for line in diff.splitlines() if line[:1] in {"-", "+"}}


def compare(have: Sequence[Flow], want: Sequence[Flow], differing: AbstractSet[Key]) -> Changes:
    """Sort flows into added, removed and modified.

    ``differing`` comes from diff-flows, which does not look at flags. Two flows of ours that print alike are what a
    widened match leaves behind; both go and the wanted one comes back.
    """
    found = {flow.key: flow for flow in have}
    wanted = {flow.key: flow for flow in want}
    twins = [flow for flow in have if found[flow.key] is not flow]
    both = [(found[key], wanted[key]) for key in found.keys() & wanted.keys()]
    twin_keys = {flow.key for flow in twins}
    modified = [
        pair for pair in both if pair[0].key in differing or pair[0].flags != pair[1].flags or pair[0].key in twin_keys
    ]
    added = [wanted[key] for key in wanted.keys() - found.keys()]
    removed = [found[key] for key in found.keys() - wanted.keys()] + twins
    return Changes(
        tuple(sorted(added, key=lambda flow: flow.order)),
        tuple(sorted(removed, key=lambda flow: flow.order)),
        tuple(sorted(modified, key=lambda pair: pair[1].order)),
        len(both) - len(modified),
    )


def collisions(want: Sequence[Flow], foreign: Sequence[Flow]) -> list[tuple[Flow, Flow]]:
    """Pairs (wanted, foreign) of one table, priority and match: adding ours would take the other over."""
    theirs = {flow.key: flow for flow in foreign}
    return [(flow, theirs[flow.key]) for flow in want if flow.key in theirs]


def refuse_collisions(want: Sequence[Flow], foreign: Sequence[Flow], names: Mapping[int, str]) -> None:
    pairs = collisions(want, foreign)
    if pairs:
        listed = "; ".join(
            f"{shown(ours, names)!r} against {shown(theirs, names)!r}" for ours, theirs in pairs[:_LISTED]
        )
        raise RefusedError(
            f"{len(pairs)} wanted flow(s) have the table, priority and match of another owner's flows: {listed}.",
            fix="change the priority, remove the other flow, or set force: true to take it over.",
        )


def bundle(changes: Changes, want: Sequence[Flow], owner: int) -> list[str]:
    """Lines for ``ovs-ofctl bundle``, deletes first.

    Deletes go by exact cookie, which also removes what a strict delete cannot. A wanted flow that shares the cookie
    of a deleted one comes back; modify_strict with a cookie adds nothing. Flows whose actions alone changed are
    modified in place and keep their counters.
    """
    if not want:
        return [f"flow delete cookie={owner << 48:#x}/{0xFFFF << 48:#x}"]
    in_place = [(found, wanted) for found, wanted in changes.modified if _only_actions(found, wanted)]
    replaced = [pair for pair in changes.modified if not _only_actions(*pair)]
    doomed = {(flow.table, flow.cookie) for flow in (*changes.removed, *(found for found, _wanted in replaced))}
    fresh = {wanted.key for _found, wanted in replaced} | {flow.key for flow in changes.added}
    adds = [flow for flow in want if flow.key in fresh or (flow.table, flow.cookie) in doomed]
    return [
        *(f"flow delete table={table},cookie={cookie:#x}/-1" for table, cookie in sorted(doomed)),
        *(f"flow modify_strict table={flow.table},cookie={flow.cookie:#x}/-1,{flow.body}" for _found, flow in in_place),
        *(f"flow add {flow.text}" for flow in adds),
    ]


def _only_actions(found: Flow, wanted: Flow) -> bool:
    same = found.cookie == wanted.cookie and found.options == wanted.options and found.flags == wanted.flags
    return same and found.actions != wanted.actions


def shown(flow: Flow, names: Mapping[int, str]) -> str:
    """A flow for people: port names instead of numbers."""
    return with_names(f"table={flow.table} {flow.body}", names)


def listing(flows: Sequence[Flow], names: Mapping[int, str], origins: Mapping[int, str]) -> str:
    """Flows as lines of a diff, in the order in which a packet meets them, each with its cookie and origin."""
    lines = []
    for flow in sorted(flows, key=lambda item: item.order):
        origin = origins.get(flow.cookie)
        comment = f"  # {flow.cookie:#018x} {origin}" if origin else f"  # {flow.cookie:#018x}"
        lines.append(shown(flow, names) + comment + "\n")
    return "".join(lines)
