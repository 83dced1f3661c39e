# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions, secrets in files, unit states, settings and the check of the inventory, without a host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._errors import RefusedError
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker.errors import NetmakerError
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker_server import first_start, machine
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker_server.credentials import (
    environment_line,
    password_file,
    password_line,
)
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker_server.layout import SETTINGS, Wanted
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker_server.texts import caddyfile
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker_server.validate import server_faults
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker_server.versions import (
    check_program,
    check_step,
)
from ansible_collections.op_dbus.socket_network.plugins.module_utils._runner import Result


def wanted(**changes: Any) -> Wanted:
    given: dict[str, Any] = {
        **{"program": "/usr/local/lib/netmaker-1.5.1", "version": "1.5.1", "domain": "nm.example.org"},
        **{"address": "192.0.2.10", "api_port": 443, "broker_port": 8883, "admin": "admin", "master_key": "m" * 20},
        **{"admin_password": "a" * 20, "broker_password": "b" * 20, "certificate": None, "key": None},
        **{"settings": {}, "backups": "/var/backups/netmaker", "keep": 14},
    }
    return Wanted(**{**given, **changes})


class TestVersions:
    @pytest.mark.parametrize(
        ("found", "target"),
        [("v1.5.1", "1.5.1"), ("1.5.0", "1.5.1"), ("v1.5.1", "1.6.0"), ("1.6.0", "1.7.2"), ("dev", "1.7.0")],
    )
    def test_next_ones_pass(self, found: str, target: str) -> None:
        check_step(found, target)

    @pytest.mark.parametrize(
        ("found", "target", "reason"),
        [
            ("v1.5.1", "1.5.0", "a downgrade"),
            ("v1.6.0", "1.5.9", "a downgrade"),
            ("v1.5.1", "1.7.0", "install the latest 1.6.x first"),
            ("v1.5.1", "2.0.0", "each minor version"),
            ("v1.5.1", "latest", "netmaker_version is 'latest'"),
            ("v1.5.1", "0.24.3", "0.99.0 or newer"),
        ],
    )
    def test_others_are_refused_by_name(self, found: str, target: str, reason: str) -> None:
        with pytest.raises(RefusedError, match=reason):
            check_step(found, target)

    def test_program_is_what_the_inventory_says(self) -> None:
        check_program("v1.5.1", "1.5.1", "/program")
        with pytest.raises(RefusedError, match=r"reports version v1\.6\.0, but netmaker_version is 1\.5\.1"):
            check_program("v1.6.0", "1.5.1", "/program")


class TestSecrets:
    def test_line_has_the_form_that_mosquitto_reads(self) -> None:
        """A broker takes such a line: tests/integration/netmaker/test_netmaker_role_server.py."""
        salt = bytes(range(12))
        assert password_line("netmaker", "secret", salt) == (
            "netmaker:$7$101$AAECAwQFBgcICQoL$"
            "Xr99N9ym9ys8TWxis5ajETJq6EVYzmc6nb8t3pUYnPBbCAbICS4xejTltonXWCtJNBvA+By+TXUqU6qCblO00w==\n"
        )

    def test_file_stays_while_its_password_is_the_wanted_one(self) -> None:
        first = password_file(None, "netmaker", "secret")
        assert password_file(first, "netmaker", "secret") == first
        assert password_file(None, "netmaker", "secret") != first

    @pytest.mark.parametrize("change", ["", "netmaker:x\n", "other:$7$101$AAEC$AAEC\n", "netmaker:$7$101$%%$AAEC\n"])
    def test_another_file_is_replaced(self, change: str) -> None:
        assert password_file(change, "netmaker", "secret").startswith("netmaker:$7$101$")
        first = password_file(None, "netmaker", "secret")
        assert password_file(first + first, "netmaker", "secret") != first + first
        assert password_file(first, "netmaker", "other") != first

    def test_value_in_the_environment_is_quoted_as_systemd_reads_it(self) -> None:
        assert environment_line("KEY", 'a$b`c"d\\e f#') == 'KEY="a\\$b\\`c\\"d\\\\e f#"\n'
        with pytest.raises(RefusedError, match="KEY has a line break"):
            environment_line("KEY", "one\ntwo")


SHOWN = """\
Id=netmaker.service
LoadState=loaded
ActiveState=active
UnitFileState=enabled
NeedDaemonReload=no
ExecMainStartTimestamp=Sun 2026-11-22 07:14:13.250000 UTC

Id=caddy.service
LoadState=not-found
ActiveState=inactive
UnitFileState=
NeedDaemonReload=no
ExecMainStartTimestamp=
"""


class Recorded:
    """A runner that always answers the same."""

    def __init__(self, text: str) -> None:
        self.text = text

    def run(self, argv: Any, **_how: Any) -> Result:
        return Result(tuple(argv), 0, self.text, "")


def test_units_are_read(tmp_path: Any) -> None:
    units = machine.read_units(Recorded(SHOWN), ["netmaker.service", "caddy.service", "never-heard-of.service"])
    server, caddy = units["netmaker.service"], units["caddy.service"]
    assert (server.active, server.enabled, server.started) == (True, True, 1795331653.25)
    assert (caddy.loaded, caddy.active, caddy.enabled, caddy.started) == (False, False, False, 0.0)
    assert units["never-heard-of.service"].loaded is False
    (tmp_path / "file").write_text("")
    written = (tmp_path / "file").stat().st_ctime
    assert machine.Unit("x", started=written - 1).older_than([str(tmp_path / "file"), str(tmp_path / "none")])
    assert not machine.Unit("x", started=written + 1).older_than([str(tmp_path / "file")])


class FakeClient:
    """A server with one superadmin at most, and settings; ``lose`` makes it forget what it is sent."""

    def __init__(self, *, admin: bool = False, lose: bool = False, after: NetmakerError | None = None) -> None:
        self.admin, self.lose, self.after = admin, lose, after
        self.settings: dict[str, Any] = {
            **dict.fromkeys(SETTINGS, True),
            "metric_interval": "15",
            "other": 7,
        }
        self.sent: list[tuple[str, str]] = []

    def hide(self, *_secrets: str) -> None: ...

    def get(self, path: str, **_how: str) -> Any:
        return self.admin if path.endswith("hassuperadmin") else dict(self.settings)

    def send(self, method: str, path: str, body: Any = None, **_how: str) -> Any:
        self.sent.append((method, path))
        if not self.lose:
            self.admin = self.admin or path.endswith("createsuperadmin")
            self.settings.update(body if path.endswith("settings") else {})
        if self.after:
            raise self.after


def plan(client: FakeClient, **changes: Any) -> tuple[list[str], Callable[[], None], list[str]]:
    """Actions, what applies them, and the restarts of the server on the way."""
    restarts: list[str] = []
    found = first_start.plan(client, wanted(**changes), lambda: restarts.append("restart"))  # type: ignore[arg-type]
    return found.actions, found.apply, restarts


class TestFirstStart:
    def test_superadmin_and_settings_once(self) -> None:
        client = FakeClient()
        actions, apply, restarts = plan(client)
        assert actions == [
            "make superadmin admin",
            "set endpoint_detection, manage_dns, netclientautoupdate, stun, telemetry",
        ]
        apply()
        assert (client.settings["other"], client.settings["stun"], restarts) == (7, False, [])
        assert plan(client)[0] == []

    def test_broken_answer_after_a_write_is_looked_at_again(self) -> None:
        client = FakeClient(after=NetmakerError("server_error", "502", uncertain=True))
        plan(client)[1]()
        assert plan(client)[0] == []
        with pytest.raises(NetmakerError, match="does not have it"):
            plan(FakeClient(lose=True))[1]()
        with pytest.raises(NetmakerError, match="did not keep the settings endpoint_detection"):
            plan(FakeClient(admin=True, lose=True))[1]()

    def test_refusal_is_told(self) -> None:
        with pytest.raises(NetmakerError, match="no"):
            plan(FakeClient(after=NetmakerError("auth_failed", "no")))[1]()

    def test_server_is_started_anew_after_the_setting_that_ends_it(self) -> None:
        actions, apply, restarts = plan(FakeClient(), settings={"metric_interval": "30"})
        assert "metric_interval" in actions[1]
        apply()
        assert restarts == ["restart"]

    def test_settings_that_cannot_be_compared_or_do_not_exist_are_refused(self) -> None:
        for name in ("client_secret", "no_such_setting"):
            with pytest.raises(RefusedError, match=name):
                plan(FakeClient(), settings={name: "x"})


def test_front_is_closed_until_told() -> None:
    closed, public = caddyfile(wanted(), public=False), caddyfile(wanted(api_port=8443))
    assert "reverse_proxy" not in closed
    assert "https://api.nm.example.org:8443 {" in public
    assert public.index("respond @bootstrap") < public.index("reverse_proxy")


GOOD: dict[str, Any] = {
    **{"netmaker_domain": "nm.example.org", "netmaker_public_address": "192.0.2.10", "netmaker_tls": "own_ca"},
    **{"netmaker_api_port": 443, "netmaker_broker_port": 8883, "netmaker_server_program": {"file": "/netmaker"}},
    **{"netmaker_master_key": "m" * 20, "netmaker_admin_password": "a" * 20, "netmaker_broker_password": "b" * 20},
    **dict.fromkeys(("netmaker_tls_certificate_file", "netmaker_tls_key_file", "netmaker_ca_file")),
}


class TestInventory:
    def test_good_one_passes(self) -> None:
        assert server_faults("droplet", GOOD, {8443: "vmess"}, ["droplet"]) == []

    @pytest.mark.parametrize(
        ("change", "fault"),
        [
            (
                {"netmaker_api_port": 8443},
                "netmaker_api_port = 8443: is published on this host for vmess. Fix: use another",
            ),
            ({"netmaker_broker_port": 8443}, "netmaker_broker_port = 8443: is published on this host for vmess"),
            ({"netmaker_api_port": 8081}, "netmaker_api_port = 8081: is the port of the API on this host"),
            ({"netmaker_api_port": 8883}, "netmaker_api_port = 8883: is netmaker_broker_port, too"),
            ({"netmaker_api_port": 70000}, "netmaker_api_port = 70000: is no port"),
            ({"netmaker_domain": ""}, "netmaker_domain = (none): is no domain name"),
            ({"netmaker_domain": 'x.org"; y'}, "is no domain name"),
            ({"netmaker_public_address": "2001:db8::1"}, "netmaker_public_address = 2001:db8::1: is no IPv4 address"),
            ({"netmaker_master_key": None}, "netmaker_master_key = (none): is missing"),
            ({"netmaker_broker_password": "hunter2"}, "netmaker_broker_password = (secret): is shorter"),
            ({"netmaker_server_program": None}, "netmaker_server_program = (none): needs one of file and url"),
            ({"netmaker_server_program": {"url": "https://x", "file": "/x"}}, "needs one of file and url"),
            ({"netmaker_server_program": {"url": "https://x", "sha256": "12"}}, "has no sha256"),
            ({"netmaker_tls": "files"}, "netmaker_tls_key_file = (none): is missing with netmaker_tls = files"),
            ({"netmaker_ca_file": "/ca"}, "netmaker_ca_file = /ca: has no meaning with netmaker_tls = own_ca"),
        ],
    )
    def test_fault_names_host_variable_value_and_fix(self, change: dict[str, Any], fault: str) -> None:
        faults = server_faults("droplet", {**GOOD, **change}, {8443: "vmess"}, ["droplet"])
        assert [text for text in faults if fault in text], faults
        assert all(text.startswith("droplet: ") and "Fix: " in text for text in faults)
        assert not any("hunter2" in text for text in faults)

    def test_second_server_is_refused(self) -> None:
        (fault,) = server_faults("droplet", GOOD, {}, ["droplet", "other"])
        assert fault.startswith("droplet: netmaker_mode = server: other is in mode server, too")
