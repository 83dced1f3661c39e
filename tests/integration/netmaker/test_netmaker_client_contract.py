# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What netclient's commands leave behind: held against the stand-in and, with NETCLIENT_BINARY, the real one.

Both register with the stand-in server, which speaks TLS as clients demand. Where the two differ the stand-in is wrong.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.base import wait_for
from lab.ledger import Ledger
from lab.netns import Namespace
from tests.integration.netmaker.clients import Client, certificate, client_kinds
from tests.integration.netmaker.servers import PORT, SERVER_NAME, STAND_IN, Netmaker, prepared

SERVER, HOST = "198.51.100.1", "198.51.100.2"
USUAL = ("-p", "51821", "-j", "-o", "box")


@dataclass(frozen=True, slots=True)
class Pair:
    server: Netmaker
    client: Client

    def register(self, token: str, *words: str) -> int:
        return self.client.netclient("register", "-t", token, *words)


@pytest.fixture(scope="module")
def far_end(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Netmaker, Namespace, Path]]:
    """A stand-in server on a wire, and the certificate to trust."""
    directory = tmp_path_factory.mktemp("clients")
    made, key = certificate(directory, SERVER)
    host = f"{SERVER}:{PORT}"
    ledger = Ledger(directory / "ledger")
    with prepared(
        STAND_IN,
        directory / "server",
        SERVER_HTTP_HOST=host,
        SERVER_API_CONN_STRING=host,
        NETMAKER_STANDIN_CERTIFICATE=str(made),
        NETMAKER_STANDIN_KEY=str(key),
    ) as server:
        try:
            fabric = Namespace("nmt-far", ledger).create()
            fabric.add_bridge("wire")
            fabric.connect("wire", server.namespace, "eth0", f"{SERVER}/24")
            yield server.start(), fabric, made
        finally:
            assert ledger.release() == []


@pytest.fixture(params=client_kinds())
def pair(request: pytest.FixtureRequest, far_end: tuple[Netmaker, Namespace, Path], tmp_path: Path) -> Iterator[Pair]:
    """A client that nobody has called yet."""
    server, fabric, made = far_end
    ledger = Ledger(tmp_path / "ledger")
    try:
        space = Namespace("nmt-near", ledger).create()
        fabric.connect("wire", space, "eth0", f"{HOST}/24")
        yield Pair(server, Client(space, tmp_path / "client", made, request.param))
    finally:
        assert ledger.release() == []


def test_the_first_call_makes_an_identity(pair: Pair) -> None:
    assert pair.client.file("netclient.json") is None
    assert pair.client.netclient("version") == 0
    host = pair.client.file("netclient.json")
    assert len(host["publickey"]) == 32
    assert set(host) >= {"id", "name", "hostpass", "listenport", "mtu", "isstatic", "isstaticport", "endpointip"}
    assert set(host) >= {"privatekey", "traffickeyprivate", "autoupdate", "macaddress", "firewallinuse", "version"}
    assert pair.client.run("sh", "-c", "test $(stat -c %a /etc/netclient/netclient.json) = 700") == 0
    assert pair.client.netclient("version") == 0
    assert pair.client.file("netclient.json")["id"] == host["id"]


def test_registering_makes_a_host_and_keeps_the_server(pair: Pair) -> None:
    network = pair.server.network()["netid"]
    assert pair.register(pair.server.key(network)["token"], *USUAL, "-e", HOST, "-i") == 0
    own = pair.client.file("netclient.json")
    host = pair.server.host(own["id"])
    assert host is not None
    fields = ("name", "listenport", "isstaticport", "isstatic", "endpointip")
    assert [host[field] for field in fields] == ["box", 51821, True, True, HOST]
    assert host["publickey"] == base64.b64encode(bytes(own["publickey"])).decode()
    known = pair.client.file("servers.json")[SERVER_NAME]
    assert (known["API"], known["Server"], known["name"]) == (f"{SERVER}:{PORT}", SERVER_NAME, SERVER_NAME)
    assert known["MQPassword"]
    wait_for("the node", lambda: pair.server.node_of(network, own["id"]))


def test_registering_again_resets_what_is_left_out_and_spends_a_use(pair: Pair) -> None:
    network = pair.server.network()["netid"]
    token = pair.server.key(network, uses_remaining=2)["token"]
    assert pair.register(token, *USUAL, "-e", HOST, "-i") == 0
    key = pair.client.file("netclient.json")["id"]
    wait_for("the node", lambda: pair.server.node_of(network, key))
    before = pair.server.node_of(network, key)
    assert pair.register(token, "-o", "renamed") == 0
    host, after = pair.server.host(key), pair.server.node_of(network, key)
    assert host is not None
    assert (host["isstatic"], host["isstaticport"], host["endpointip"], host["name"]) == (False, False, HOST, "box")
    assert before is not None
    assert after is not None
    assert (after["id"], after["address"]) == (before["id"], before["address"])
    assert pair.register(token, *USUAL) == 2


def test_exit_statuses(pair: Pair) -> None:
    refused = base64.b64encode(json.dumps({"server": f"{SERVER}:9", "value": "x"}).encode()).decode()
    assert pair.register("nonsense") == 2
    assert pair.register(base64.b64encode(b"{}").decode()) == 0
    assert pair.register(refused, *USUAL) == 0
    assert pair.client.netclient("register") == 0
    assert pair.client.netclient("register", "-j") == 1
    assert pair.client.netclient("register", "-i") == 1
    assert pair.client.netclient("nonsense") == 1
    assert pair.client.netclient("leave", "nowhere") == 0
    assert pair.client.file("servers.json") in (None, {})


def test_a_server_that_is_not_trusted_is_not_registered_with(pair: Pair, tmp_path: Path) -> None:
    other, _key = certificate(tmp_path, SERVER)
    token = pair.server.key(pair.server.network()["netid"], uses_remaining=1)["token"]
    pair.client.trusted = other
    assert pair.register(token, *USUAL) == 0
    assert pair.client.file("servers.json") in (None, {})
    assert pair.server.host(pair.client.file("netclient.json")["id"]) is None
