# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documents name what the code takes: every key of the inventory, every variable of the roles, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core import containers, inventory, model

ROOT = Path(__file__).resolve().parents[3]
INVENTORY = (ROOT / "docs" / "inventory.md").read_text(encoding="utf-8")
ROLES = sorted(path for path in (ROOT / "roles").glob("*") if path.is_dir())
VARIABLE = re.compile(r"\b(?:socket_bridge|lxc_service|warp)_[a-z][a-z0-9_]*\b")
SECTIONS = {
    "Bridges": inventory._BRIDGE_KEYS,
    "Uplinks": frozenset().union(*inventory._UPLINK_KEYS.values()),
    "Containers": containers._CONTAINER_KEYS,
    "Services": containers._SERVICE_KEYS | set(model.SOURCES),
}
WORKED = ("README.md", "docs/inventory.md", "docs/operations.md", "docs/lab.md")


def section(title: str) -> str:
    """The text below the heading that starts with ``title``, up to the next heading."""
    found = re.search(rf"^#+ {title}.*?$(.*?)(?=^#+ |\Z)", INVENTORY, re.DOTALL | re.MULTILINE)
    assert found, f"docs/inventory.md has no section {title}"
    return found[1]


@pytest.mark.parametrize("title", SECTIONS)
def test_tables_of_the_inventory_name_the_keys_that_the_model_takes(title: str) -> None:
    rows = [line.split("|")[1] for line in section(title).splitlines() if line.startswith("| `")]
    assert {key for row in rows for key in re.findall(r"`(\w+)`", row)} == SECTIONS[title]


def declared(role: Path) -> set[str]:
    specs = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]
    return {name for entry in specs.values() for name in entry["options"]}


@pytest.mark.parametrize("name", WORKED)
def test_variables_that_documents_name_exist(name: str) -> None:
    known = {variable for role in ROLES for variable in declared(role)}
    modules = {path.stem for kind in ("modules", "filter") for path in (ROOT / "plugins" / kind).glob("*.py")}
    assert set(VARIABLE.findall((ROOT / name).read_text(encoding="utf-8"))) - known - modules == set()


@pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)
def test_readme_of_the_role_tells_its_variables(role: Path) -> None:
    readme = (role / "README.md").read_text(encoding="utf-8")
    assert [name for name in sorted(declared(role)) if f"`{name}`" not in readme] == []


def test_readme_tells_what_is_inside() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    plugins = {path.stem for kind in ("modules", "filter") for path in (ROOT / "plugins" / kind).glob("*.py")}
    assert [name for name in sorted(plugins | {role.name for role in ROLES}) if f"`{name}`" not in readme] == []
