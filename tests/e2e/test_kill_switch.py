# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kill switch: what happens to containers with the WARP exit when WARP is gone."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from lab import probe
from lab.probe import Capture

from .conftest import World

Watch = Callable[..., Capture]
Seen = Callable[[str], None]
Failure = tuple[Callable[[World], None], Callable[[World], None], str]
"""How WARP fails, how it returns, and what a container is told meanwhile."""

SILENCE = """
table ip silence {
    chain in {
        type filter hook input priority filter
        udp dport 2408 drop
    }
}
"""
ATTEMPTS, ATTEMPT_SECONDS = 8, 0.6
ICMP_PAUSE = 2.5
"""The kernel tells a peer of an unreachable route only two seconds after the last packet that it refused."""


def stop_service(world: World) -> None:
    world.home.run(["systemctl", "stop", "wg-quick@warp0.service"])


def start_service(world: World) -> None:
    world.home.run(["systemctl", "start", "wg-quick@warp0.service"])


def delete_device(world: World) -> None:
    """As a kernel without the device: wireguard-go ends with its device, kernel WireGuard just loses it."""
    world.home.run(["ip", "link", "delete", "warp0"])


def restart_service(world: World) -> None:
    world.home.run(["systemctl", "restart", "wg-quick@warp0.service"])


def set_down(world: World) -> None:
    world.home.run(["ip", "link", "set", "warp0", "down"])


def set_up(world: World) -> None:
    world.home.run(["ip", "link", "set", "warp0", "up"])


def silence_peer(world: World) -> None:
    world.lab.warp.run("nft", "-f", "-", data=SILENCE)


def wake_peer(world: World) -> None:
    world.lab.warp.run("nft", "delete", "table", "ip", "silence")


def attempt(world: World) -> str:
    return probe.connect(world.xray_client, "203.0.113.7", 80, limit=ATTEMPT_SECONDS)


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param((stop_service, start_service, "EHOSTUNREACH"), id="wg-quick stopped"),
        pytest.param((delete_device, restart_service, "EHOSTUNREACH"), id="device deleted"),
        pytest.param((set_down, set_up, "EHOSTUNREACH"), id="device down"),
        pytest.param((silence_peer, wake_peer, "no answer"), id="peer silent"),
    ],
)
def test_nothing_leaks_while_warp_is_down(world: World, watch: Watch, seen: Seen, failure: Failure) -> None:
    """WARP down: zero leaked packets on a WAN capture, and traffic is back by itself when it returns."""
    break_it, mend_it, answer = failure
    assert probe.get(world.xray_client, "203.0.113.7", 80)["peer"] == "203.0.113.1"
    with (
        watch(world.lab.fabric, "snl-wan", world.unexpected) as wan,
        watch(world.lab.fabric, "snl-lan", world.unexpected) as lan,
        watch(world.home, "gw-warp0", "tcp port 80") as offered,
        watch(world.lab.warp, "core0", "tcp port 80") as passed,
    ):
        break_it(world)
        try:
            begin = time.monotonic()
            results = [attempt(world) for _attempt in range(ATTEMPTS)]
            took = time.monotonic() - begin
            probe.until(answer, lambda: attempt(world) == answer, timeout=20.0, interval=ICMP_PAUSE)
            offered.wait_for(r"10\.0\.0\.102\.\d+ > 203\.0\.113\.7\.80")
        finally:
            mend_it(world)
        back = probe.until(
            "traffic through WARP", lambda: probe.get(world.xray_client, "203.0.113.7", 80, limit=2.0), timeout=40.0
        )
    assert (wan.lines, lan.lines) == ([], [])
    assert "open" not in results, f"{results}; through WARP: {passed.lines}"
    assert probe.get(world.xray_client, "203.0.113.7", 80)["peer"] == "203.0.113.1"
    said = ", ".join(sorted(set(results)))
    seen(
        f"{ATTEMPTS} attempts in {took:.1f} s: {said}, then {answer}; {len(offered.lines)} packets offered, "
        f"{len(wan.lines)} on the WAN, {len(lan.lines)} on the LAN; back {back:.1f} s after the return"
    )


def test_capture_would_show_a_leak(world: World, watch: Watch, seen: Seen) -> None:
    """The same captures do see a packet that goes past WARP: the host's own, which may use its default route."""
    with (
        watch(world.lab.fabric, "snl-wan", world.unexpected) as wan,
        watch(world.lab.fabric, "snl-lan", world.unexpected) as lan,
    ):
        assert probe.get(probe.inside(world.home), "203.0.113.7", 80)["peer"] == "192.0.2.20"
        wan.wait_for(r"192\.0\.2\.20\.\d+ > 203\.0\.113\.7\.80")
        lan.wait_for(r"192\.168\.77\.2\.\d+ > 203\.0\.113\.7\.80")
    seen(f"{len(wan.lines)} packets of the host itself on the WAN, {len(lan.lines)} on the LAN")
