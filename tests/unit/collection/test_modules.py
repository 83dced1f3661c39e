# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules are documentation, an argument spec and a short main(), and all of them are in the action group."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
COLLECTION = "op_dbus.socket_network"
MODULES = sorted((ROOT / "plugins" / "modules").glob("*.py"))
MAX_MAIN_LINES = 40
FRAGMENTS = {f"{COLLECTION}.attributes", f"{COLLECTION}.attributes.actiongroup"}


def documents(path: Path) -> dict[str, Any]:
    """Constants DOCUMENTATION, EXAMPLES and RETURN of a module, parsed."""
    found: dict[str, Any] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            target = node.targets[0]
            if isinstance(target, ast.Name) and target.id in {"DOCUMENTATION", "EXAMPLES", "RETURN"}:
                found[target.id] = yaml.safe_load(node.value.value)
    return found


def test_every_module_is_in_the_action_group() -> None:
    """And those that take the options of a connection are in one of their own, where its defaults can be set."""
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())
    connected = [path.stem for path in MODULES if "**CONNECTION_SPEC" in path.read_text(encoding="utf-8")]
    assert runtime["action_groups"] == {"netmaker": connected, "socket_network": [path.stem for path in MODULES]}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
class TestModule:
    def test_main_is_short(self, path: Path) -> None:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        (main,) = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "main"]
        assert main.end_lineno is not None
        assert main.end_lineno - main.lineno + 1 <= MAX_MAIN_LINES

    def test_documentation_is_complete(self, path: Path) -> None:
        documentation = documents(path)["DOCUMENTATION"]
        assert documentation["module"] == path.stem
        assert documentation["version_added"] == "0.1.0"
        assert set(documentation["extends_documentation_fragment"]) >= FRAGMENTS

    def test_attributes_say_what_the_module_can_do(self, path: Path) -> None:
        attributes = documents(path)["DOCUMENTATION"]["attributes"]
        for name in ("check_mode", "diff_mode", "idempotent"):
            support = attributes[name]["support"]
            assert support in {"full", "partial", "none", "N/A"}, name
            assert support == "full" or attributes[name].get("details"), f"{name} is not full and does not say why"

    def test_options_are_described(self, path: Path) -> None:
        assert undescribed("", documents(path)["DOCUMENTATION"]["options"]) == []

    def test_examples_use_the_full_name(self, path: Path) -> None:
        examples = documents(path)["EXAMPLES"]
        assert any(f"{COLLECTION}.{path.stem}" in task for task in examples)
        assert all("name" in task for task in examples)

    def test_returned_keys_are_described(self, path: Path) -> None:
        returned = documents(path)["RETURN"]
        assert "actions" in returned
        assert [key for key, value in returned.items() if not {"description", "returned", "type"} <= set(value)] == []


def undescribed(prefix: str, options: dict[str, Any]) -> list[str]:
    """Dotted names of the options, at any depth, that lack a description or a type."""
    faults: list[str] = []
    for name, option in options.items():
        if not {"description", "type"} <= set(option):
            faults.append(prefix + name)
        faults += undescribed(f"{prefix}{name}.", option.get("suboptions", {}))
    return faults
