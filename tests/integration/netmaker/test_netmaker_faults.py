# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules while the server fails: each fault ends in a clear error or a repair, never in a duplicate or a hang."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._errors import SocketNetworkError
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker import client
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker.client import Clock

from lab.base import wait_for
from tests.integration.netmaker.calls import Caller
from tests.integration.netmaker.clients import certificate
from tests.integration.netmaker.conftest import Starter
from tests.integration.netmaker.contract import ADMIN
from tests.integration.netmaker.servers import Netmaker

DAY = 86400
LAN = "172.30.0.0/24"
ONE = "[^/]+"
PROXY = "answer lost behind the proxy"
BROKEN_WRITES: dict[str, dict[str, Any]] = {
    PROXY: {"status": 502, "text": "Bad Gateway", "after": True},
    "connection dropped": {"drop": True, "after": True},
    "server error after the work": {"status": 500, "after": True},
}
STEPS = {
    "host": ("PUT", f"/api/hosts/{ONE}"),
    "join": ("POST", f"/api/hosts/{ONE}/networks/{ONE}"),
    "node": ("PUT", f"/api/nodes/{ONE}/{ONE}"),
    "assign": ("POST", f"/api/nodes/{ONE}/{ONE}/gateway/assign"),
    "egress": ("POST", "/api/v1/egress"),
}
"""The writes that a membership takes, each at its own route."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Whatever happens inside, it does not hang."""
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


@contextmanager
def fails_with(code: str, seconds: float = 20) -> Iterator[None]:
    with within(seconds), pytest.raises(SocketNetworkError) as caught:
        yield
    assert caught.value.result()["error_code"] == code
    assert caught.value.fix


class Membership:
    """A gateway and a host that is known to the server from another network, and the wish to make it a member."""

    def __init__(self, server: Netmaker) -> None:
        self.server = server
        self.modules = Caller(server)
        self.network = str(server.network()["netid"])
        gateway = server.join(self.network, endpointip="192.0.2.10")
        path = f"/api/nodes/{self.network}/{gateway['id']}/gateway"
        assert server.call("POST", path, {}).status == 200
        self.host = str(server.join(str(server.network()["netid"]))["hostid"])
        self.address = f"{gateway['address'].rsplit('.', 1)[0]}.99"
        self.want: dict[str, Any] = {
            "network": self.network,
            "host_id": self.host,
            "join": True,
            "address": self.address,
            "host": {"mtu": 1400},
            "relay_via": gateway["hostid"],
            "egress": [{"range": LAN}],
        }

    def apply(self, **fields: Any) -> dict[str, Any]:
        return self.modules.node(**{**self.want, **fields})

    def check(self) -> None:
        """All is as wished, once, and nothing is left to do."""
        assert self.apply()["actions"] == []
        (node,) = [item for item in self.server.nodes(self.network) if item["hostid"] == self.host]
        assert node["address"] == f"{self.address}/16"
        assert node["isrelayed"] is True
        (row,) = self.server.egress(self.network)
        assert (row["range"], row["nodes"], row["status"]) == (LAN, {node["id"]: 256}, True)


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in is quick, so between two looks at it a tenth of the time will do."""

    def quick() -> Clock:
        return Clock(pause=lambda seconds: time.sleep(seconds / 10))

    monkeypatch.setattr(client, "Clock", quick)


@pytest.fixture
def membership(standin: Netmaker, short_pauses: None) -> Membership:
    assert short_pauses is None
    return Membership(standin)


# ---------------------------------------------------------------- writes whose answer is lost


@pytest.mark.parametrize(
    ("step", "how"), [*((step, PROXY) for step in STEPS), *(("egress", how) for how in BROKEN_WRITES if how != PROXY)]
)
def test_a_write_whose_answer_is_lost_is_not_done_twice(membership: Membership, step: str, how: str) -> None:
    method, path = STEPS[step]
    membership.server.fault(method=method, path=path, **BROKEN_WRITES[how])
    with within(30):
        assert membership.apply()["changed"]
    membership.check()


@pytest.mark.parametrize("step", ["join", "egress"])
def test_a_write_that_was_not_done_is_an_error_and_done_by_the_next_run(membership: Membership, step: str) -> None:
    method, path = STEPS[step]
    membership.server.fault(method=method, path=path, status=502, text="Bad Gateway")
    with fails_with("server_error", 30):
        membership.apply()
    assert membership.apply()["changed"]
    membership.check()


@pytest.mark.parametrize("how", BROKEN_WRITES)
def test_networks_and_keys_are_made_once(standin: Netmaker, how: str) -> None:
    modules = Caller(standin)
    name = f"lost-{len(standin.call('GET', '/api/networks').body)}"
    overlay = f"100.{100 + int(name.partition('-')[2])}.0.0/16"
    standin.fault(method="POST", path="/api/networks", **BROKEN_WRITES[how])
    assert modules.network(netid=name, addressrange=overlay)["changed"]
    assert not modules.network(netid=name, addressrange=overlay)["changed"]
    standin.fault(method="POST", path="/api/v1/enrollment-keys", **BROKEN_WRITES[how])
    made = modules.key(name=f"key-of-{name}", networks=[name], uses=1)
    assert (made["changed"], bool(made["token"])) == (True, True)
    keys = [key["tags"] for key in standin.call("GET", "/api/v1/enrollment-keys").body]
    assert keys.count([f"key-of-{name}"]) == 1
    standin.fault(method="DELETE", path=f"/api/networks/{name}", **BROKEN_WRITES[how])
    assert modules.network(netid=name, state="absent", force=True)["changed"]
    assert standin.call("GET", f"/api/networks/{name}").status == 404


def test_a_membership_whose_end_is_not_answered_has_ended(membership: Membership) -> None:
    membership.apply()
    for path in ("/api/v1/egress", f"/api/hosts/{ONE}/networks/{ONE}"):
        membership.server.fault(method="DELETE", path=path, **BROKEN_WRITES[PROXY])
    with within(30):
        gone = membership.modules.node(network=membership.network, host_id=membership.host, state="absent")
    assert gone["changed"]
    assert membership.server.node_of(membership.network, membership.host) is None
    assert membership.server.egress(membership.network) == []


# ---------------------------------------------------------------- answers that are none


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"status": 401}, "auth_failed"),
        ({"status": 429, "text": "Too many requests"}, "rate_limited"),
        ({"status": 500}, "server_error"),
        ({"status": 404, "text": "404 page not found"}, "route_missing"),
        ({"status": 200, "text": "<html>a dashboard</html>"}, "server_error"),
    ],
    ids=str,
)
def test_reads_that_fail(membership: Membership, fault: dict[str, Any], code: str) -> None:
    membership.server.fault(method="GET", path="/api/hosts", times=99, **fault)
    with fails_with(code):
        membership.apply()
    membership.server.forget_faults()
    membership.apply()
    membership.check()


@pytest.mark.parametrize("fault", [{"status": 502, "text": "Bad Gateway"}, {"status": 503}, {"drop": True}], ids=str)
def test_reads_that_stumble_once_are_read_again(membership: Membership, fault: dict[str, Any]) -> None:
    membership.server.fault(method="GET", path="/api/hosts", **fault)
    membership.apply()
    membership.check()


def test_a_server_that_does_not_answer_in_time_is_an_error(membership: Membership) -> None:
    membership.server.fault(method="GET", path="/api/hosts", times=99, delay=3)
    with fails_with("unreachable", 10):
        membership.apply(timeout=1)


def test_a_slow_write_is_not_done_twice(standin: Netmaker) -> None:
    """The row is made after the module has given up waiting for the answer, and while it looks for it."""
    membership = Membership(standin)
    membership.server.fault(method="POST", path="/api/v1/egress", delay=1.5)
    with within(30):
        membership.apply(timeout=1)
    membership.check()


def test_a_server_that_stops_between_two_tasks(start_standin: Starter) -> None:
    with start_standin() as server:
        membership = Membership(server)
        membership.apply(egress=[])
        server.stop()
        with fails_with("unreachable"):
            membership.apply()
        server.start()
        membership.apply()
        membership.check()


# ---------------------------------------------------------------- what others did behind our back


def test_a_node_that_was_deleted_is_joined_again_with_address_and_egress(membership: Membership) -> None:
    membership.apply()
    (node,) = [item for item in membership.server.nodes(membership.network) if item["hostid"] == membership.host]
    path = f"/api/nodes/{membership.network}/{node['id']}?force=true"
    assert membership.server.call("DELETE", path).status == 200
    with fails_with("node_timeout"):
        membership.apply(join=False, wait_timeout=1)
    assert membership.apply()["changed"]
    membership.check()


@pytest.mark.parametrize(
    ("copies", "edit"),
    [(0, {"status": False}), (0, {"nodes": {}}), (2, {}), (2, {"status": False, "name": "mine", "nat": True})],
    ids=str,
)
def test_an_egress_row_that_was_edited_or_copied_is_mended(
    membership: Membership, copies: int, edit: dict[str, Any]
) -> None:
    membership.apply()
    (row,) = membership.server.egress(membership.network)
    for _copy in range(copies):
        assert membership.server.call("POST", "/api/v1/egress", row).status == 200
    assert membership.server.call("PUT", "/api/v1/egress", {**row, **edit}).status == 200
    assert membership.apply()["changed"]
    membership.check()


def test_a_host_name_that_two_have_is_refused_and_the_id_taken(membership: Membership) -> None:
    own = membership.server.host(membership.host)
    assert own is not None
    membership.server.join(membership.network, name=own["name"])
    with fails_with("host_ambiguous"):
        membership.modules.node(network=membership.network, host_name=own["name"], join=True)
    membership.apply()
    membership.check()


# ---------------------------------------------------------------- keys and clocks


def test_a_key_that_has_expired_is_told_and_renewed(standin: Netmaker) -> None:
    modules = Caller(standin)
    network = str(standin.network()["netid"])
    body = {"tags": [f"short-{network}"], "networks": [network], "expiration": int(time.time()) + 2}
    assert standin.call("POST", "/api/v1/enrollment-keys", body).status == 200
    want: dict[str, Any] = {"name": f"short-{network}", "networks": [network], "expires_at": int(time.time()) + DAY}

    def state() -> str:
        keys = modules.info(gather=["enrollment_keys"])["enrollment_keys"]
        return str(next(key["state"] for key in keys if key["name"] == want["name"]))

    wait_for("the key to end", lambda: state() == "expired")
    assert modules.key(**want, renew=True)["changed"]
    assert state() == "valid"


@pytest.mark.parametrize("skew", [-2 * DAY, 2 * DAY])
def test_a_server_whose_clock_is_wrong(standin: Netmaker, skew: int) -> None:
    """Memberships work whatever the clocks say. A key that ends before it begins is refused in clear words."""
    standin.set_clock(skew)
    membership = Membership(standin)
    membership.apply()
    membership.check()
    want: dict[str, Any] = {
        "name": f"skew-{membership.network}",
        "networks": [membership.network],
        "expires_at": int(time.time()) + DAY,
    }
    if skew > 0:
        with fails_with("server_error"):
            membership.modules.key(**want)
    else:
        assert membership.modules.key(**want)["token"]
        assert not membership.modules.key(**want)["changed"]


# ---------------------------------------------------------------- credentials and TLS


def test_a_login_with_a_second_factor_is_told(start_standin: Starter) -> None:
    with start_standin(NETMAKER_STANDIN_MFA="on") as server:
        assert server.call("POST", "/api/users/adm/createsuperadmin", ADMIN, token=None).status == 200
        with fails_with("mfa_required"):
            Caller(server, master_key=None, **ADMIN).info(gather=[])


def test_a_login_that_comes_too_often_is_told(standin: Netmaker) -> None:
    standin.call("POST", "/api/users/adm/createsuperadmin", ADMIN, token=None)
    standin.fault(path="/api/users/adm/authenticate", status=429, text="Too many requests")
    with fails_with("rate_limited"):
        Caller(standin, master_key=None, **ADMIN).info(gather=[])


def test_a_token_that_ran_out_is_told(standin: Netmaker) -> None:
    standin.call("POST", "/api/users/adm/createsuperadmin", ADMIN, token=None)
    token = standin.call("POST", "/api/users/adm/authenticate", ADMIN, token=None).body["Response"]["AuthToken"]
    standin.set_clock(30 * DAY)
    with fails_with("auth_failed"):
        Caller(standin, master_key=None, api_token=token).network(netid="x", addressrange="100.90.0.0/16")


def test_a_certificate_that_nobody_signed_is_told(start_standin: Starter, tmp_path: Path) -> None:
    made, key = certificate(tmp_path, "127.0.0.1")
    with start_standin(NETMAKER_STANDIN_CERTIFICATE=str(made), NETMAKER_STANDIN_KEY=str(key)) as server:
        with fails_with("tls_failed"):
            Caller(server).info(gather=[])
        assert Caller(server, ca_path=str(made)).info(gather=[])["server_version"] == "v1.5.1"


@pytest.mark.parametrize("version", ["v1.4.0", "v0.99.0"])
def test_an_older_server_is_understood(start_standin: Starter, version: str) -> None:
    with start_standin(NETMAKER_STANDIN_VERSION=version) as server:
        membership = Membership(server)
        membership.apply()
        membership.check()
        wanted: dict[str, Any] = {"netid": membership.network, "auto_remove": False}
        assert not membership.modules.network(**wanted)["changed"]
        gone: dict[str, Any] = {
            "network": membership.network,
            "host_id": membership.host,
            "state": "absent",
            "purge_host": True,
        }
        assert membership.modules.node(**gone)["changed"]


def test_a_server_too_old_is_refused(start_standin: Starter) -> None:
    with start_standin(NETMAKER_STANDIN_VERSION="v0.90.0") as server, fails_with("unsupported_version"):
        Caller(server).network(netid="x", addressrange="100.91.0.0/16")
