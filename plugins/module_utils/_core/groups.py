# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Groups, read from lines that ``ovs-ofctl add-groups`` takes, and which of their buckets get a packet."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from .actions import (
    Action,
    Back,
    Ct,
    DecTtl,
    Goto,
    Learn,
    Normal,
    Output,
    PortReader,
    Resubmit,
    ToGroup,
    read_actions,
    split_list,
)
from .fields import FlowTextError, read_number

Choose = Callable[[str, int], int]
"""Decides what the switch leaves to a hash: of what (in words) and among how many; the index of the chosen one."""

TYPES = {"all": "all", "select": "select", "indirect": "indirect", "fast_failover": "ff", "ff": "ff"}
_FINAL: tuple[tuple[type, ...], ...] = ((Ct,), (Resubmit,), (Output, Back, Normal), (ToGroup,))
"""Of these a bucket does one only: the last of the kind that stands last here."""

_NUMBERS = frozenset({"bucket_id", "weight", "watch_group"})
_BUCKET = re.compile(r"(?:^|,)\s*buckets?=")


@dataclass(frozen=True, slots=True)
class Bucket:
    """``actions`` in the order in which the switch does them. A bucket that watches nothing is always alive."""

    actions: tuple[Action, ...]
    weight: int = 1
    watch_port: int | None = None
    watch_group: int | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """``kind`` is one of the values of `TYPES`."""

    number: int
    kind: str
    buckets: tuple[Bucket, ...]


def first(_what: str, _among: int) -> int:
    """The choice of a simulation that nobody tells otherwise."""
    return 0


def read_groups(lines: Iterable[str], port: PortReader) -> dict[int, Group]:
    """The groups of ``lines`` by number; raises FlowTextError that names every line which is not understood."""
    groups: dict[int, Group] = {}
    faults = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text and not text.startswith("#"):
            try:
                group = _group(text, port)
                if group.number in groups:
                    raise FlowTextError(f"group {group.number} is there already.")
                groups[group.number] = group
            except FlowTextError as exc:
                faults.append(f"line {number}, {text!r}: {exc}")
    for group in groups.values():
        wanted = {action.number for bucket in group.buckets for action in bucket.actions if isinstance(action, ToGroup)}
        faults += [f"group {group.number}: there is no group {missing}." for missing in sorted(wanted - groups.keys())]
    if faults:
        raise FlowTextError("Groups that are not understood: " + "\n".join(faults))
    return groups


def _group(text: str, port: PortReader) -> Group:
    head, *buckets = _BUCKET.split(text)
    number, kind = None, "all"
    for item in split_list(head):
        name, _equals, value = item.partition("=")
        if name == "group_id":
            number = read_number(value, 32)
        elif name == "type" and value in TYPES:
            kind = TYPES[value]
        elif item in ("selection_method=hash", "selection_method=dp_hash"):
            continue
        else:
            raise FlowTextError(f"{item!r} is unknown here.")
    if number is None:
        raise FlowTextError("there is no group_id.")
    group = Group(number, kind, tuple(_bucket(bucket, port) for bucket in buckets))
    if kind == "indirect" and len(buckets) != 1:
        raise FlowTextError("an indirect group has one bucket.")
    if kind == "ff" and any(bucket.watch_port is bucket.watch_group is None for bucket in group.buckets):
        raise FlowTextError("every bucket of a fast_failover group watches a port or a group.")
    return group


def _bucket(text: str, port: PortReader) -> Bucket:
    numbers: dict[str, int] = {}
    actions: list[str] = []
    for item in (each.removeprefix("actions=") for each in split_list(text)):
        name, _colon, value = item.partition(":")
        if name in _NUMBERS:
            numbers[name] = read_number(value, 32)
        elif name == "watch_port":
            numbers[name] = port(value)
        elif item:
            actions.append(item)
    done = _in_order(read_actions(",".join(actions) or "drop", port))
    return Bucket(done, numbers.get("weight", 1), numbers.get("watch_port"), numbers.get("watch_group"))


def _in_order(actions: Sequence[Action]) -> tuple[Action, ...]:
    """A bucket is a set of actions: one hop less first, then changes, then one of those that lead on, or nothing."""
    if any(isinstance(action, (Goto, Learn)) for action in actions):
        raise FlowTextError("a bucket neither goes to a table nor learns.")
    final: Action | None = None
    for kinds in _FINAL:
        final = next((action for action in reversed(actions) if isinstance(action, kinds)), final)
    if final is None:
        return ()
    hop = [action for action in actions if isinstance(action, DecTtl)][:1]
    leading = tuple(kind for kinds in _FINAL for kind in kinds)
    changes = [action for action in actions if not isinstance(action, (DecTtl, *leading))]
    return (*hop, *changes, final)


def buckets_for(
    group: Group, groups: Mapping[int, Group], ports: Collection[int] | None, choose: Choose
) -> Sequence[Bucket]:
    """The buckets of ``group`` that get a packet; ``ports`` are those that are up (None: all)."""
    if group.kind in ("all", "indirect"):
        return group.buckets
    live = [bucket for bucket in group.buckets if _alive(bucket, groups, ports)]
    if group.kind == "ff":
        return live[:1]
    weighty = [bucket for bucket in live if bucket.weight] or live
    if len(weighty) < 2:
        return weighty
    return [weighty[choose(f"bucket of group {group.number}", len(weighty))]]


def _alive(bucket: Bucket, groups: Mapping[int, Group], ports: Collection[int] | None) -> bool:
    if bucket.watch_port is None and bucket.watch_group is None:
        return True
    if bucket.watch_port is not None and (ports is None or bucket.watch_port in ports):
        return True
    watched = groups.get(bucket.watch_group) if bucket.watch_group is not None else None
    return watched is not None and any(_alive(other, groups, ports) for other in watched.buckets)
