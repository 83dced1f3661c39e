# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver on a host made of recorded answers: what is changed, in which order, and what is left alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._errors import RefusedError, SocketNetworkError
from ansible_collections.op_dbus.socket_network.plugins.module_utils._plan import Plan
from ansible_collections.op_dbus.socket_network.plugins.module_utils._wg.config import Tunnel, warp_tunnel
from ansible_collections.op_dbus.socket_network.plugins.module_utils._wg.driver import Driver
from ansible_collections.op_dbus.socket_network.plugins.module_utils._wg.profile import render

from tests.unit.wg import recorded
from tests.unit.wg.recorded import FakeHost

NOW = 1_795_322_049.0
CONFIG: dict[str, Any] = {
    "private_key": recorded.PRIVATE,
    "addresses": ["172.16.0.2/32"],
    "mtu": 1280,
    "peer": {
        "public_key": recorded.PEER,
        "endpoint": "192.0.2.1:2408",
        "allowed_ips": ["0.0.0.0/0"],
        "keepalive": 25,
    },
}


def wanted(**changes: Any) -> Tunnel:
    """The tunnel of CONFIG; keys of its peer are given as ``peer_…``."""
    peer = {key.removeprefix("peer_"): value for key, value in changes.items() if key.startswith("peer_")}
    rest = {key: value for key, value in changes.items() if not key.startswith("peer_")}
    return warp_tunnel("warp0", {**CONFIG, **rest, "peer": {**CONFIG["peer"], **peer}})


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    return FakeHost(tmp_path)


def driver(host: FakeHost, **changes: Any) -> Driver:
    options = {"deadline": 0.2, "clock": lambda: NOW, "resolve": lambda _name: frozenset({"192.0.2.1"}), **changes}
    return Driver(runner=host, device="warp0", directory=str(host.directory), **options)


def converge(host: FakeHost, want: Tunnel | None = None) -> Plan:
    """Plan, apply, forget the commands so far."""
    plan = driver(host).plan_running(want or wanted())
    plan.apply()
    host.commands.clear()
    return plan


def verbs(host: FakeHost) -> list[str]:
    """The commands that changed something, without their options."""
    return [" ".join([argv[0], *[word for word in argv[1:] if not word.startswith("-")][:1]]) for argv in host.changes]


def test_from_nothing_to_running(host: FakeHost) -> None:
    plan = driver(host).plan_running(wanted())
    assert plan.actions == [
        f"create {host.directory}/warp0.conf",
        "enable wg-quick@warp0.service",
        "start wg-quick@warp0.service: unit is inactive",
    ]
    assert host.changes == []
    assert list(host.directory.iterdir()) == []
    plan.apply()
    assert verbs(host) == ["systemctl enable", "systemctl restart"]
    file = host.directory / "warp0.conf"
    assert (file.read_text(), file.stat().st_mode & 0o777) == (render(wanted()), 0o600)


def test_second_run_changes_nothing_with_three_commands(host: FakeHost) -> None:
    converge(host)
    assert driver(host).plan_running(wanted()) == Plan()
    assert len(host.commands) == 3


def test_no_secret_in_commands_or_diff(host: FakeHost) -> None:
    plan = driver(host).plan_running(wanted(peer_preshared_key=recorded.PRESHARED))
    plan.apply()
    plan += driver(host).plan_running(wanted(private_key=recorded.PRESHARED))
    seen = repr(plan) + repr(host.commands) + plan.before + plan.after
    assert recorded.PRIVATE not in seen
    assert recorded.PRESHARED not in seen


def remove_peer(host: FakeHost) -> None:
    host.peers.clear()


def add_peer(host: FakeHost) -> None:
    host.peers[recorded.OTHER_PEER] = ["(none)", "(none)", "10.9.0.0/24", "0", "0", "0", "off"]


def drop_endpoint(host: FakeHost) -> None:
    host.peers[recorded.PEER][1] = "(none)"


def narrow(host: FakeHost) -> None:
    host.peers[recorded.PEER][2] = "10.0.0.0/8"


def silence(host: FakeHost) -> None:
    host.peers[recorded.PEER][6] = "off"


def change_key(host: FakeHost) -> None:
    host.private_key = recorded.PRESHARED


def add_preshared(host: FakeHost) -> None:
    host.peers[recorded.PEER][0] = recorded.PRESHARED


def delete_device(host: FakeHost) -> None:
    host._forget()


def stop(host: FakeHost) -> None:
    host._systemctl_stop([])


def fail(host: FakeHost) -> None:
    host.active = "failed"
    host._forget()


def leave_outside(host: FakeHost) -> None:
    host.active = "inactive"


def set_mtu(host: FakeHost) -> None:
    assert host.link is not None
    host.link["mtu"] = 1400


def set_address(host: FakeHost) -> None:
    assert host.link is not None
    host.link["addr_info"] = []


def take_down(host: FakeHost) -> None:
    assert host.link is not None
    host.link["flags"] = []


def disable(host: FakeHost) -> None:
    host.enabled = False


def edit_file(host: FakeHost) -> None:
    file = host.directory / "warp0.conf"
    file.write_text(file.read_text().replace("Table = off", "Table = auto"))


def open_file(host: FakeHost) -> None:
    (host.directory / "warp0.conf").chmod(0o644)


def delete_file(host: FakeHost) -> None:
    (host.directory / "warp0.conf").unlink()


START, SYNC = "systemctl restart", "wg syncconf"
DRIFT: list[tuple[Callable[[FakeHost], None], str, list[str]]] = [
    (remove_peer, "synchronise warp0: add peer warp", [SYNC]),
    (add_peer, f"synchronise warp0: remove peer {recorded.OTHER_PEER}", [SYNC]),
    (drop_endpoint, "synchronise warp0: update peer warp", [SYNC]),
    (narrow, "synchronise warp0: update peer warp", [SYNC]),
    (silence, "synchronise warp0: update peer warp", [SYNC]),
    (change_key, "synchronise warp0: private key", [SYNC]),
    (add_preshared, "synchronise warp0: update peer warp", [SYNC]),
    (delete_device, "restart wg-quick@warp0.service: device is gone", [START]),
    (stop, "start wg-quick@warp0.service: unit is inactive", [START]),
    (fail, "start wg-quick@warp0.service: unit is failed", ["systemctl reset-failed", START]),
    (leave_outside, "remove device warp0 left outside wg-quick@warp0.service", ["ip link", START]),
    (set_mtu, "restart wg-quick@warp0.service: mtu 1400 to 1280", [START]),
    (set_address, "restart wg-quick@warp0.service: address (none) to 172.16.0.2/32", [START]),
    (take_down, "restart wg-quick@warp0.service: device is down", [START]),
    (disable, "enable wg-quick@warp0.service", ["systemctl enable"]),
    (edit_file, "update {directory}/warp0.conf", []),
    (open_file, "update {directory}/warp0.conf", []),
    (delete_file, "create {directory}/warp0.conf", []),
]


@pytest.mark.parametrize(("harm", "action", "commands"), DRIFT, ids=lambda value: getattr(value, "__name__", ""))
def test_drift_is_repaired_with_the_least(
    host: FakeHost, harm: Callable[[FakeHost], None], action: str, commands: list[str]
) -> None:
    converge(host)
    harm(host)
    plan = driver(host).plan_running(wanted())
    assert plan.actions[0] == action.format(directory=host.directory)
    assert plan.before != plan.after
    host.commands.clear()
    plan.apply()
    assert verbs(host) == commands
    assert driver(host).plan_running(wanted()) == Plan()


@pytest.mark.parametrize(
    ("want", "action", "command"),
    [
        (wanted(peer_endpoint="192.0.2.2:2408"), "synchronise warp0: update peer warp", SYNC),
        (wanted(peer_keepalive=0), "synchronise warp0: update peer warp", SYNC),
        (wanted(peer_public_key=recorded.OTHER_PEER), "synchronise warp0: add peer warp, remove peer ", SYNC),
        (wanted(private_key=recorded.PRESHARED), "synchronise warp0: private key", SYNC),
        (wanted(mtu=1300), "restart wg-quick@warp0.service: mtu 1280 to 1300", START),
        (wanted(addresses=["172.16.0.3/32"]), "restart wg-quick@warp0.service: address 172.16.0.2/32 to 172", START),
    ],
)
def test_changes_of_the_inventory(host: FakeHost, want: Tunnel, action: str, command: str) -> None:
    converge(host)
    plan = driver(host).plan_running(want)
    assert any(found.startswith(action) for found in plan.actions), plan.actions
    plan.apply()
    assert verbs(host) == [command]
    assert driver(host).plan_running(want) == Plan()


def test_synchronising_keeps_the_port_that_the_kernel_picked(host: FakeHost) -> None:
    converge(host)
    remove_peer(host)
    driver(host).plan_running(wanted()).apply()
    assert host.listen_port == 40000
    assert not host.dropped_port


def answered(host: FakeHost, age: int, endpoint: str) -> None:
    """The peer answered ``age`` seconds ago, from ``endpoint``."""
    host.peers[recorded.PEER][1:6] = [endpoint, "0.0.0.0/0", str(int(NOW) - age), "92", "148"]


@pytest.mark.parametrize(
    ("configured", "found", "age", "changes"),
    [
        ("192.0.2.1:2408", "192.0.2.77:9", 10, False),
        ("192.0.2.1:2408", "192.0.2.77:9", 600, True),
        ("warp.example.org:2408", "192.0.2.1:2408", 600, False),
        ("warp.example.org:2408", "192.0.2.77:2408", 600, True),
        ("warp.example.org:2408", "192.0.2.77:2408", 10, False),
    ],
)
def test_peer_that_answers_may_roam_and_a_silent_one_is_called_where_it_lives(
    host: FakeHost, configured: str, found: str, age: int, changes: bool
) -> None:
    want = wanted(peer_endpoint=configured)
    converge(host, want)
    answered(host, age, found)
    assert driver(host).plan_running(want).changed is changes


def test_name_that_cannot_be_resolved_now_changes_nothing(host: FakeHost) -> None:
    want = wanted(peer_endpoint="warp.example.org:2408")
    converge(host, want)
    answered(host, 600, "192.0.2.77:2408")
    assert not driver(host, resolve=lambda _name: frozenset()).plan_running(want).changed


def test_new_endpoint_is_applied_although_the_peer_answers_at_the_old_one(host: FakeHost) -> None:
    converge(host)
    answered(host, 1, "192.0.2.1:2408")
    want = wanted(peer_endpoint="192.0.2.2:2408")
    plan = driver(host).plan_running(want)
    assert plan.actions == ["synchronise warp0: endpoints", f"update {host.directory}/warp0.conf"]
    plan.steps[0].apply()
    # Killed here, the next run still finds the old file.
    assert driver(host).plan_running(want).changed


def test_down_keeps_the_file_and_up_takes_it(host: FakeHost) -> None:
    converge(host)
    plan = driver(host).plan_stopped()
    assert plan.actions == ["stop wg-quick@warp0.service", "disable wg-quick@warp0.service"]
    plan.apply()
    assert driver(host).plan_stopped() == Plan()
    assert driver(host).stored() == replace(wanted())
    driver(host).plan_running(driver(host).stored()).apply()
    assert (host.active, host.enabled) == ("active", True)


def test_absent_removes_everything_once(host: FakeHost) -> None:
    converge(host)
    plan = driver(host).plan_stopped(remove=True)
    plan.apply()
    assert plan.actions[-1] == f"remove {host.directory}/warp0.conf"
    assert (host.active, host.enabled, host.link, list(host.directory.iterdir())) == ("inactive", False, None, [])
    assert driver(host).plan_stopped(remove=True) == Plan()


def test_stopping_a_unit_whose_device_is_gone_leaves_no_failed_unit(host: FakeHost) -> None:
    converge(host)
    delete_device(host)
    driver(host).plan_stopped().apply()
    assert host.active == "inactive"


def test_strip_that_loses_peers_is_refused_before_anything_is_applied(host: FakeHost) -> None:
    converge(host)
    host.strip_loses_peers = True
    remove_peer(host)
    with pytest.raises(RefusedError, match="wg-quick strip left out parts of the configuration of warp0"):
        driver(host).plan_running(wanted()).apply()
    assert host.changes == []


def test_start_that_hangs_ends_at_the_deadline(host: FakeHost) -> None:
    host.hangs = True
    with pytest.raises(SocketNetworkError, match=r"has not started within 0\.2 s \(activating\); it keeps trying"):
        driver(host).plan_running(wanted()).apply()


def test_start_that_fails_tells_what_the_unit_said(host: FakeHost) -> None:
    host.fails = True
    with pytest.raises(SocketNetworkError, match=r"did not start .*It said: wg-quick: `Address already in use'"):
        driver(host).plan_running(wanted()).apply()


def test_waiting_for_a_handshake_in_vain_is_a_failure(host: FakeHost) -> None:
    converge(host)
    with pytest.raises(
        SocketNetworkError, match=r"no fresh handshake after 0\.1 s \(health never\): there was none yet"
    ):
        driver(host).wait_healthy(0.1)
    answered(host, 600, "192.0.2.1:2408")
    with pytest.raises(SocketNetworkError, match=r"\(health degraded\): the latest is 600 s old"):
        driver(host).wait_healthy(0.1)
    answered(host, 6, "192.0.2.1:2408")
    assert driver(host).wait_healthy(0.1).age == 6


def test_device_of_another_kind_is_left_alone(host: FakeHost) -> None:
    host._plug("192.0.2.9/24", 1500)
    assert host.link is not None
    host.link["link_type"] = "ether"
    with pytest.raises(RefusedError, match="warp0 exists and is not a WireGuard device"):
        driver(host).plan_running(wanted())
