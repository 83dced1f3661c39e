# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Rules in the checker's and the simulator's form, read from lines that ovs-ofctl would take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .actions import Action, read_actions, split_list
from .fields import (
    ETH_ARP,
    ETH_IP,
    ETH_IPV6,
    FIELDS,
    ICMP,
    LOCAL,
    TCP,
    UDP,
    Bits,
    FlowTextError,
    exact,
    field_named,
    read_number,
    read_value,
)

DEFAULT_PRIORITY = 32768
_FIRST_UNNUMBERED = 0x40000000
_PORT_WORDS = frozenset({"all", "any", "controller", "flood", "in_port", "none", "normal", "table", "unset"})


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A rule: what it matches (`bits`), what it does, and where it comes from.

    ``line`` counts from 1 in the list that it was read from; ``origin`` is the inventory line, empty when unknown.
    """

    table: int
    priority: int
    bits: Bits
    actions: tuple[Action, ...]
    cookie: int
    text: str
    line: int
    origin: str = ""


def _both(one: Bits, other: Bits) -> Bits:
    return Bits(one.value | other.value, one.mask | other.mask)


_IP, _ARP = exact("dl_type", ETH_IP), exact("dl_type", ETH_ARP)
_TCP, _UDP = _both(_IP, exact("nw_proto", TCP)), _both(_IP, exact("nw_proto", UDP))

_PROTOCOLS: Mapping[str, Bits] = {
    "arp": _ARP,
    "ip": _IP,
    "ipv6": exact("dl_type", ETH_IPV6),
    "tcp": _TCP,
    "udp": _UDP,
    "icmp": _both(_IP, exact("nw_proto", ICMP)),
}

_NEEDS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("arp_op", "arp_spa", "arp_tpa", "arp_sha", "arp_tha"), ("arp",)),
    **dict.fromkeys(("nw_src", "nw_dst", "ip_src", "ip_dst", "nw_proto", "ip_proto"), ("ip",)),
    **dict.fromkeys(("tp_src", "tp_dst"), ("tcp", "udp")),
    **dict.fromkeys(("tcp_src", "tcp_dst", "tcp_flags"), ("tcp",)),
    **dict.fromkeys(("udp_src", "udp_dst"), ("udp",)),
    **dict.fromkeys(("icmp_type", "icmp_code"), ("icmp",)),
    **dict.fromkeys(("nw_frag", "ip_frag"), ("ip",)),
}
"""What else has to be matched. OVS drops a field without it from the match and so makes the rule match more."""

_UNMATCHED = frozenset({"nw_ttl"})


class _Term(NamedTuple):
    """One item of a match: its bits, its field (None for a protocol) and alternatives of what else it needs."""

    bits: Bits
    field: str | None
    needs: tuple[str, ...]


class FlowReader:
    """Reads flow lines. ``ports`` gives the numbers of port names; other names get numbers that no port has."""

    def __init__(self, ports: Mapping[str, int] | None = None) -> None:
        self._ports = dict(ports or {})
        self._names = {number: name for name, number in self._ports.items()}
        self._terms: dict[str, _Term] = {}
        self._actions: dict[str, tuple[Action, ...]] = {}

    def port(self, text: str) -> int:
        """The number of the port that ``text`` names."""
        quoted = len(text) > 1 and text[0] == text[-1] == '"'
        if quoted:
            text = text[1:-1]
        elif text.isascii() and text[:1].isdigit():
            return read_number(text, 16)
        elif text.lower() == "local":
            return LOCAL
        if not text or '"' in text or (not quoted and text.lower() in _PORT_WORDS):
            raise FlowTextError(f"{text!r} is no port here.")
        if text not in self._ports:
            self._ports[text] = _FIRST_UNNUMBERED + len(self._ports)
            self._names[self._ports[text]] = text
        return self._ports[text]

    def port_name(self, number: int) -> str:
        """How the port ``number`` is called."""
        return "LOCAL" if number == LOCAL else self._names.get(number, str(number))

    def read(self, lines: Iterable[str], origins: Mapping[str, str] | None = None) -> list[Rule]:
        """The rules of ``lines``; empty lines and comments are passed over. ``origins`` is by cookie in hexadecimal.

        Raises FlowTextError that names every line which is not understood.
        """
        rules, faults = [], []
        for number, line in enumerate(lines, 1):
            text = line.strip()
            if text and not text.startswith("#"):
                try:
                    rules.append(self._rule(text, number, origins or {}))
                except FlowTextError as exc:
                    faults.append(f"line {number}, {text!r}: {exc}")
        if faults:
            raise FlowTextError("Flows that are not understood: " + "\n".join(faults))
        return rules

    def _rule(self, text: str, line: int, origins: Mapping[str, str]) -> Rule:
        head, separator, tail = text.partition("actions=")
        if not separator or (head and head[-1] not in ", \t"):
            raise FlowTextError("there are no actions.")
        settings = {"table": 0, "priority": DEFAULT_PRIORITY, "cookie": 0}
        terms, seen = [], set()
        for item in split_list(head):
            name, equals, value = item.partition("=")
            if name in seen:
                raise FlowTextError(f"{name} stands there twice.")
            seen.add(name)
            if name in settings and equals:
                settings[name] = read_number(value, {"table": 8, "priority": 16, "cookie": 64}[name])
            else:
                terms.append(self._terms.get(item) or self._term(item, name, equals, value))
        if settings["table"] == 255:
            raise FlowTextError("255 is no table.")
        actions = self._actions.get(tail)
        if actions is None:
            actions = self._actions[tail] = read_actions(tail, self.port)
        cookie = settings["cookie"]
        origin = origins.get(f"{cookie:#x}", "")
        return Rule(settings["table"], settings["priority"], _match(terms), actions, cookie, text, line, origin)

    def _term(self, item: str, name: str, equals: str, value: str) -> _Term:
        if not equals:
            if name not in _PROTOCOLS:
                raise FlowTextError(f"{name!r} is unknown here.")
            term = _Term(_PROTOCOLS[name], None, ())
        else:
            field = field_named(name)
            if field.name in _UNMATCHED:
                raise FlowTextError(f"{name} is not matched here.")
            if name in ("icmp_type", "icmp_code"):
                read_number(value, 8)
            bits = exact("in_port", self.port(value)) if field.kind == "port" else read_value(field, value)
            term = _Term(bits, field.name, _NEEDS.get(name, ()))
        self._terms[item] = term
        return term


def _match(terms: Sequence[_Term]) -> Bits:
    """All ``terms`` at once."""
    value = mask = 0
    for term in terms:
        if (value ^ term.bits.value) & mask & term.bits.mask:
            raise FlowTextError("the match contradicts itself.")
        if term.field and mask & FIELDS[term.field].mask and term.field not in ("dl_type", "nw_proto"):
            raise FlowTextError(f"{term.field} is matched twice.")
        value |= term.bits.value
        mask |= term.bits.mask
    for term in terms:
        if term.needs and not any(_has(_PROTOCOLS[need], value, mask) for need in term.needs):
            raise FlowTextError(f"{term.field} is matched without {' or '.join(term.needs)}; OVS would leave it out.")
    return Bits(value, mask)


def _has(needed: Bits, value: int, mask: int) -> bool:
    return mask & needed.mask == needed.mask and value & needed.mask == needed.value
