# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""One OpenFlow 1.5 rule as data, written in the form in which Open vSwitch prints it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from .identity import COOKIE_OWNER

_NEXT_TABLE = re.compile(r"\btable=(\d+)")
_PORT_FIELDS = frozenset({"in_port", "output"})


class Term(NamedTuple):
    """A match field or an action. ``value`` is empty for bare words (``ip``, ``drop``); ports are given by name."""

    name: str
    value: str = ""

    def text(self, ports: Mapping[str, int] | None = None) -> str:
        """As ovs-ofctl reads it: port names in quotes, or the numbers that ``ports`` gives them."""
        if self.name in _PORT_FIELDS:
            port = f'"{self.value}"' if ports is None else str(ports[self.value])
            return f"{self.name}{':' if self.name == 'output' else '='}{port}"
        return self.name + self.value


def field(name: str, value: object) -> Term:
    """Match ``name`` against ``value``."""
    return Term(name, value if name in _PORT_FIELDS else f"={value}")  # type: ignore[arg-type]


def bare(word: str) -> Term:
    """A protocol to match or an action without argument."""
    return Term(word)


def set_field(value: object, target: str) -> Term:
    return Term("set_field", f":{value}->{target}")


def move(source: str, target: str) -> Term:
    return Term("move", f":{source}[]->{target}[]")


def goto(table: int) -> Term:
    return Term("goto_table", f":{table}")


def ct(arguments: str) -> Term:
    return Term("ct", f"({arguments})")


def output(port: str) -> Term:
    return Term("output", port)


DROP = (bare("drop"),)


@dataclass(frozen=True, slots=True)
class Flow:
    """A rule. ``origin`` says in words which inventory line asked for it."""

    table: int
    priority: int
    match: tuple[Term, ...]
    actions: tuple[Term, ...]
    origin: str
    cookie: int

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of what is matched, protocols included."""
        return tuple(term.name for term in self.match)

    @property
    def next_tables(self) -> tuple[int, ...]:
        """Tables that packets of this rule go on to."""
        found = []
        for term in self.actions:
            if term.name == "goto_table":
                found.append(int(term.value[1:]))
            elif term.name == "ct":
                found += [int(number) for number in _NEXT_TABLE.findall(term.value)]
        return tuple(found)

    def match_text(self, ports: Mapping[str, int] | None = None) -> str:
        return ",".join([term.text(ports) for term in self.match])

    def text(self, ports: Mapping[str, int] | None = None) -> str:
        """The rule as a line for ovs-ofctl: with port names, or with the numbers that ``ports`` gives them."""
        match = "".join([f",{term.text(ports)}" for term in self.match])
        actions = ",".join([term.text(ports) for term in self.actions])
        return f"cookie={self.cookie:#x},table={self.table},priority={self.priority}{match},actions={actions}"


def flow(table: int, priority: int, match: tuple[Term, ...], actions: tuple[Term, ...], origin: str) -> Flow:
    """A flow with the cookie that its table, priority and match give it: owner, table, 32 bits of a digest."""
    key = f"{table},{priority},{','.join([term.text() for term in match])}"
    digest = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big")
    return Flow(table, priority, match, actions, origin, COOKIE_OWNER << 48 | table << 32 | digest)
