# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A runner for each test."""

from __future__ import annotations

import pytest

from tests.unit.lxc.sample_container import Recorded


@pytest.fixture
def runner() -> Recorded:
    return Recorded()
