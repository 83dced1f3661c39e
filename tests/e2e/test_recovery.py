# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accidents on hosts with kernels of their own: nothing leaks meanwhile, and traffic is back without anybody's help.

A restless service in xray-client asks the internet all the time, and a service on the droplet, from the moment the
container starts. What it sends past WARP would show on the captures of both bridges, which see every host's packets.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import pytest

from lab import probe
from lab.node import Node
from lab.probe import Capture
from lab.topology import NAT_RULES

from .conftest import World

if TYPE_CHECKING:
    from lab.vm.machine import Machine

Watch = Callable[..., Capture]
Seen = Callable[[str], None]

pytestmark = pytest.mark.machines

RESTLESS = """\
[Unit]
Description=Asks the internet all the time

[Service]
ExecStart=/usr/bin/python3 -u /usr/local/lib/restless.py
Restart=always

[Install]
WantedBy=multi-user.target
"""
ASK = """\
import os, socket, time

def ask(address, port):
    try:
        socket.create_connection((address, port), 1).close()
    except OSError as error:
        return type(error).__name__
    return "open"

while True:
    begin = time.monotonic()
    with open("/var/tmp/restless", "a") as log:
        log.write(ask("203.0.113.7", 80) + "\\n")
        log.flush()
        os.fsync(log.fileno())
    ask("10.1.0.200", 9573)
    time.sleep(max(0.0, begin + 0.5 - time.monotonic()))
"""
"""Synced line by line: a power cut may not take away what was counted before it."""
INGRESS = "(host 192.0.2.10 and host 192.0.2.50 and (tcp port 443 or icmp))"
"""The public client's own connection to the droplet, and what that answers while xray-server is not there."""
OTHER_PORTS = NAT_RULES.replace("masquerade", "meta l4proto udp masquerade to :30000-30999")
BLACK_HOLE = """
table ip blackhole {
    chain forward {
        type filter hook forward priority filter - 1
        meta length > 1400 drop
    }
}
"""
RETURN_TIMEOUT, BOOT_TIMEOUT = 120.0, 420.0
MEGABYTE = 1 << 20


@dataclass(slots=True)
class Accident:
    """What was asked by the restless service, and answered, between two moments."""

    asked: int = 0
    answered: int = 0

    def __str__(self) -> str:
        return f"{self.asked} attempts of xray-client, {self.answered} answered"


@pytest.fixture(scope="module", autouse=True)
def _restless(world: World) -> Iterator[None]:
    unit, program = "/etc/systemd/system/restless.service", "/usr/local/lib/restless.py"
    start = f"cat >{program} <<'E'\n{ASK}E\ncat >{unit} <<'E'\n{RESTLESS}E\nsystemctl enable --now -q restless.service"
    probe.execute(world.xray_client, "sh", "-c", start, timeout=60)
    yield
    stop = f"systemctl disable --now -q restless.service; rm {unit} {program} /var/tmp/restless"
    probe.execute(world.xray_client, "sh", "-c", stop, timeout=60)


@pytest.fixture
def no_leak(world: World, watch: Watch) -> Callable[[], contextlib.AbstractContextManager[Accident]]:
    """A block during which nothing but tunnels may be seen on the WAN and on the LAN."""

    @contextlib.contextmanager
    def block() -> Iterator[Accident]:
        accident, before = Accident(), answers(world)
        with (
            watch(world.lab.fabric, "snl-wan", f"{world.unexpected} and not {INGRESS}") as wan,
            watch(world.lab.fabric, "snl-lan", world.unexpected) as lan,
        ):
            yield accident
            after = answers(world)
        accident.asked = len(after) - len(before)
        accident.answered = after.count("open") - before.count("open")
        assert (wan.lines, lan.lines) == ([], [])
        assert accident.asked > 0

    return block


def answers(world: World) -> list[str]:
    return probe.execute(world.xray_client, "cat", "/var/tmp/restless", check=False).stdout.splitlines()


def recovered(world: World, begin: float, timeout: float = RETURN_TIMEOUT) -> float:
    """Seconds from ``begin`` until both the container's own way and the whole way through both hosts work.

    The kernel forwards what it knows while the switch's daemon is away, so that has to be back as well.
    """
    probe.until("the switch", lambda: world.home.run(["ovs-appctl", "version"]), timeout=timeout)
    probe.until("the container's way", lambda: own_way(world), timeout=timeout)
    probe.until("the whole way", world.through_warp, timeout=timeout)
    return time.monotonic() - begin


def own_way(world: World) -> bool:
    return probe.get(world.xray_client, "203.0.113.7", 80, limit=2.0)["peer"] == "203.0.113.1"


def restart_tunnel(world: World) -> None:
    world.home.run(["systemctl", "restart", "wg-quick@warp0.service"])


def restart_switch(world: World) -> None:
    world.home.run(["systemctl", "restart", "ovs-vswitchd.service"])


def kill_switch_daemon(world: World) -> None:
    world.home.run("kill -9 $(cat /run/openvswitch/ovs-vswitchd.pid)")


def flush_connections(world: World) -> None:
    for host in (world.home, world.vps):
        host.run("conntrack -F; ovs-appctl dpctl/flush-conntrack")


def change_mapping(world: World) -> None:
    """As a router at home that was restarted: new ports for the same flows, none of the old ones known."""
    world.lab.nat.run("nft", "-f", "-", data=f"delete table ip lab\n{OTHER_PORTS}")
    world.lab.nat.run("conntrack", "-F")


ACCIDENTS = [
    pytest.param(restart_tunnel, id="wg-quick restarted"),
    pytest.param(restart_switch, id="ovs-vswitchd restarted"),
    pytest.param(kill_switch_daemon, id="ovs-vswitchd killed with -9"),
    pytest.param(flush_connections, id="conntrack flushed on both hosts"),
    pytest.param(change_mapping, id="NAT mapping changed"),
]


@pytest.mark.parametrize("accident", ACCIDENTS)
def test_traffic_returns(
    world: World,
    no_leak: Callable[..., contextlib.AbstractContextManager[Accident]],
    seen: Seen,
    accident: Callable[[World], None],
) -> None:
    """An accident, zero leaked packets, and everything works again by itself."""
    with no_leak() as what:
        begin = time.monotonic()
        accident(world)
        took = recovered(world, begin)
    seen(f"back after {took:.1f} s; {what}")


def test_clock_jumps(
    world: World, no_leak: Callable[..., contextlib.AbstractContextManager[Accident]], seen: Seen
) -> None:
    """The clock of oo1424oo jumps an hour ahead and back again: connections go on."""
    with no_leak() as what:
        begin = time.monotonic()
        world.home.run(["date", "--set", "+1 hour"])
        ahead = recovered(world, begin)
        world.home.run(["date", "--set", "-1 hour"])
        back = recovered(world, begin) - ahead
    seen(f"{ahead:.1f} s until all worked after the jump ahead, {back:.1f} s after the one back; {what}")


def test_large_transfers_pass_a_black_hole(
    world: World, no_leak: Callable[..., contextlib.AbstractContextManager[Accident]], seen: Seen
) -> None:
    """The way between home and the WAN swallows packets over 1400 bytes silently: large transfers pass, both ways."""
    world.lab.nat.run("nft", "-f", "-", data=BLACK_HOLE)
    try:
        with no_leak() as what:
            down = probe.transfer(world.client, "192.0.2.10", 443, receive=MEGABYTE, proxy="203.0.113.7:80")
            up = probe.transfer(world.client, "192.0.2.10", 443, send=MEGABYTE, proxy="203.0.113.7:80")
            own = probe.transfer(world.xray_client, "203.0.113.7", 80, receive=MEGABYTE)
    finally:
        world.lab.nat.run("nft", "delete", "table", "ip", "blackhole")
    seen(f"1 MiB down in {down:.1f} s, up in {up:.1f} s, to the container itself in {own:.1f} s; {what}")


def power_cut(world: World) -> Node:
    cast("Machine", world.home).reset()
    return world.home


def reboot_home(world: World) -> Node:
    world.home.run(["systemctl", "--no-block", "reboot"])
    return world.home


def reboot_droplet(world: World) -> Node:
    world.vps.run(["systemctl", "--no-block", "reboot"])
    return world.vps


BOOTS = [
    pytest.param(power_cut, id="power cut of oo1424oo"),
    pytest.param(reboot_home, id="reboot of oo1424oo"),
    pytest.param(reboot_droplet, id="reboot of the droplet"),
]


@pytest.mark.parametrize("accident", BOOTS)
def test_host_returns(
    world: World,
    no_leak: Callable[..., contextlib.AbstractContextManager[Accident]],
    seen: Seen,
    accident: Callable[[World], Node],
) -> None:
    """A host starts again with containers on it: zero leaked packets, and all is back without an Ansible run."""
    with no_leak() as what:
        boot = boot_id(world.home), boot_id(world.vps)
        begin = time.monotonic()
        host = accident(world)
        probe.until(
            f"{host.name} to start again",
            lambda: (boot_id(world.home), boot_id(world.vps)) != boot,
            timeout=BOOT_TIMEOUT,
            interval=1.0,
        )
        ssh = time.monotonic() - begin
        took = recovered(world, begin, BOOT_TIMEOUT)
    assert host.run(["systemctl", "--failed", "--no-legend"]).stdout == ""
    seen(f"ssh after {ssh:.0f} s, traffic after {took:.0f} s; {what}")


def boot_id(host: Node) -> str:
    return host.run(["cat", "/proc/sys/kernel/random/boot_id"], timeout=10).stdout
