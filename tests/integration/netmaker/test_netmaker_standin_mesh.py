# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-ins together: a gateway, two hosts without an endpoint that it relays, and packets between all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from lab.base import wait_for
from lab.ledger import Ledger
from lab.netns import Namespace
from tests.integration.netmaker.clients import Client, certificate
from tests.integration.netmaker.servers import PORT, STAND_IN, Netmaker, prepared

SERVER = "198.51.100.1"
GATEWAY = "198.51.100.2"
LAN = "10.0.9.0/24"
IN_LAN = "10.0.9.1"


@dataclass(frozen=True, slots=True)
class Mesh:
    server: Netmaker
    network: str
    gateway: Client
    one: Client
    two: Client

    def node(self, client: Client) -> dict[str, Any]:
        node = self.server.node_of(self.network, client.file("netclient.json")["id"])
        assert node is not None
        return node

    def address(self, client: Client) -> str:
        return str(self.node(client)["address"]).partition("/")[0]

    def post(self, path: str, body: object = None) -> None:
        answer = self.server.call("POST", path, body)
        assert answer.status == 200, answer


@pytest.fixture(scope="module", params=[STAND_IN])
def wire(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """Everybody is on one wire, but only the gateway says where it can be called."""
    tmp_path = tmp_path_factory.mktemp("mesh")
    made, key = certificate(tmp_path, SERVER)
    host = f"{SERVER}:{PORT}"
    options = {"SERVER_HTTP_HOST": host, "SERVER_API_CONN_STRING": host, "NETMAKER_STANDIN_CERTIFICATE": str(made)}
    ledger = Ledger(tmp_path / "ledger")
    with prepared(request.param, tmp_path / "server", **options, NETMAKER_STANDIN_KEY=str(key)) as server:
        try:
            fabric = Namespace("nmt-fabric", ledger).create()
            fabric.add_bridge("wire")
            fabric.connect("wire", server.namespace, "eth0", f"{SERVER}/24")
            server.start()
            network = server.network()["netid"]
            token = server.key(network)["token"]
            clients = []
            for number, name in enumerate(("gateway", "one", "two"), 2):
                space = Namespace(f"nmt-{name}", ledger).create()
                fabric.connect("wire", space, "eth0", f"198.51.100.{number}/24")
                client = Client(space, tmp_path / name, made).start()
                endpoint = ("-e", GATEWAY, "-i") if name == "gateway" else ()
                assert client.netclient("register", "-t", token, "-p", "51821", "-j", "-o", name, *endpoint) == 0
                wait_for(f"{name}'s address", client.addresses)
                clients.append(client)
            yield Mesh(server, network, *clients)
        finally:
            assert ledger.release() == []


@pytest.fixture
def mesh(wire: Mesh) -> Iterator[Mesh]:
    """Mended afterwards: the server runs, and nobody relays."""
    yield wire
    wire.server.start()
    wire.server.call("DELETE", f"/api/nodes/{wire.network}/{wire.node(wire.gateway)['id']}/gateway")


def test_packets_between_hosts_without_endpoints_go_through_the_gateway(mesh: Mesh) -> None:
    wait_for("the gateway to be reached", lambda: mesh.one.pings(mesh.address(mesh.gateway)))
    assert not mesh.one.pings(mesh.address(mesh.two))

    path = f"/api/nodes/{mesh.network}/"
    gateway = mesh.node(mesh.gateway)["id"]
    mesh.post(f"{path}{gateway}/gateway", {})
    for client in (mesh.one, mesh.two):
        mesh.post(f"{path}{mesh.node(client)['id']}/gateway/assign?gw_id={gateway}")
    wait_for("the relay", lambda: mesh.one.pings(mesh.address(mesh.two)))
    assert mesh.two.pings(mesh.address(mesh.one))

    row = {"name": "lan", "network": mesh.network, "range": LAN, "nodes": {mesh.node(mesh.two)["id"]: 256}}
    mesh.post("/api/v1/egress", row)
    mesh.two.run("ip", "address", "add", f"{IN_LAN}/24", "dev", "lo")
    wait_for("the range behind a relayed host", lambda: mesh.one.pings(IN_LAN))
    assert mesh.one.routes() == [(LAN, 256)]
    assert mesh.gateway.routes() == [(LAN, 256)]

    mesh.server.stop()
    assert mesh.one.pings(IN_LAN)
    mesh.one.stop()
    assert mesh.one.addresses() is None
    mesh.one.start()
    wait_for("the host to come back from its files", lambda: mesh.one.pings(IN_LAN))


def test_the_membership_is_told_by_a_file(mesh: Mesh) -> None:
    node = mesh.one.file("nodes.json")[mesh.network]
    assert node["id"] == mesh.node(mesh.one)["id"]
    assert node["address"] == {"IP": mesh.address(mesh.one), "Mask": "//8AAA=="}
    assert mesh.one.run("sh", "-c", "test $(stat -c %a /etc/netclient/nodes.json) = 700") == 0


def test_a_host_that_leaves_keeps_its_device_without_an_address(mesh: Mesh) -> None:
    before = mesh.node(mesh.one)
    assert mesh.one.netclient("leave", mesh.network) == 0
    assert mesh.one.file("nodes.json") == {}
    wait_for("the address to go", lambda: mesh.one.addresses() == [])
    host = mesh.server.host(before["hostid"])
    assert host is not None
    assert host["nodes"] == []

    token = mesh.server.key(mesh.network)["token"]
    assert mesh.one.netclient("register", "-t", token, "-p", "51821", "-j", "-o", "one") == 0
    wait_for("the address to come back", mesh.one.addresses)
    assert mesh.node(mesh.one)["id"] != before["id"]


def test_leaving_while_the_server_is_away_is_known_to_the_host_only(mesh: Mesh) -> None:
    mesh.server.stop()
    assert mesh.two.netclient("leave", mesh.network) == 0
    wait_for("the address to go", lambda: mesh.two.addresses() == [])
    mesh.server.start()
    wait_for("the server to tell it of its membership again", mesh.two.addresses)


def test_changes_on_the_server_reach_the_host(mesh: Mesh) -> None:
    node = mesh.node(mesh.one)
    changed = {**node, "address": f"{node['address'].rsplit('.', 2)[0]}.200.7/16"}
    assert mesh.server.call("PUT", f"/api/nodes/{mesh.network}/{node['id']}", changed).status == 200
    wanted = changed["address"].partition("/")[0]
    wait_for("the new address", lambda: mesh.one.addresses() == [wanted])
    wait_for("the gateway to know it", lambda: mesh.gateway.pings(wanted))


def test_a_host_that_the_server_removes_forgets_the_network(mesh: Mesh) -> None:
    host = mesh.node(mesh.two)["hostid"]
    assert mesh.server.call("DELETE", f"/api/v1/ui/hosts/{host}?force=true").status == 200
    wait_for("the membership to end", lambda: mesh.two.addresses() == [])
    assert mesh.two.file("nodes.json") == {}
