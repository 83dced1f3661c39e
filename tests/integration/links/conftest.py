# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Namespaces that are a host, and a host that is booted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.host import Host
from tests.integration.links.wires import Wires


@pytest.fixture
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wires]:
    """Links, rules and routes, but no filter yet, and the bridge ends still on the host."""
    wires = Wires(tmp_path_factory.mktemp("wires"))
    try:
        wires.build()
        yield wires
    finally:
        assert wires.ledger.release() == []


@pytest.fixture
def wires(bare: Wires) -> Wires:
    """The same with the filter and the container."""
    bare.load()
    bare.plug()
    return bare


@pytest.fixture(scope="session")
def booted() -> Iterator[Host]:
    with Host("links") as host:
        yield host
