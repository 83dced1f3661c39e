# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Flows as canonical text. OpenFlow is parsed by ovs-ofctl alone; here lines are only cut at their known seams."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from .._errors import CommandError, RefusedError, SocketNetworkError
from .._runner import Runner
from .vsctl import run_tool

OFCTL = ("ovs-ofctl", "--timeout=60", "-O", "OpenFlow15")

DEFAULT_PRIORITY = 32768

_QUOTED = re.compile(r'"([^"]*)"')
_PORT_NUMBER = re.compile(r"\b(in_port=|output:)(\d+)")
_DOTTED_QUAD = re.compile(r"(?<![\w.])\d+\.\d+\.\d+\.\d+(?![\w.])")
_PRIORITY = re.compile(r"(?:^|,)priority=(\d+)")
_PLAIN = re.compile(
    r" ?(?:cookie=(?P<cookie>0x[0-9a-f]+), )?(?:table[=:](?P<table>\d+),? )?"
    r"(?:(?P<match>(?!idle|hard|importance|send_|no_|check_|reset_|cookie)[^ ]*[^ ,]) )?"
    r"(?:cookie:(?P<late>0x[0-9a-f]+) )?actions=(?P<actions>.*)"
)
"""A line without options and flags, as most are. Matching it costs much less than looking at every word."""
_OPTIONS = {"idle": "idle_timeout", "hard": "hard_timeout", "idle_timeout": "", "hard_timeout": "", "importance": ""}
_STATE_FLAGS = frozenset({"send_flow_rem", "no_packet_counts", "no_byte_counts"})
_OTHER_FLAGS = frozenset({"check_overlap", "reset_counts"})
_FLAGS = _STATE_FLAGS | _OTHER_FLAGS

Key = tuple[int, str]
"""(table, canonical match text with its priority): what makes a flow one flow on a switch."""


@dataclass(frozen=True, slots=True)
class Flow:
    """One flow in ovs-ofctl's canonical OpenFlow 1.5 text, with port numbers.

    ``match`` includes the priority, ``options`` the timeouts and importance, ``flags`` only those that a switch keeps.
    """

    table: int
    match: str
    cookie: int
    actions: str
    options: tuple[str, ...] = ()
    flags: frozenset[str] = frozenset()

    @property
    def key(self) -> Key:
        return (self.table, self.match)

    @property
    def stored(self) -> tuple[int, str, tuple[str, ...]]:
        """What diff-flows compares of two flows of one key."""
        return (self.cookie, self.actions, self.options)

    @property
    def priority(self) -> int:
        found = _PRIORITY.search(self.match)
        return int(found[1]) if found else DEFAULT_PRIORITY

    @property
    def order(self) -> tuple[int, int, str]:
        """Sorts flows as a packet meets them."""
        return (self.table, -self.priority, self.match)

    @property
    def text(self) -> str:
        """Input for ovs-ofctl."""
        return f"cookie={self.cookie:#x}, table={self.table}, {self.body}"

    @property
    def body(self) -> str:
        """``text`` without cookie and table."""
        fields = ", ".join([*self.options, *sorted(self.flags), *filter(None, [self.match])])
        return f"{fields} actions={self.actions}".lstrip()


def parse_line(line: str) -> Flow:
    """A flow as dump-flows, diff-flows, ``Flow.text`` or (after its verb) parse-flows prints it."""
    plain = _PLAIN.fullmatch(line)
    if plain:
        early, number, match, late, actions = plain.groups(default="")
        return Flow(int(number or 0), match, int(early or late or "0", 16), actions)
    head, _separator, actions = line.strip().partition("actions=")
    table, cookie, match = 0, 0, ""
    options: list[str] = []
    flags: set[str] = set()
    for word in head.split():
        token = word.rstrip(",")
        name, _equals, value = token.replace(":", "=", 1).partition("=")
        if token in _FLAGS:
            flags.add(token)
        elif name == "cookie":
            cookie = int(value, 0)
        elif name == "table":
            table = int(value)
        elif name in _OPTIONS:
            options.append(f"{_OPTIONS[name] or name}={value}")
        else:
            match = token
    return Flow(table, match, cookie, actions, tuple(sorted(options)), frozenset(flags & _STATE_FLAGS))


def parse_dump(text: str) -> list[Flow]:
    """The flows in a dump or a durable file."""
    return [parse_line(line) for line in text.splitlines() if "actions=" in line]


def check_lines(lines: Sequence[str]) -> None:
    """Refuse what ovs-ofctl would read as something else than exactly one flow."""
    for number, line in enumerate(lines, 1):
        if not line.strip() or "\n" in line or "#" in line or line.rstrip().endswith("\\"):
            raise RefusedError(
                f"Flow {number} ({line!r}) is not one line of flow text.",
                fix="give one flow an item, without comments, line breaks or a backslash at its end.",
            )
        for quad in _DOTTED_QUAD.findall(line):
            if any(int(byte) > 255 for byte in quad.split(".")):
                raise RefusedError(
                    f"Flow {number} ({line}) is not valid: {quad} is not an IPv4 address, and Open vSwitch would read "
                    "it as another one.",
                    fix="correct the address.",
                )


def with_numbers(lines: Sequence[str], ports: Mapping[str, int]) -> list[str]:
    """``lines`` with every quoted port name replaced by its number; unknown names are refused, all at once."""
    unknown: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        return str(ports.get(found[1], found[0]))

    for index, line in enumerate(lines, 1):
        for name in _QUOTED.findall(line):
            if name not in ports:
                unknown.setdefault(name, index)
    if unknown:
        listed = ", ".join(f"{name!r} (flow {index})" for name, index in sorted(unknown.items()))
        known = ", ".join(sorted(ports)) or "none"
        raise RefusedError(
            f"Flows name ports that are not in `ports`: {listed}; known ports: {known}.",
            fix="add each name with its OpenFlow port number to `ports`, or correct the name.",
        )
    return [_QUOTED.sub(number, line) for line in lines]


def with_names(text: str, names: Mapping[int, str]) -> str:
    """Canonical ``text`` with known port numbers as quoted names again."""

    def name(found: re.Match[str]) -> str:
        known = names.get(int(found[2]))
        return f'{found[1]}"{known}"' if known else found[0]

    return _PORT_NUMBER.sub(name, text)


def canonical(runner: Runner, lines: Sequence[str]) -> list[Flow]:
    """``lines`` (with port numbers) as the switch will store them, in their order; a bad line is refused by number.

    ovs-ofctl accepts a match without its prerequisite (`tcp_dst=443` without `tcp`) and silently drops it, which
    leaves a rule that matches everything: its notice "normalization changed" is an error here.
    """
    if not lines:
        return []
    output, problem = _parse(runner, lines)
    if problem:
        index = _first_bad(runner, lines) if problem.line is None else problem.line
        raise RefusedError(f"Flow {index} ({lines[index - 1]}) is not valid: {problem.text}", fix=problem.fix)
    mods = [line for line in output.splitlines() if line.startswith("OFPT_FLOW_MOD")]
    verbs = [line.partition("): ")[2].partition(" ") for line in mods]
    if len(verbs) != len(lines) or any(verb != "ADD" for verb, _space, _flow in verbs):
        raise SocketNetworkError(f"ovs-ofctl parse-flows understood {len(verbs)} of {len(lines)} flows.")
    return [parse_line(rest) for _verb, _space, rest in verbs]


@dataclass(frozen=True, slots=True)
class _Problem:
    text: str
    fix: str
    line: int | None = None


def _parse(runner: Runner, lines: Sequence[str]) -> tuple[str, _Problem | None]:
    argv = [*OFCTL, "parse-flows", "-"]
    result = run_tool(runner, argv, "Checking flows", stdin="\n".join(lines) + "\n", ok=(0, 1))
    if "normalization changed" in result.stderr:
        dropped = re.search(r"pre: (.*)", result.stderr)
        return "", _Problem(
            f"Open vSwitch would drop the match on {dropped[1] if dropped else 'a field'}, "
            "because the fields that it depends on are not matched.",
            "match the protocol too (`tcp` beside `tcp_dst`, `ip` beside `nw_dst`, ...).",
        )
    if result.rc == 0:
        return result.stdout, None
    messages = [line for line in result.stderr.splitlines() if line.startswith("ovs-ofctl: ")]
    if not messages:
        raise CommandError("Checking flows", argv, result.rc, result.stderr)
    message = messages[-1].removeprefix("ovs-ofctl: ")
    if message.startswith("no usable protocol"):
        return "", _Problem("OpenFlow 1.5 cannot express it.", "write it with OpenFlow 1.5 fields and actions.")
    placed = re.fullmatch(r"-:(\d+): (.*)", message)
    fix = "see `man ovs-fields` and `man ovs-actions`; quote port names and list them in `ports`."
    return "", _Problem(f"{placed[2] if placed else message}.", fix, int(placed[1]) if placed else None)


def _first_bad(runner: Runner, lines: Sequence[str]) -> int:
    """Number (from 1) of the first line that ovs-ofctl objects to, by halving, as it does not say."""
    low, high = 0, len(lines)
    while high - low > 1:
        middle = (low + high) // 2
        if _parse(runner, lines[low:middle])[1]:
            high = middle
        else:
            low = middle
    return low + 1


def owned(flows: Sequence[Flow], lines: Sequence[str], owner: int) -> list[Flow]:
    """``flows`` with our cookies: those without one get it from table and match; foreign ones are refused."""
    marked = []
    for flow, line in zip(flows, lines, strict=True):
        if flow.cookie == 0 and "cookie=" not in line:
            marked.append(replace(flow, cookie=derived_cookie(flow, owner)))
        elif not is_owned(flow, owner):
            raise RefusedError(
                f"Flow {line!r} has the cookie {flow.cookie:#x}, which does not start with the owner {owner:#06x}.",
                fix="leave the cookie out, or put the owner into its upper 16 bits.",
            )
        else:
            marked.append(flow)
    return marked


def derived_cookie(flow: Flow, owner: int) -> int:
    """Owner (16 bits), table (16), digest of table and match (32)."""
    digest = hashlib.sha256(f"{flow.table},{flow.match}".encode()).digest()
    return owner << 48 | flow.table << 32 | int.from_bytes(digest[:4], "big")


def is_owned(flow: Flow, owner: int) -> bool:
    return flow.cookie >> 48 == owner


def refuse_twins(flows: Sequence[Flow], lines: Sequence[str]) -> None:
    """Refuse flows that a switch would take for one, and flows that share a cookie.

    The checker tells the former in better words, where it understands them.
    """
    by_key: dict[Key, int] = {}
    by_cookie: dict[int, int] = {}
    for index, flow in enumerate(flows):
        first = by_key.setdefault(flow.key, index)
        if first != index:
            raise RefusedError(
                f"Flows {first + 1} and {index + 1} have the same table, priority and match; the last would win: "
                f"{lines[first]!r} and {lines[index]!r}.",
                fix="remove one, or give them different priorities.",
            )
        first = by_cookie.setdefault(flow.cookie, index)
        if first != index:
            raise RefusedError(
                f"Flows {first + 1} and {index + 1} have the same cookie {flow.cookie:#x}: "
                f"{lines[first]!r} and {lines[index]!r}.",
                fix="give each flow a cookie of its own, or leave cookies out.",
            )


def split(flows: Iterable[Flow], owner: int) -> tuple[list[Flow], list[Flow]]:
    """(ours, foreign)."""
    ours: list[Flow] = []
    foreign: list[Flow] = []
    for flow in flows:
        (ours if is_owned(flow, owner) else foreign).append(flow)
    return ours, foreign
