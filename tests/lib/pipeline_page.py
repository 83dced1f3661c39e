# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/pipeline.md: what comes between ``<!-- compiled: … -->`` and ``<!-- end -->`` is made here from the compiler.

``python -m tests.lib.pipeline_page`` (with ``PYTHONPATH=.collections``) writes the page anew; a unit test fails when
that would change it. What a marker may ask for:

* ``tables socket`` or ``tables transit``: the declared tables of a pipeline.
* ``ports FLEET HOST BRIDGE``: port, OpenFlow number, register and MAC address of everything on a bridge.
* ``flows FLEET HOST BRIDGE TABLE``, and a line for each wanted flow: words of its match, all of which it must have.
  ``{port}`` stands for the register of that port. A line must fit exactly one flow of the table.
* ``count FLEET HOST BRIDGE``: rules in each table.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from ansible_collections.op_dbus.socket_network.plugins.module_utils._core import flow, tables
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.compile import compile_bridge
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.inventory import fleet_from_inventory
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.view import View, view_of

from .fleets import FLEETS, ROOT

PAGE = ROOT / "docs" / "pipeline.md"
PIPELINES = {"socket": tables.SOCKET, "transit": tables.TRANSIT}
_PART = re.compile(r"(<!-- compiled: (?P<request>.*?)\s*-->\n).*?(<!-- end -->)", re.DOTALL)


class StaleRequestError(Exception):
    """A marker asks for a flow that the compiler does not make, or that does not stand alone."""


def render(page: str) -> str:
    """``page`` with every part between markers made anew. Raises StaleRequestError."""
    return _PART.sub(lambda part: part[1] + _made(part["request"]) + part[3], page)


def _made(request: str) -> str:
    head, *wanted = request.splitlines()
    kind, *words = head.split()
    makers: dict[str, Callable[[Sequence[str], Sequence[str]], str]] = {
        "tables": _tables,
        "ports": _ports,
        "flows": _flows,
        "count": _count,
    }
    return makers[kind](words, wanted)


def _tables(words: Sequence[str], _wanted: Sequence[str]) -> str:
    rows = ["| table | purpose | matches | goes on to | no rule matches |", "|---|---|---|---|---|"]
    names = {table.number: f"{table.number} {table.name.upper()}" for table in PIPELINES[words[0]].values()}
    for table in PIPELINES[words[0]].values():
        matches = " ".join(f"`{name}`" for name in sorted(table.matches))
        onward = ", ".join(names[number] for number in table.next) or ("out" if table.outputs else "")
        miss = "dropped" if table.miss is None else names[table.miss]
        rows.append(f"| {names[table.number]} | {table.purpose} | {matches} | {onward} | {miss} |")
    return "\n".join(rows) + "\n"


def _bridge(fleet_name: str, host: str, bridge: str) -> tuple[View, tuple[flow.Flow, ...]]:
    fleet = fleet_from_inventory(FLEETS[fleet_name])
    node = fleet.nodes[host]
    wanted = node.bridge(bridge)
    return view_of(fleet, node, wanted), compile_bridge(fleet, node, wanted).flows


def _ports(words: Sequence[str], _wanted: Sequence[str]) -> str:
    view, _compiled = _bridge(*words)
    rows = ["| port | OpenFlow port | register | MAC address behind it |", "|---|---|---|---|"]
    ends = [(container.veth, container.ofport, container.register, container.mac) for container in view.containers]
    ends += [(link.port, link.ofport, link.register, link.far_mac) for link in view.links]
    rows += [f"| `{port}` | {number} | `{register:#x}` | `{mac}` |" for port, number, register, mac in ends]
    return "\n".join(rows) + "\n"


def _flows(words: Sequence[str], wanted: Sequence[str]) -> str:
    fleet, host, bridge, table = words
    view, compiled = _bridge(fleet, host, bridge)
    registers = {container.veth: f"{container.register:#x}" for container in view.containers}
    registers.update((link.port, f"{link.register:#x}") for link in view.links)
    members = [each for each in compiled if each.table == int(table)]
    lines = []
    for number, request in enumerate(wanted, 1):
        sought = set(re.sub(r"\{(.*?)\}", lambda found: registers[found[1]], request).split())
        fitting = [each for each in members if sought <= {f"priority={each.priority}", *_words(each)}]
        if len(fitting) != 1:
            raise StaleRequestError(f"{len(fitting)} flows of {host}/{bridge} table {table} have {sorted(sought)}")
        _cookie, _table, rest = fitting[0].text().split(",", 2)
        lines.append(f"{number}. {rest.replace(',actions=', ' actions=')}")
    return "```\n" + "\n".join(lines) + "\n```\n"


def _words(each: flow.Flow) -> list[str]:
    return each.match_text().replace('"', "").split(",")


def _count(words: Sequence[str], _wanted: Sequence[str]) -> str:
    view, compiled = _bridge(*words)
    pipeline = tables.TRANSIT if view.bridge.subnet is None else tables.SOCKET
    members = Counter(each.table for each in compiled)
    cells = [f"{members[number]} in {table.name.upper()}" for number, table in pipeline.items()]
    return f"{len(compiled)} rules: {', '.join(cells)}.\n"


def main(page: Path = PAGE) -> None:
    """Write the page anew."""
    page.write_text(render(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
