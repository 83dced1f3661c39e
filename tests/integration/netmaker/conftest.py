# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Netmaker servers to test against. A test that runs on the stand-in has "stand-in" in its id."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.integration.netmaker.contract import ADMIN, Members
from tests.integration.netmaker.servers import STAND_IN, Netmaker, kinds, running

Starter = Callable[..., AbstractContextManager[Netmaker]]


@pytest.fixture(scope="module", params=kinds())
def netmaker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Netmaker]:
    """One server for the tests of a module: they make networks of their own."""
    with running(request.param, tmp_path_factory.mktemp("netmaker")) as server:
        yield server


@pytest.fixture(scope="module", params=[STAND_IN])
def shared_standin(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Netmaker]:
    """One stand-in for the tests of a module, quick with what the real server does in the background."""
    with running(request.param, tmp_path_factory.mktemp("netmaker"), NETMAKER_STANDIN_DELAY="0.02") as server:
        yield server


@pytest.fixture
def standin(shared_standin: Netmaker) -> Iterator[Netmaker]:
    """The stand-in, for tests that make it fail. Faults and clock are mended afterwards."""
    yield shared_standin
    shared_standin.forget_faults()
    shared_standin.set_clock(0)


@pytest.fixture(params=[STAND_IN])
def start_standin(request: pytest.FixtureRequest, tmp_path: Path) -> Starter:
    """Starts a stand-in of its own: ``with start_standin(NETMAKER_STANDIN_MFA="on") as server``."""

    def start(**environment: str) -> AbstractContextManager[Netmaker]:
        return running(request.param, tmp_path / "server", **{"NETMAKER_STANDIN_DELAY": "0.02", **environment})

    return start


@pytest.fixture
def members(netmaker: Netmaker) -> Members:
    """A network with two members."""
    network = netmaker.network()["netid"]
    return Members(netmaker, network, netmaker.join(network), netmaker.join(network))


@pytest.fixture(scope="module")
def user_token(netmaker: Netmaker) -> str:
    """Of a superadmin made for it."""
    assert netmaker.call("POST", "/api/users/adm/createsuperadmin", ADMIN, token=None).status == 200
    answer = netmaker.call("POST", "/api/users/adm/authenticate", ADMIN, token=None)
    return str(answer.body["Response"]["AuthToken"])
