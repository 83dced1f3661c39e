# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Molecule's scenarios: without a test in its own folder Molecule skips all proofs, and calls that a success."""

from __future__ import annotations

from pathlib import Path

import pytest

SCENARIOS = Path(__file__).resolve().parents[3] / "molecule"


@pytest.mark.parametrize("name", sorted(path.parent.name for path in SCENARIOS.glob("*/molecule.yml")))
def test_scenario_has_tests_of_its_own(name: str) -> None:
    assert list((SCENARIOS / name / "tests").glob("test_*.py"))
