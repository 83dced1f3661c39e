# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A role's argument specs and its defaults are one truth told twice; this holds them together."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted(path for path in (ROOT / "roles").glob("*") if path.is_dir())
FILES = ("defaults/main.yml", "meta/argument_specs.yml", "meta/main.yml", "tasks/main.yml", "README.md")
TYPES: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "dict": (dict,),
    "float": (float, int),
    "int": (int,),
    "list": (list,),
    "path": (str,),
    "raw": (object,),
    "str": (str,),
}
by_name = pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


def options(role: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = load(role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
    return found


def test_there_are_roles() -> None:
    assert {role.name for role in ROLES} >= {"lxc_service", "socket_bridge", "warp"}


@by_name
def test_role_has_its_files(role: Path) -> None:
    assert [name for name in FILES if not (role / name).is_file()] == []


@by_name
def test_specs_and_defaults_name_the_same_variables(role: Path) -> None:
    optional = {name for name, option in options(role).items() if not option.get("required")}
    assert optional == set(load(role / "defaults" / "main.yml"))


@by_name
def test_specs_and_defaults_have_the_same_values(role: Path) -> None:
    defaults = load(role / "defaults" / "main.yml")
    told = {name: option.get("default") for name, option in options(role).items() if not option.get("required")}
    assert told == defaults


@by_name
def test_defaults_have_the_type_of_their_spec(role: Path) -> None:
    specs = options(role)
    defaults = load(role / "defaults" / "main.yml")
    wrong = [
        name
        for name, value in defaults.items()
        if value is not None and "{{" not in str(value) and not fits(value, specs[name]["type"])
    ]
    assert wrong == []


def fits(value: object, kind: str) -> bool:
    """Whether a default is of the type that its spec names; a boolean is no number here, though Python says so."""
    return isinstance(value, TYPES[kind]) and not (isinstance(value, bool) and kind in {"int", "float"})


@by_name
def test_every_option_is_described(role: Path) -> None:
    assert undescribed("", options(role)) == []


def undescribed(prefix: str, specs: dict[str, dict[str, Any]]) -> list[str]:
    """Dotted names of the options, at any depth, that lack a description or a type."""
    faults: list[str] = []
    for name, option in specs.items():
        if not {"description", "type"} <= set(option):
            faults.append(prefix + name)
        faults += undescribed(f"{prefix}{name}.", option.get("options", {}))
    return faults


@by_name
def test_public_variables_carry_the_name_of_the_role(role: Path) -> None:
    assert [name for name in options(role) if not name.startswith(f"{role.name}_")] == []


@by_name
def test_every_variable_is_used(role: Path) -> None:
    """By a task, handler or template of some role, or by the core, which reads the inventory of all hosts."""
    users = [path for path in (ROOT / "roles").rglob("*") if path.is_file() and is_user(path)]
    users += (ROOT / "plugins").rglob("*.py")
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in users]
    unused = [name for name in options(role) if not any(re.search(rf"\b{name}\b", text) for text in texts)]
    assert unused == []


def is_user(path: Path) -> bool:
    return bool({"tasks", "handlers", "templates", "vars"} & set(path.parts))


@by_name
def test_every_variable_used_is_declared(role: Path) -> None:
    own = re.compile(rf"(?<![\w.]){role.name}_[a-z][a-z0-9_]*\b(?!\s*\()")
    declared = set(options(role))
    used = {
        name
        for path in role.rglob("*")
        if path.is_file() and is_user(path) and path.suffix in {".yml", ".j2"}
        for line in path.read_text(encoding="utf-8").splitlines()
        for name in own.findall(line.partition(" # ")[0])
    }
    assert used - declared == set()
