# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Rules as people write them down: one a line, in quotes, as `ovs-ofctl add-flow` commands, with comments between."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .model import LiteralRule


class TextFault(NamedTuple):
    """What is wrong with the rule that begins at ``line``."""

    line: int
    text: str
    problem: str
    fix: str


_SKIPPED = re.compile(r"[\s,;\\]+|#[^\n]*|```[^\n]*|flows\s*=\s*\[|[\[\]]|-\s+")
"""Between rules: space, comments, fences of Markdown, and what lists of Nix, YAML and JSON put around their items."""

_COMMAND = re.compile(r"(?:sudo\s+)?ovs-ofctl\s+(?:(?:-O\s*|--protocols=)\S+\s+|--\S+\s+)*(\S+)\s+(\S+)\s+")
_BREAK = re.compile(r"\s*\\?\n\s*")
_JOINS = frozenset("(,)=")


class Statement(NamedTuple):
    """A rule and where it begins; ``bridge`` is what an add-flow command names."""

    line: int
    text: str
    bridge: str


class _Reader:
    """Cuts a text into statements."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def statements(self) -> Iterator[Statement | TextFault]:
        while self._skip():
            begin = self._at
            line = self._text.count("\n", 0, begin) + 1
            command = _COMMAND.match(self._text, begin)
            if command:
                self._at = command.end()
                if command[1] != "add-flow":
                    self._to_end_of_line()
                    shown = self._text[begin : self._at].strip()
                    yield TextFault(line, shown, f"{command[1]} adds no rule.", "write add-flow, or leave it out.")
                    continue
            rule = self._quoted() if self._text[self._at : self._at + 1] in ('"', "'") else self._bare()
            if rule is None:
                shown = self._text[begin:].partition("\n")[0].strip()
                self._at = len(self._text)
                problem = "its quotation marks or parentheses are not closed."
                yield TextFault(line, shown, problem, "close them; the rest of the list cannot be read before that.")
                continue
            yield Statement(line, _joined(rule), command[2] if command else "")

    def _skip(self) -> bool:
        """Go to the next rule; whether there is one."""
        while found := _SKIPPED.match(self._text, self._at):
            self._at = found.end()
        return self._at < len(self._text)

    def _to_end_of_line(self) -> None:
        end = self._text.find("\n", self._at)
        self._at = len(self._text) if end < 0 else end

    def _quoted(self) -> str | None:
        """The inside of the quotation marks that open here."""
        mark, found = self._text[self._at], ""
        for at in range(self._at + 1, len(self._text)):
            character = self._text[at]
            if character == mark and not found.endswith("\\"):
                self._at = at + 1
                return found
            found = found[:-1] + mark if character == mark else found + character
        return None

    def _bare(self) -> str | None:
        """Up to the end of the line, or of the one that closes the parentheses; a comment may follow."""
        depth, begin = 0, self._at
        for at in range(begin, len(self._text)):
            character = self._text[at]
            depth += (character == "(") - (character == ")")
            comment = character == "#" and self._text[at - 1].isspace()
            continued = character == "\n" and self._text[at - 1] == "\\"
            if depth <= 0 and (comment or (character == "\n" and not continued)):
                self._at = at
                return self._text[begin:at]
        self._at = len(self._text)
        return None if depth > 0 else self._text[begin:]


def _joined(rule: str) -> str:
    """``rule`` in one line. A line break that no comma or parenthesis stands beside takes the place of a comma."""

    def comma(found: re.Match[str]) -> str:
        before, after = rule[found.start() - 1 : found.start()], rule[found.end() : found.end() + 1]
        return "" if {before, after} & _JOINS or not before or not after else ","

    return _BREAK.sub(comma, rule.strip()).strip()


def read_rules(value: str | Sequence[str], bridge: str) -> tuple[list[LiteralRule], list[TextFault]]:
    """The rules in a text, by line, or in a list of texts with one rule each, by item."""
    rules: list[LiteralRule] = []
    faults: list[TextFault] = []
    if isinstance(value, str):
        found = list(_Reader(value).statements())
    else:
        found = [part for number, item in enumerate(value, 1) for part in _item(number, item)]
    for part in found:
        fault = part if isinstance(part, TextFault) else _fault(part, bridge)
        if fault:
            faults.append(fault)
        elif isinstance(part, Statement):
            rules.append(LiteralRule(line=part.line, text=part.text))
    return rules, faults


def _item(number: int, text: str) -> Iterator[Statement | TextFault]:
    found = list(_Reader(text).statements())
    if len(found) > 1:
        yield TextFault(number, text.strip(), f"this item holds {len(found)} rules.", "write one rule an item.")
    else:
        yield from (part._replace(line=number) for part in found)


def _fault(statement: Statement, bridge: str) -> TextFault | None:
    line, text = statement.line, statement.text
    if statement.bridge and statement.bridge != bridge:
        problem = f"it is for bridge {statement.bridge}, in the list of bridge {bridge}."
        return TextFault(line, text, problem, f"put it into the list of {statement.bridge}.")
    if not re.search(r"(?:^|[\s,])actions?=", text):
        return TextFault(line, text, "this is no rule, as it has no actions.", "write MATCH,actions=ACTIONS.")
    return None
