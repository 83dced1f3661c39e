# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/literal.md shows the documents' own lists as they are, what the checker finds, and what the compiler makes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.op_dbus.socket_network.plugins.filter.check_flows import check_flows
from ansible_collections.op_dbus.socket_network.plugins.filter.compile_flows import compile_flows

from tests.lib.fleets import shipped
from tests.lib.literal import droplet, home, text

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "literal.md").read_text(encoding="utf-8")
HOSTS = {"oo1424oo": home(text("oo1424oo.txt")), "vps-gateway": droplet(text("vps-gateway.txt"))}
WORDS = {"dead": "**Dead**", "ambiguous": "**Ambiguous"}


@pytest.mark.parametrize("name", ["oo1424oo.txt", "vps-gateway.txt", "service.txt"])
def test_the_lists_stand_there_character_for_character(name: str) -> None:
    assert f"```text\n{text(name)}```\n" in PAGE


def rows(name: str) -> dict[int, str]:
    """The rows of the table below the list of ``name``, by the lines that they are about."""
    section = PAGE.partition(text(f"{name}.txt"))[2].partition("\n## ")[0]
    found = re.findall(r"^\| ([\d, ]+) \|(.*)$", section, re.MULTILINE)
    return {int(line): row for lines, row in found for line in lines.split(",")}


@pytest.mark.parametrize("name", HOSTS)
def test_every_rule_has_its_row_and_what_the_checker_finds_stands_in_it(name: str) -> None:
    compiled = compile_flows({name: HOSTS[name]}, name)
    lines = {rule["line"] for rule in compiled["mesh"]["given"]}
    told = {finding["line"]: WORDS[finding["kind"]] for finding in check_flows(compiled)}
    causes = {
        cause["line"] for finding in check_flows(compiled) if finding["kind"] == "ambiguous" for cause in finding["by"]
    }
    assert rows(name).keys() == lines
    for line, row in rows(name).items():
        assert told.get(line, "") in row
        if line not in told and line not in causes:
            assert not any(word in row for word in WORDS.values())


def test_the_rules_that_replace_them_are_compiled_ones() -> None:
    fleet = shipped("production-example")
    flows = [flow for host in HOSTS for flow in compile_flows(fleet, host)["mesh"]["flows"]]
    compiled = {flow.partition(",")[2] for flow in flows}
    quoted = set(re.findall(r"`(table=[^`]*,actions=[^`]*)`", PAGE))
    assert len(quoted) >= 9
    assert quoted - compiled == set()
