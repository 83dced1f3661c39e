# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver on real WireGuard devices: files that the tools accept, sessions that live on, health that is true."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._plan import Plan
from ansible_collections.op_dbus.socket_network.plugins.module_utils._wg.config import Tunnel, mesh_tunnel
from ansible_collections.op_dbus.socket_network.plugins.module_utils._wg.driver import Driver
from ansible_collections.op_dbus.socket_network.plugins.module_utils._wg.health import Health, health
from ansible_collections.op_dbus.socket_network.plugins.module_utils._wg.runtime import PeerState

from lab.base import wait_for
from tests.integration.wg.conftest import Mesh
from tests.integration.wg.ends import End, generate_key

HUB_PORT = 51821


def tunnel(mesh: Mesh, *names: str, **changes: Any) -> Tunnel:
    """The hub's tunnel with the peers ``names``, of "one" and "two"."""
    addresses = {"one": "10.100.0.2/32", "two": "10.100.0.3/32"}
    peers = [
        {"name": name, "public_key": getattr(mesh, name).public_key, "allowed_ips": [addresses[name]], "keepalive": 0}
        for name in names
    ]
    params = {
        "name": mesh.hub.device,
        "private_key": mesh.hub.private_key,
        "address": "10.100.0.1/16",
        "mtu": 1420,
        "listen_port": HUB_PORT,
        "peers": peers,
        **changes,
    }
    return mesh_tunnel(params)


@pytest.fixture
def driver(mesh: Mesh, tmp_path: Path) -> Driver:
    mesh.hub.plug("10.100.0.1/16", 1420)
    return Driver(runner=mesh.hub, device=mesh.hub.device, directory=str(tmp_path))


def dial(mesh: Mesh, end: End) -> None:
    """Let ``end`` call the hub, with a session of its own that is new."""
    end.listen(51000, (mesh.hub.public_key, "10.100.0.0/16"), endpoint=f"198.51.100.1:{HUB_PORT}")


def call(mesh: Mesh) -> None:
    """Bring both others up and let them call."""
    for number, end in enumerate((mesh.one, mesh.two), 2):
        dial(mesh, end)
        end.plug(f"10.100.0.{number}/16", 1420)


def peers(driver: Driver) -> dict[str, PeerState]:
    device = driver.read().device
    assert device is not None
    return device.peers


def judged(driver: Driver, now: float | None = None) -> Health:
    return health(driver.read(), time.time() if now is None else now)


def everybody_answered(driver: Driver) -> bool:
    return all(peer.handshake for peer in peers(driver).values())


def test_wg_quick_and_wg_accept_what_is_written(mesh: Mesh, driver: Driver) -> None:
    full = tunnel(mesh, "one", "two")
    first, second = full.peers
    want = replace(
        full,
        peers=(
            replace(first, endpoint="[2001:db8::1]:51820", preshared_key=generate_key(), keepalive=25),
            replace(second, endpoint="198.51.100.3:51000"),
        ),
    )
    plan = driver.plan_running(want)
    assert [action.partition(":")[0] for action in plan.actions] == ["synchronise wg0", f"create {driver.path}"]
    plan.apply()
    assert driver.plan_running(want) == Plan()
    assert peers(driver)[first.public_key].endpoint == "[2001:db8::1]:51820"


def test_peers_come_and_go_without_harm_to_the_others(mesh: Mesh, driver: Driver) -> None:
    one, two = mesh.one.public_key, mesh.two.public_key
    driver.plan_running(tunnel(mesh, "one", "two")).apply()
    call(mesh)
    wait_for("both handshakes", lambda: everybody_answered(driver), timeout=20)
    before = peers(driver)[one]

    plan = driver.plan_running(tunnel(mesh, "one"))
    assert plan.actions[0] == f"synchronise wg0: remove peer {two}"
    plan.apply()
    assert set(peers(driver)) == {one}
    assert peers(driver)[one].handshake == before.handshake
    assert peers(driver)[one].rx >= before.rx > 0

    plan = driver.plan_running(tunnel(mesh, "one", "two"))
    assert plan.actions[0] == "synchronise wg0: add peer two"
    plan.apply()
    assert peers(driver)[one].handshake == before.handshake
    assert peers(driver)[one].endpoint == "198.51.100.2:51000"
    # Its old session would be given up only after 15 s without an answer.
    dial(mesh, mesh.two)
    wait_for("the new peer's handshake", lambda: everybody_answered(driver), timeout=20)
    mesh.hub.run(["ping", "-c", "1", "-W", "3", "10.100.0.3"])


def test_drift_on_the_device_is_seen_although_the_file_is_equal(mesh: Mesh, driver: Driver) -> None:
    want = tunnel(mesh, "one", "two")
    driver.plan_running(want).apply()
    one, stranger = mesh.one.public_key, "VuGo7pKJsrWt5zvZGBXnv7WgGna3vznSDAWI80EjFkU="
    mesh.hub.run(["wg", "set", "wg0", "peer", one, "remove"])
    mesh.hub.run(["wg", "set", "wg0", "peer", stranger, "allowed-ips", "10.100.9.9/32"])
    plan = driver.plan_running(want)
    assert plan.actions == [f"synchronise wg0: add peer one, remove peer {stranger}"]
    plan.apply()
    assert driver.plan_running(want) == Plan()
    mesh.hub.run(["ip", "link", "set", "wg0", "mtu", "1300"])
    assert driver.plan_running(want).actions == ["restart wg-quick@wg0.service: mtu 1300 to 1420"]


def test_port_that_nobody_asked_for_stays(mesh: Mesh, driver: Driver) -> None:
    driver.plan_running(tunnel(mesh, "one", listen_port=None)).apply()
    device = driver.read().device
    assert device is not None
    driver.plan_running(tunnel(mesh, "one", "two", listen_port=None)).apply()
    again = driver.read().device
    assert again is not None
    assert again.listen_port == device.listen_port > 0


def test_health_follows_the_handshakes(mesh: Mesh, driver: Driver) -> None:
    want = tunnel(mesh, "one")
    driver.plan_running(want).apply()
    assert judged(driver) == Health("never")
    call(mesh)
    wait_for("a handshake", lambda: judged(driver).ok, timeout=20)
    assert driver.wait_healthy(5).rx > 0
    assert judged(driver, time.time() + 181 + (judged(driver).age or 0)).state == "degraded"
    mesh.hub.run(["ip", "link", "set", "wg0", "down"])
    assert judged(driver).state == "down"
    mesh.hub.run(["ip", "link", "delete", "wg0"])
    assert judged(driver) == Health("down")
    assert driver.plan_running(want).actions[-1] == "restart wg-quick@wg0.service: device is gone"
