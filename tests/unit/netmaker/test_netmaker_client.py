# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client against a server that fails in every way: what is tried again, what is not, and what errors say."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._errors import SocketNetworkError
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker.errors import CODES, NetmakerError
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker.options import connection_of
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker.server import probe

from tests.unit.netmaker.doubles import DROP, MASTER_KEY, STATUS, FakeTime, client, connection, envelope, serving


@pytest.mark.parametrize("stumble", [(502, "Bad Gateway"), (503, ""), (504, "slow"), DROP])
def test_reads_are_tried_three_times(stumble: tuple[int, str] | str) -> None:
    time = FakeTime()
    with serving(stumble, stumble, (200, [1])) as server:
        assert client(server.url, time).get("/x", what="reading") == [1]
        assert (len(server.seen), time.pauses) == (3, [0.5, 1.0])
    with serving(stumble) as server, pytest.raises(NetmakerError):
        client(server.url).get("/x", what="reading")
    assert len(server.seen) == 3


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
def test_reads_are_not_tried_again_where_that_cannot_help(status: int) -> None:
    with serving(envelope(status, "no")) as server, pytest.raises(NetmakerError):
        client(server.url).get("/x", what="reading")
    assert len(server.seen) == 1


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize("stumble", [(502, "Bad Gateway"), envelope(500, "no"), DROP])
def test_writes_are_sent_once_and_their_outcome_is_unknown(method: str, stumble: tuple[int, str] | str) -> None:
    with serving(stumble) as server, pytest.raises(NetmakerError) as caught:
        client(server.url).send(method, "/x", {}, what="writing")
    assert (server.methods, caught.value.uncertain) == ([method], True)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (envelope(401, "unauthorized"), "auth_failed"),
        (envelope(403, "forbidden"), "auth_failed"),
        ((429, "Too Many Requests"), "rate_limited"),
        ((404, "404 page not found\n"), "route_missing"),
        (envelope(404, "record not found"), "not_found"),
        (envelope(400, "key names must be unique"), "key_name_taken"),
        (envelope(400, "network cidr already in use"), "cidr_overlap"),
        (envelope(400, "can only set one routing node on CE"), "ce_limit"),
        (envelope(400, "ip specified is already allocated:  10.0.0.1/16"), "address_in_use"),
        (envelope(500, "invalid address provided; out of network range for node"), "out_of_range"),
        (envelope(500, "no result found"), "server_error"),
        ((302, ""), "unreachable"),
        ((200, "<html>dashboard</html>"), "server_error"),
    ],
)
def test_errors_are_told_apart(answer: tuple[int, str], code: str) -> None:
    with serving(answer) as server, pytest.raises(NetmakerError) as caught:
        client(server.url).send("POST", "/x", {}, what="writing a thing")
    assert caught.value.result() == {"error_code": code, "status": answer[0]}
    assert code in CODES
    assert "writing a thing" in str(caught.value)
    assert caught.value.fix


def test_nobody_there() -> None:
    with serving((200, "")) as server:
        url = server.url
    with pytest.raises(NetmakerError, match="Connection refused") as caught:
        client(url).get("/x", what="reading")
    assert caught.value.result() == {"error_code": "unreachable"}


def test_tls_that_cannot_be_trusted() -> None:
    """A server that does not speak TLS at all stands for every failure of the handshake."""
    with serving((200, "")) as server, pytest.raises(NetmakerError) as caught:
        client(server.url.replace("http:", "https:")).get("/x", what="reading")
    assert caught.value.code == "tls_failed"


def test_authority_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(NetmakerError) as caught:
        client("https://127.0.0.1:1", ca_path=str(tmp_path / "ca.pem"))
    assert caught.value.code == "tls_failed"
    with pytest.raises(SocketNetworkError, match="not a file"):
        connection_of(connection(ca_path=str(tmp_path)))


def test_secrets_stay_out_of_messages() -> None:
    """Whatever the server repeats: the credential, as it is or quoted, and what the client was told to hide."""
    said = f"{MASTER_KEY} very%2Fsecret%2Bmaster%20key token-1"
    with serving(envelope(500, said)) as server:
        asking = client(server.url)
        asking.hide("token-1")
        with pytest.raises(NetmakerError) as caught:
            asking.get("/x", what="reading")
    assert "******** ******** ********" in str(caught.value)
    assert MASTER_KEY not in repr(asking.connection)


def test_credential_goes_to_the_server_and_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither ~/.netrc nor a proxy nor a redirect takes part."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with serving((200, []), (301, "")) as server:
        asking = client(server.url, tenant_id="t-1")
        asking.get("/x", what="reading", network="a b&c")
        with pytest.raises(NetmakerError, match="redirect"):
            asking.get("/x", what="reading")
    _method, path, headers, _body = server.seen[0]
    assert (path, headers["Authorization"]) == ("/x?network=a+b%26c", f"Bearer {MASTER_KEY}")
    assert headers["X-Tenant-ID".title()] == "t-1"
    assert len(server.seen) == 2


def test_answers_of_every_shape() -> None:
    shapes: list[tuple[tuple[int, object], object]] = [
        ((200, ""), None),
        ((200, "null"), None),
        (envelope(200, "fine", [1]), [1]),
        ((200, {"Code": 1}), {"Code": 1}),
        ((200, "false"), False),
    ]
    for answer, found in shapes:
        with serving(answer) as server:
            assert client(server.url).get("/x", what="reading") == found


@pytest.mark.parametrize(
    "url",
    ["api.example.org", "ftp://api.example.org", "http://192.0.2.1:8081", "https://u:p@example.org", "https://e/?a=b"],
)
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(SocketNetworkError) as caught:
        connection_of(connection(api_url=url))
    assert caught.value.result() == {"error_code": "invalid_value"}


@pytest.mark.parametrize("url", ["https://api.example.org/", "https://api.example.org/api", "https://api.example.org"])
def test_address_may_name_the_api(url: str) -> None:
    assert connection_of(connection(api_url=url)).url == "https://api.example.org"


@pytest.mark.parametrize(
    ("version", "number"), [("v1.5.1", (1, 5, 1)), ("0.99.0", (0, 99, 0)), ("v1.6.0-rc1", (1, 6, 0)), ("dev", None)]
)
def test_versions_that_will_do(version: str, number: tuple[int, int, int] | None) -> None:
    with serving((200, {**STATUS, "version": version})) as server:
        assert probe(client(server.url)).number == number


@pytest.mark.parametrize("answer", [{**STATUS, "version": "v0.98.9"}, {"hello": "world"}, []])
def test_servers_that_will_not_do(answer: object) -> None:
    with serving((200, answer)) as server, pytest.raises(NetmakerError) as caught:
        probe(client(server.url))
    assert caught.value.code == "unsupported_version"


def test_broker_that_is_gone_is_told() -> None:
    with serving((200, {**STATUS, "broker_connected": False})) as server:
        assert "broker" in probe(client(server.url)).warnings[0]
