# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/pipeline.md says what the compiler makes, of every table."""

from __future__ import annotations

import re

import pytest

from tests.lib.pipeline_page import PAGE, PIPELINES, StaleRequestError, render

TEXT = PAGE.read_text(encoding="utf-8")


def test_page_is_what_the_compiler_makes() -> None:
    assert render(TEXT) == TEXT, "write it anew: PYTHONPATH=.collections python -m tests.lib.pipeline_page"


def test_every_table_has_a_section_with_numbered_flows() -> None:
    sections = re.findall(r"^### (\d+) (\w+)\n(.*?)(?=^##|\Z)", TEXT, re.DOTALL | re.MULTILINE)
    shown = {(int(number), name) for number, name, text in sections if "\n1. priority=" in text}
    assert shown == {(table.number, table.name.upper()) for table in PIPELINES["socket"].values()}


def test_changed_flow_is_noticed() -> None:
    stale = TEXT.replace("goto_table:20", "goto_table:21", 1)
    assert stale != render(stale) == TEXT


@pytest.mark.parametrize(("words", "number"), [("tp_dst=9", 0), ("ip", 5)])
def test_request_must_fit_one_flow(words: str, number: int) -> None:
    request = f"<!-- compiled: flows production-example oo1424oo mesh 70\n{words}\n-->\n<!-- end -->\n"
    with pytest.raises(StaleRequestError, match=f"^{number} flows of oo1424oo/mesh table 70"):
        render(request)
