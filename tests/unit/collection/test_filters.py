# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each filter has a file of its own that documents it."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = "ansible_collections.op_dbus.socket_network.plugins.filter"
FILTERS = sorted((ROOT / "plugins" / "filter").glob("*.py"))
NAMES = {"compile_flows", "container_specs", "fleet_inventory", "link_layer"}


def test_the_filters_that_roles_call_exist() -> None:
    assert {path.stem for path in FILTERS} >= NAMES


@pytest.mark.parametrize("path", FILTERS, ids=lambda path: path.stem)
def test_filter_is_documented_where_it_is_written(path: Path) -> None:
    module = importlib.import_module(f"{PACKAGE}.{path.stem}")
    documentation = yaml.safe_load(module.DOCUMENTATION)
    assert list(module.FilterModule().filters()) == [path.stem]
    assert documentation["name"] == path.stem
    assert documentation["version_added"] == "0.1.0"
    assert documentation["options"]["_input"]["description"]
    assert f"op_dbus.socket_network.{path.stem}" in module.EXAMPLES
    assert yaml.safe_load(module.RETURN)["_value"]["description"]
