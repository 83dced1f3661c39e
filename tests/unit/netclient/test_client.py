# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans for netclient on a host: what is written, what is started, and what its files tell."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._errors import RefusedError, SocketNetworkError
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netclient import layout
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netclient.driver import Driver, Wanted
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netclient.service import run_client
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netclient.state import read_state
from ansible_collections.op_dbus.socket_network.plugins.module_utils._runner import Result, checked

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


class FakeRunner:
    """A host whose unit is in ``state``; remembers what was run."""

    def __init__(self, active: bool = False) -> None:
        self.active = active
        self.ran: list[str] = []

    def run(self, argv: Sequence[str], *, stdin: str | None = None, ok: Sequence[int] = (0,), what: str = "") -> Result:
        self.ran.append(f"{' '.join(argv)}{stdin or ''}")
        unit = "active" if self.active else "inactive"
        lines = {"Id": layout.UNIT, "LoadState": "loaded", "ActiveState": unit, "NeedDaemonReload": "no"}
        lines["UnitFileState"] = "enabled" if self.active else "disabled"
        lines["ExecMainStartTimestamp"] = "Fri 2100-01-01 00:00:00.000000 UTC" if self.active else ""
        text = (
            "".join(f"{name}={value}\n" for name, value in lines.items())
            if argv[0] == "systemctl" and argv[1] == "show"
            else ""
        )
        return checked(Result(tuple(argv), 0, text, ""), ok, what)


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of the host are below this directory."""
    for name in ("UNIT_PATH", "PROGRAM", "DIRECTORY", "CA_PATH", "HOSTS_PATH"):
        monkeypatch.setattr(layout, name, f"{tmp_path}{getattr(layout, name)}")
    monkeypatch.setattr(layout, "DEVICE", "none-such")
    Path(layout.HOSTS_PATH).parent.mkdir()
    Path(layout.HOSTS_PATH).write_text("127.0.0.1 localhost\n")
    return tmp_path


def install() -> None:
    Path(layout.PROGRAM).parent.mkdir(exist_ok=True)
    Path(layout.PROGRAM).touch()


def wanted(**values: Any) -> Wanted:
    return Wanted(**{"network": "mesh", "name": "home", "listen_port": 51821, **values})


def driver(runner: FakeRunner, check: bool = False, wait: float = 0.0) -> Driver:
    return Driver(runner, wait, check, layout.DIRECTORY)


def test_fresh_host_is_planned_without_the_program_in_check_mode_only() -> None:
    assert driver(FakeRunner(), check=True).plan_present(wanted()).actions == [
        f"create {layout.UNIT_PATH}",
        "reload systemd",
        "enable netclient.service",
        "start netclient.service",
    ]
    with pytest.raises(RefusedError, match="netclient is not on this host"):
        driver(FakeRunner()).plan_present(wanted())


def test_second_run_does_nothing_and_asks_the_program_nothing() -> None:
    install()
    settings = {"certificate": CERTIFICATE, "hosts": {"api.example": "192.0.2.1"}, "refuse_lookups": True}
    driver(FakeRunner()).plan_present(wanted(**settings)).apply()
    runner = FakeRunner(active=True)
    assert driver(runner).plan_present(wanted(**settings)).actions == []
    assert [line.split()[1] for line in runner.ran] == ["show"]


def test_new_ca_is_trusted_before_the_client_is_restarted() -> None:
    install()
    driver(FakeRunner()).plan_present(wanted()).apply()
    plan = driver(FakeRunner(active=True)).plan_present(wanted(certificate=CERTIFICATE))
    assert plan.actions == [f"create {layout.CA_PATH}", "trust the CA", "restart netclient.service"]


def test_key_of_a_ca_is_refused() -> None:
    with pytest.raises(RefusedError, match="give the certificate of the CA alone"):
        layout.certificate_file(CERTIFICATE + "-----BEGIN PRIVATE KEY-----\n")


def test_unit_does_not_sleep() -> None:
    text = layout.unit_file("/sbin/netclient").content
    assert "ExecStart=/sbin/netclient daemon\nRestart=always\n" in text
    assert "sleep" not in text


def test_hosts_file_keeps_what_others_wrote() -> None:
    path = Path(layout.HOSTS_PATH)
    first = layout.hosts_file(str(path), {"api.example": "192.0.2.1"}, False)
    path.write_text(first.content + "192.0.2.9 later\n")
    second = layout.hosts_file(str(path), {"api.example": "192.0.2.2"}, True)
    lines = second.content.splitlines()
    assert lines[:2] == ["127.0.0.1 localhost", "192.0.2.9 later"]
    refused = [line.split()[1] for line in lines if line.startswith("255.255.255.255 ")]
    assert ("192.0.2.2 api.example" in lines, len(lines)) == (True, 8)
    assert refused == ["icanhazip.com", "ifconfig.me", "myexternalip.com"]
    path.write_text(second.content)
    assert layout.hosts_file(str(path), {}, False).content == "127.0.0.1 localhost\n192.0.2.9 later\n"


def test_state_is_told_as_the_api_tells_it() -> None:
    directory = Path(layout.DIRECTORY)
    directory.mkdir()
    host = {"id": "5f", "name": "home", "listenport": 51821, "publickey": list(range(32)), "privatekey": "SECRET"}
    node = {"address": {"IP": "10.100.0.2", "Mask": "//8AAA=="}, "connected": True}
    (directory / "netclient.json").write_text(json.dumps(host))
    (directory / "nodes.json").write_text(json.dumps({"mesh": node, "other": {}}))
    state = read_state(str(directory))
    assert state.public_key == base64.b64encode(bytes(range(32))).decode()
    assert state.addresses == {"mesh": "10.100.0.2", "other": ""}
    assert "SECRET" not in repr(state)


def test_broken_file_is_named() -> None:
    Path(layout.DIRECTORY).mkdir()
    Path(layout.DIRECTORY, "nodes.json").write_text("{")
    with pytest.raises(SocketNetworkError, match=r"nodes\.json is not JSON"):
        read_state(layout.DIRECTORY)


@pytest.mark.parametrize(
    ("endpoint", "more"), [(None, []), ("192.0.2.10", ["-e", "192.0.2.10", "-i"])], ids=["behind NAT", "public"]
)
def test_arguments_of_register_fix_the_port_and_hold_no_key(endpoint: str | None, more: list[str]) -> None:
    want = wanted(endpoint=endpoint, token="SECRET")
    assert want.register[1:] == ["register", "-t", "(hidden)", "-p", "51821", "-j", "-o", "home", *more]
    assert "SECRET" not in repr(want)


def program(script: str) -> None:
    install()
    Path(layout.PROGRAM).write_text(f"#!/bin/sh\nmkdir -p {layout.DIRECTORY}\n{script}\n")
    Path(layout.PROGRAM).chmod(0o755)


def test_joining_is_judged_by_what_netclient_wrote() -> None:
    program(f"""echo '{{"mesh": {{"address": {{"IP": "10.100.0.7"}}}}}}' > {layout.DIRECTORY}/nodes.json; exit 2""")
    plan = driver(FakeRunner(active=True)).plan_present(wanted(token="SECRET"))
    assert plan.actions[-1] == "join mesh"
    plan.apply()
    assert read_state(layout.DIRECTORY).addresses == {"mesh": "10.100.0.7"}


def test_failed_joining_tells_what_netclient_said_without_the_key() -> None:
    program('echo "registration failed for $3"; exit 0')
    with pytest.raises(SocketNetworkError, match=r"with 0 and said: registration failed for \(hidden\)\. It has not"):
        driver(FakeRunner(active=True)).plan_present(wanted(token="SECRET")).apply()


def test_everything_that_was_made_is_removed_again() -> None:
    install()
    settings = {"certificate": CERTIFICATE, "hosts": {"api.example": "192.0.2.1"}}
    driver(FakeRunner()).plan_present(wanted(**settings)).apply()
    Path(layout.DIRECTORY).mkdir()
    driver(FakeRunner(active=True)).plan_absent().apply()
    left = [
        path for path in (layout.UNIT_PATH, layout.PROGRAM, layout.DIRECTORY, layout.CA_PATH) if Path(path).exists()
    ]
    assert left == []
    assert Path(layout.HOSTS_PATH).read_text() == "127.0.0.1 localhost\n"
    assert driver(FakeRunner()).plan_absent().actions == []


def test_check_mode_changes_nothing(root: Path) -> None:
    before = sorted(root.rglob("*"))
    params = {"state": "present", "network": "mesh", "name": "home", "listen_port": 1, "endpoint": None, "token": "T"}
    more = {"ca_certificate": "", "hosts": {}, "refuse_lookups": False, "wait_address": None, "wait_handshake": False}
    result = run_client(FakeRunner(), {**params, **more, "wait_timeout": 1}, check=True)
    assert (result["changed"], result["joined"], result["actions"][-1]) == (True, False, "join mesh")
    assert sorted(root.rglob("*")) == before


def test_network_that_does_not_come_is_an_error() -> None:
    with pytest.raises(SocketNetworkError, match=r"has not got the address 10\.100\.0\.2 within 0 s"):
        driver(FakeRunner()).wait_for("mesh", "10.100.0.2", handshake=False)


def test_device_gets_its_routes_again_when_the_address_came(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel dropped them with the address that the host had before."""
    Path(layout.DIRECTORY).mkdir()
    Path(layout.DIRECTORY, "nodes.json").write_text('{"mesh": {"address": {"IP": "10.100.0.2"}}}')
    monkeypatch.setattr(Driver, "_device_addresses", lambda _driver: "inet 10.100.0.2/16")
    runner = FakeRunner()
    driver(runner).wait_for("mesh", "10.100.0.2", handshake=False)
    assert runner.ran[-1] == f"networkctl reconfigure {layout.DEVICE}"
