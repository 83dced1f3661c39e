# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules are found in whatever people wrap them in, each at its line."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.literal_text import read_rules

from tests.lib.literal import LISTS, text

IN, OUT, DROP = "priority=9,in_port=veth1,actions=output:warp0", "in_port=warp0,actions=veth1", "actions=drop"
LEARN = "in_port=veth103,actions=learn(table=1,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[]),normal"


def rules_of(value: Any) -> list[tuple[int, str]]:
    rules, faults = read_rules(value, "mesh")
    assert faults == []
    return [(rule.line, rule.text) for rule in rules]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (IN, [(1, IN)]),
        (f"\n# why\n{IN}\n\n{DROP}  # the rest\n", [(3, IN), (5, DROP)]),
        (f"  {IN}\r\n\t{DROP}\r\n", [(1, IN), (2, DROP)]),
        (f'"{IN}"\n# why\n"{DROP}"', [(1, IN), (3, DROP)]),
        (f'flows = [\n  "{IN}"\n  "{DROP}"\n];\n', [(2, IN), (3, DROP)]),
        (f'["{IN}", "{DROP}"]', [(1, IN), (1, DROP)]),
        (f"- {IN}\n- '{DROP}'\n", [(1, IN), (2, DROP)]),
        (f"```bash\n{IN}\n```\n", [(2, IN)]),
        (f'ovs-ofctl add-flow mesh "{IN}"\nsudo ovs-ofctl -O OpenFlow15 add-flow mesh {DROP}\n', [(1, IN), (2, DROP)]),
        (f"ovs-ofctl --bundle add-flow mesh '{IN}'  # why\n", [(1, IN)]),
        (LEARN.replace(",NXM", ",\n  NXM").replace("learn(", "learn(\n  ").replace("),n", "\n),n"), [(1, LEARN)]),
        (f'"{LEARN.replace("(table", chr(10) + "(" + chr(10) + "table")}"', [(1, LEARN)]),
        ("priority=9,in_port=veth1,\\\n  actions=output:warp0", [(1, IN)]),
        ('"priority=9,in_port=veth1\n  actions=output:warp0"', [(1, IN)]),
        ('"in_port=\\"veth1\\",actions=drop"', [(1, 'in_port="veth1",actions=drop')]),
        ([IN, f"# why\n{DROP}", "", LEARN], [(1, IN), (2, DROP), (4, LEARN)]),
        ("# nothing\n\n", []),
    ],
)
def test_rules_and_their_lines(value: Any, expected: list[tuple[int, str]]) -> None:
    assert rules_of(value) == expected


@pytest.mark.parametrize(
    ("value", "line", "words"),
    [
        (f"{IN}\npriority=5,in_port=veth1", 2, "this is no rule, as it has no actions."),
        (f"mesh = {{\n{IN}", 1, "this is no rule"),
        (f"{IN}\novs-ofctl del-flows mesh\n{DROP}", 2, "del-flows adds no rule."),
        (f"ovs-ofctl mod-flows mesh '{IN}'", 1, "mod-flows adds no rule."),
        (f"\novs-ofctl add-flow vmbr0 '{IN}'", 2, "it is for bridge vmbr0, in the list of bridge mesh."),
        (f'{IN}\n"{DROP}\n{IN}', 2, "are not closed"),
        ("actions=learn(table=1\npriority=4", 1, "are not closed"),
        ([IN, f"{IN}\n{DROP}"], 2, "this item holds 2 rules."),
    ],
)
def test_what_is_no_rule_is_told_with_its_line(value: Any, line: int, words: str) -> None:
    _rules, faults = read_rules(value, "mesh")
    assert [(fault.line, words in fault.problem) for fault in faults] == [(line, True)]


@pytest.mark.parametrize(("bash", "nix"), [("oo1424oo.txt", "oo1424oo.nix"), ("vps-gateway.txt", "vps-gateway.nix")])
def test_both_forms_of_the_documents_say_the_same(bash: str, nix: str) -> None:
    assert rules_of(text(bash)) == rules_of(text(nix)) != []


def test_no_list_of_the_documents_loses_a_rule() -> None:
    for path in LISTS.iterdir():
        rules, faults = read_rules(path.read_text(encoding="utf-8"), "vmbr0")
        assert faults == []
        assert len(rules) == path.read_text(encoding="utf-8").count("actions=")
