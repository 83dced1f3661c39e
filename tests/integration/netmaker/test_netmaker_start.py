# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a server starts and what it keeps; held against the stand-in and, when it is at hand, the real one."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.base import wait_for
from tests.integration.netmaker.contract import ADMIN
from tests.integration.netmaker.servers import ENVIRONMENT, STAND_IN, Netmaker, kinds, new_host, prepared

GIVEN_UP = 2
BROKER = r"""
import asyncio, sys

async def serve(reader, writer):
    head = await reader.readexactly(2)
    content = await reader.readexactly(head[1])
    good = content.startswith(b"\x00\x04MQTT\x04") and content.endswith(sys.argv[1].encode())
    writer.write(b"\x20\x02\x00" + (b"\x00" if good else b"\x05"))
    await reader.read()
    writer.close()

async def main():
    async with await asyncio.start_server(serve, "127.0.0.1", 1883) as server:
        await server.serve_forever()

asyncio.run(main())
"""
"""A broker that does nothing but check a password."""


@pytest.fixture(params=kinds())
def stopped(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Netmaker]:
    """A server that is not started yet."""
    with prepared(request.param, tmp_path / "server") as server:
        yield server


@pytest.fixture(params=[STAND_IN])
def stopped_standin(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Netmaker]:
    with prepared(request.param, tmp_path / "server") as server:
        server.environment.update(MESSAGEQUEUE_BACKEND="on", NETMAKER_STANDIN_PATIENCE="3")
        yield server


def start_broker(server: Netmaker, password: str) -> None:
    server.namespace.start(sys.executable, "-c", BROKER, password, log=server.directory / "broker.log")


def test_without_its_broker_it_gives_up(stopped: Netmaker) -> None:
    """The real server waits for 30 seconds."""
    stopped.environment.update(MESSAGEQUEUE_BACKEND="on", NETMAKER_STANDIN_PATIENCE="2")
    assert stopped.start(wait=False).ended(60) == GIVEN_UP


def test_a_broker_that_takes_the_login_is_told(stopped_standin: Netmaker) -> None:
    start_broker(stopped_standin, ENVIRONMENT["MQ_PASSWORD"])
    stopped_standin.start()

    def connected() -> bool:
        return bool(stopped_standin.call("GET", "/api/server/status").body["broker_connected"])

    wait_for("the broker to be told", connected)


def test_a_broker_that_refuses_the_login_is_none(stopped_standin: Netmaker) -> None:
    start_broker(stopped_standin, "another password")
    assert stopped_standin.start(wait=False).ended(30) == GIVEN_UP


def test_an_unknown_flag_is_refused(stopped: Netmaker) -> None:
    done = subprocess.run([*stopped.program, "--version"], capture_output=True, timeout=30, check=False)
    assert done.returncode == GIVEN_UP


def test_a_backup_brings_back_everything_also_the_tokens(stopped: Netmaker, tmp_path: Path) -> None:
    server = stopped.start()
    assert server.call("POST", "/api/users/adm/createsuperadmin", ADMIN, token=None).status == 200
    token = server.call("POST", "/api/users/adm/authenticate", ADMIN, token=None).body["Response"]["AuthToken"]
    network = server.network()["netid"]
    node = server.join(network)

    data = server.directory / "data"
    with (
        contextlib.closing(sqlite3.connect(data / "netmaker.db")) as live,
        contextlib.closing(sqlite3.connect(tmp_path / "backup.db")) as backup,
    ):
        live.backup(backup)
    server.stop()
    shutil.rmtree(data)
    data.mkdir()
    shutil.copyfile(tmp_path / "backup.db", data / "netmaker.db")
    server.start()

    assert [item["id"] for item in server.nodes(network)] == [node["id"]]
    assert server.call("GET", "/api/hosts", token=token).status == 200
    assert server.join(network)["address"] != node["address"]
    log_in = {"id": node["hostid"], "password": new_host()["hostpass"], "macaddress": "x"}
    assert server.call("POST", "/api/hosts/adm/authenticate", log_in, token=None).status == 200
