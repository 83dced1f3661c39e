# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Cutting live connections whose policy rule went away: established packets no longer pass the policy table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .._core.tables import POLICY
from .._runner import Runner
from .flow_plan import Changes
from .flows import Flow, Key, is_owned, parse_line
from .vsctl import run_tool

_PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "sctp": 132}
_FIELDS = {"nw_src": "ct_nw_src", "nw_dst": "ct_nw_dst", "tp_src": "ct_tp_src", "tp_dst": "ct_tp_dst"}
_ENTRY = re.compile(r"(?P<protocol>\w+),orig=\(src=(?P<src>[^,]+),dst=(?P<dst>[^,)]+)(?:,sport=(\d+),dport=(\d+))?")
_MARK = re.compile(r",mark=(\d+)")


@dataclass(frozen=True, slots=True)
class Revocation:
    """Connections of one vanished rule.

    ``tuple_text`` is what flush-conntrack takes (empty: the whole zone). A rule that names no address is told apart by
    ``mark`` (value, mask): the pipeline keeps a connection's source, which is reg0, in ct_mark.
    """

    tuple_text: str
    mark: tuple[int, int] | None = None


def revoked(changes: Changes, former: Iterable[Flow], wanted: Iterable[Flow]) -> list[Flow]:
    """Policy rules that let connections in and do so no longer.

    ``former`` are the rules of the last complete run: a run that was killed after the flows and before the flush has
    left no other trace.
    """
    still = {flow.key for flow in wanted if _lets_in(flow)}
    gone: dict[Key, Flow] = {}
    for flow in (*changes.before, *former):
        if _lets_in(flow) and flow.key not in still:
            gone.setdefault(flow.key, flow)
    return sorted(gone.values(), key=lambda flow: flow.order)


def policy_rules(durable: str, owner: int) -> list[Flow]:
    """The rules of ``owner`` in the policy table of a durable file."""
    lines = (line for line in durable.splitlines() if f" table={POLICY}, " in line)
    return [flow for flow in map(parse_line, lines) if is_owned(flow, owner)]


def _lets_in(flow: Flow) -> bool:
    return flow.table == POLICY and flow.actions != "drop"


def revocation(flow: Flow) -> Revocation:
    """What to flush for ``flow``, from the exact fields of its canonical match; masked ones widen the flush."""
    words = flow.match.split(",")
    fields = dict(word.split("=", 1) for word in words if "=" in word)
    protocol = next((number for name, number in _PROTOCOLS.items() if name in words), fields.get("nw_proto"))
    parts = [f"{name}={fields[key]}" for key, name in _FIELDS.items() if "/" not in fields.get(key, "/")]
    if protocol is not None:
        parts.append(f"ct_nw_proto={protocol}")
    addressed = any(part.startswith("ct_nw_src=") or part.startswith("ct_nw_dst=") for part in parts)
    register = fields.get("reg0")
    if addressed or register is None:
        return Revocation(",".join(parts))
    value, _slash, mask = register.partition("/")
    return Revocation(",".join(parts), (int(value, 0), int(mask or "0xffffffff", 0)))


def flush(runner: Runner, zone: int, flows: Sequence[Flow]) -> int:
    """Cut the connections of ``flows`` in ``zone``; returns the number of flush commands run."""
    wanted = {revocation(flow) for flow in flows}
    texts = {item.tuple_text for item in wanted if item.mark is None}
    by_mark = [item for item in wanted if item.mark is not None]
    if by_mark:
        dump = _appctl(runner, "dump-conntrack", f"zone={zone}")
        texts |= {text for item in by_mark for text in matching(dump, item)}
    if "" in texts:
        texts = {""}
    for text in sorted(texts):
        _appctl(runner, "flush-conntrack", f"zone={zone}", *([text] if text else []))
    return len(texts)


def matching(dump: str, item: Revocation) -> list[str]:
    """flush-conntrack's text for each connection in ``dump`` that ``item`` means."""
    required = set(filter(None, item.tuple_text.split(",")))
    found = []
    for line in dump.splitlines():
        entry, mark = _ENTRY.match(line), _MARK.search(line)
        if entry is None or item.mark is None:
            continue
        value, mask = item.mark
        parts = _entry_parts(entry)
        if int(mark[1] if mark else 0) & mask == value & mask and required <= set(parts):
            found.append(",".join(parts))
    return found


def _entry_parts(entry: re.Match[str]) -> list[str]:
    protocol = _PROTOCOLS.get(entry["protocol"], entry["protocol"])
    parts = [f"ct_nw_src={entry['src']}", f"ct_nw_dst={entry['dst']}"]
    if entry[4]:
        parts += [f"ct_tp_src={entry[4]}", f"ct_tp_dst={entry[5]}"]
    return [*parts, f"ct_nw_proto={protocol}"]


def _appctl(runner: Runner, command: str, *arguments: str) -> str:
    argv = ["ovs-appctl", "--timeout=60", f"dpctl/{command}", *arguments]
    return str(run_tool(runner, argv, "Cutting revoked connections").stdout)
