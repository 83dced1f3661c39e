# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""A host whose rules somebody wrote: they are taken as they are, with the names of ports translated."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from .actions import split_list
from .fields import FlowTextError, read_number
from .flow import Flow, Term, flow
from .literal_text import TextFault, read_rules
from .model import Bridge, LiteralRule, Node
from .readers import Item, kind_of

MODE = "socket_bridge_mode"
FLOWS = "socket_bridge_literal_flows"
MODES = ("compiled", "literal")

_DEFAULT_PRIORITY = 32768
_WORDS = frozenset({"all", "any", "controller", "flood", "in_port", "local", "none", "normal", "table", "unset"})
_NAME = r'"?([A-Za-z][A-Za-z0-9_.-]*)"?(?![\w\["-])'
_IN_PORT = re.compile(rf"in_port={_NAME}")
_OUTPUT = re.compile(rf"output:{_NAME}", re.IGNORECASE)
_NESTED = re.compile(
    rf"(?<![\w.])(output:|output\(port=|resubmit:|resubmit\(|enqueue:|enqueue\(){_NAME}", re.IGNORECASE
)
_BARE = re.compile(r'"?([A-Za-z][A-Za-z0-9_.-]*)"?')
_ACTIONS = re.compile(r"(?:^|(?<=[\s,]))actions?=")


def read_literal(item: Item, node: Node, names_known: bool) -> tuple[tuple[str, tuple[LiteralRule, ...]], ...] | None:
    """The lists of a host in literal mode by bridge, or None in compiled mode, where lists may wait for their time.

    ``item`` holds the variables of the host and takes the faults; ``names_known`` is False when not everything of
    ``node`` could be read, so that a name which is not there proves nothing.
    """
    if item.choice(MODE, MODES) != "literal":
        return None
    lists = item.mapping(FLOWS)
    known = [bridge.name for bridge in node.bridges]
    for name in lists.keys() - known if names_known else ():
        fix = f"name one of {', '.join(known) or 'socket_bridge_bridges'}."
        item.fault(f"{FLOWS}[{name}]", "(list)", "this host has no such bridge.", fix)
    found: dict[str, tuple[LiteralRule, ...]] = {}
    for bridge in node.bridges:
        if lists.get(bridge.name) is None:
            problem = f"in literal mode every bridge needs its list, and bridge {bridge.name} has none."
            item.fault(FLOWS, list(lists), problem, f"add its rules, or set {MODE}: compiled.")
        else:
            found[bridge.name] = _list(item, node, bridge, lists[bridge.name], names_known)
    return tuple(sorted(found.items()))


def _list(item: Item, node: Node, bridge: Bridge, value: Any, names_known: bool) -> tuple[LiteralRule, ...]:
    key = f"{FLOWS}[{bridge.name}]"
    wrong = next((part for part in value if not isinstance(part, str)), None) if isinstance(value, list) else None
    if not isinstance(value, (str, list)) or wrong is not None:
        problem = f"{kind_of(value if wrong is None else wrong)} stands here."
        item.fault(key, value if wrong is None else wrong, problem, "write a text block or a list of strings.")
        return ()
    rules, faults = read_rules(value, bridge.name)
    ports = port_names(node, bridge)
    elsewhere = {name: other.name for other in node.bridges for name in port_names(node, other)}
    for rule in rules:
        try:
            unknown = sorted(_translate(rule.text, ports, bridge)[1])
        except FlowTextError as exc:
            faults.append(TextFault(rule.line, rule.text, str(exc), "see `man ovs-ofctl`."))
            continue
        faults += [_no_port(rule, name, bridge, ports, elsewhere) for name in unknown if names_known]
    for line, text, problem, fix in sorted(faults):
        item.fault(f"{key} line {line}", text, problem, fix)
    if not rules and not faults:
        problem = "there is no rule in it, and a bridge without rules drops everything."
        item.fault(key, value, problem, "write rules; actions=drop drops everything.")
    return tuple(rules)


def _no_port(
    rule: LiteralRule, name: str, bridge: Bridge, ports: Mapping[str, str], elsewhere: Mapping[str, str]
) -> TextFault:
    where = f" ({name} is a port of bridge {elsewhere[name]})" if name in elsewhere else ""
    problem = f"bridge {bridge.name} has no port {name}{where}."
    return TextFault(rule.line, rule.text, problem, f"name one of {', '.join(sorted(ports))}.")


def port_names(node: Node, bridge: Bridge) -> dict[str, str]:
    """What a list may call the ports of ``bridge``, with their names on the bridge.

    An uplink's own name and that of its device mean its end on the bridge: the device itself is no port.
    """
    found: dict[str, str] = {}
    for uplink in node.uplinks_of(bridge.name):
        names = (uplink.device, uplink.name, uplink.bridge_port)
        found.update((name, uplink.bridge_port) for name in names if name)
    found.update((container.veth, container.veth) for container in node.containers_of(bridge.name))
    found.update((near.name, near.name) for near, _far in node.ends(bridge.name))
    return found


def literal_flows(node: Node, bridge: Bridge, rules: Sequence[LiteralRule]) -> tuple[Flow, ...]:
    """``rules`` for a switch, in their order."""
    ports = port_names(node, bridge)
    origin = f"{node.name}: {FLOWS}[{bridge.name}] line"
    return tuple(_flow(_translate(rule.text, ports, bridge)[0], f"{origin} {rule.line}") for rule in rules)


def _flow(terms: tuple[dict[str, int], tuple[Term, ...], tuple[Term, ...]], origin: str) -> Flow:
    settings, match, actions = terms
    return flow(settings["table"], settings["priority"], match, actions, origin)


def _translate(
    text: str, ports: Mapping[str, str], bridge: Bridge
) -> tuple[tuple[dict[str, int], tuple[Term, ...], tuple[Term, ...]], set[str]]:
    """Table and priority, match and actions of a rule with names as the bridge has them, and the names it has not."""
    head, tail = _ACTIONS.split(text, 1)
    names = _Names(ports, bridge)
    settings = {"table": 0, "priority": _DEFAULT_PRIORITY}
    match = []
    for item in split_list(head):
        name, equals, value = item.partition("=")
        if name == "cookie":
            raise FlowTextError("the cookie is given by the collection, which tells its rules by it: leave it out.")
        if name in settings and equals:
            settings[name] = read_number(value, {"table": 8, "priority": 16}[name])
        else:
            match.append(names.match(item))
    actions = tuple(names.action(item) for item in split_list(tail))
    if not actions:
        raise FlowTextError("there are no actions (to drop, write actions=drop).")
    return (settings, tuple(match), actions), names.unknown


class _Names:
    """Translates names of ports and collects those that nobody has."""

    def __init__(self, ports: Mapping[str, str], bridge: Bridge) -> None:
        self._ports, self._bridge = ports, bridge
        self.unknown: set[str] = set()

    def match(self, item: str) -> Term:
        found = _IN_PORT.fullmatch(item)
        return Term(item) if not found else self._term("in_port", "=", found[1], item)

    def action(self, item: str) -> Term:
        found = _OUTPUT.fullmatch(item)
        if found:
            return self._term("output", ":", found[1], item)
        bare = _BARE.fullmatch(item)
        if bare and (bare[1] in self._ports or bare[1] == self._bridge.name):
            return self._term("output", ":", bare[1], item)
        return Term(_NESTED.sub(self._nested, item))

    def _term(self, field: str, sign: str, name: str, item: str) -> Term:
        if name.lower() in _WORDS:
            return Term(item)
        if name == self._bridge.name:
            return Term(f"{field}{sign}LOCAL")
        return Term(field, self._known(name))

    def _nested(self, found: re.Match[str]) -> str:
        """A name inside another action's parentheses."""
        name = found[2]
        if name.lower() in _WORDS:
            return found[0]
        return f"{found[1]}LOCAL" if name == self._bridge.name else f'{found[1]}"{self._known(name)}"'

    def _known(self, name: str) -> str:
        if name not in self._ports:
            self.unknown.add(name)
        return self._ports.get(name, name)
