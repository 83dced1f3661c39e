# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accidents on hosts with kernels of their own: nothing leaks meanwhile, and traffic is back without anybody's help.

A restless service in xray-client asks the internet all the time, and a service on the droplet, from the moment the
container starts, and pours datagrams of one flow besides. What it sends past WARP would show on the captures of all
bridges, which see every host's packets.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import pytest

from lab import probe
from lab.base import LabError
from lab.node import Node
from lab.probe import Capture
from lab.topology import NAT_RULES
from lab.vm.instances import MANAGEMENT_ADDRESSES

from .conftest import World

if TYPE_CHECKING:
    from lab.vm.machine import Machine
    from lab.vm.topology import MachineLab

Watch = Callable[..., Capture]
Seen = Callable[[str], None]
NoLeak = Callable[[], contextlib.AbstractContextManager["Accident"]]

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
import os, socket, threading, time

START = os.urandom(4).hex()

def pour():
    flow = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    while True:
        try:
            flow.sendto(b"restless", ("203.0.113.7", 9))
        except OSError:
            pass
        time.sleep(0.05)

def ask(address, port):
    try:
        socket.create_connection((address, port), 1).close()
    except OSError as error:
        return type(error).__name__
    return "open"

threading.Thread(target=pour, daemon=True).start()
while True:
    begin = time.monotonic()
    with open("/run/restless", "a") as log:
        log.write(f"{START} {ask('203.0.113.7', 80)}\\n")
    ask("10.1.0.200", 9573)
    time.sleep(max(0.0, begin + 0.5 - time.monotonic()))
"""
"""Its log is in memory: nothing may be synced to disk before a power cut that would not be without it."""
INGRESS = "(host 192.0.2.10 and host 192.0.2.50 and (tcp port 443 or icmp))"
"""The public client's own connection to the droplet, and what that answers while xray-server is not there."""
MASQUERADE = 'oifname "wan0" masquerade'
OTHER_PORTS = NAT_RULES.replace(
    MASQUERADE, f'oifname "wan0" meta l4proto udp masquerade to :30000-30999\n        {MASQUERADE}'
)
"""As a router that was restarted and gives every tunnel another port."""
BLACK_HOLE = """
table ip blackhole {
    chain forward {
        type filter hook forward priority filter - 1
        meta length > 1400 counter drop
    }
}
"""
NOT_MANAGEMENT = (
    f"ip and not (src net {MANAGEMENT_ADDRESSES} and dst net {MANAGEMENT_ADDRESSES})"
    " and not (udp and (port 67 or port 68))"
)
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
def _restless(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    unit, program = "/etc/systemd/system/restless.service", "/usr/local/lib/restless.py"
    start = f"cat >{program} <<'E'\n{ASK}E\ncat >{unit} <<'E'\n{RESTLESS}E\nsystemctl enable --now -q restless.service"
    probe.execute(world.xray_client, "sh", "-c", f"{start}; sync", timeout=60)
    log = tmp_path_factory.mktemp("restless") / "poured.txt"
    with probe.capture(world.lab.warp, "core0", "udp port 9", log) as poured:
        poured.wait_for(r"203\.0\.113\.1\.\d+ > 203\.0\.113\.7\.9")
    yield
    stop = f"systemctl disable --now -q restless.service; rm {unit} {program} /run/restless"
    probe.execute(world.xray_client, "sh", "-c", stop, timeout=60)


@pytest.fixture
def no_leak(world: World, watch: Watch) -> NoLeak:
    """A block during which nothing but tunnels may be seen on the WAN and on the LAN, and nothing on ssh's network."""

    @contextlib.contextmanager
    def block() -> Iterator[Accident]:
        accident, before = Accident(), answers(world)
        with (
            watch(world.lab.fabric, "snl-wan", f"{world.unexpected} and not {INGRESS}") as wan,
            watch(world.lab.fabric, "snl-lan", world.unexpected) as lan,
            watch(world.lab.fabric, cast("MachineLab", world.lab).management_bridge, NOT_MANAGEMENT) as management,
        ):
            yield accident
            after = answers(world)
        new = after[len(before) :] if after[: len(before)] == before else after
        accident.asked, accident.answered = len(new), sum(line.endswith(" open") for line in new)
        assert (wan.lines, lan.lines, management.lines) == ([], [], [])
        assert accident.asked > 0

    return block


def answers(world: World) -> list[str]:
    """The restless service's log, which is lost with the container; each start writes another word before its lines."""
    return probe.execute(world.xray_client, "cat", "/run/restless", check=False).stdout.splitlines()


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


ACCIDENTS = [
    pytest.param(restart_tunnel, id="wg-quick restarted"),
    pytest.param(restart_switch, id="ovs-vswitchd restarted"),
    pytest.param(kill_switch_daemon, id="ovs-vswitchd killed with -9"),
    pytest.param(flush_connections, id="conntrack flushed on both hosts"),
]


@pytest.mark.parametrize("accident", ACCIDENTS)
def test_traffic_returns(
    world: World,
    no_leak: NoLeak,
    seen: Seen,
    accident: Callable[[World], None],
) -> None:
    """An accident, zero leaked packets, and everything works again by itself."""
    with no_leak() as what:
        begin = time.monotonic()
        accident(world)
        took = recovered(world, begin)
    seen(f"back after {took:.1f} s; {what}")


def test_nat_mapping_changes(world: World, no_leak: NoLeak, seen: Seen) -> None:
    """The router at home gives every tunnel another port, and later the old one again: the droplet follows."""
    with no_leak() as what:
        assert not mapped_port(world)
        begin = time.monotonic()
        map_ports(world, OTHER_PORTS)
        try:
            there = recovered(world, begin)
            port = mapped_port(world)
            assert port
        finally:
            begin = time.monotonic()
            map_ports(world, NAT_RULES)
        again = recovered(world, begin)
        assert not mapped_port(world)
    seen(f"port {port} after {there:.1f} s, the old one {again:.1f} s after the return; {what}")


def map_ports(world: World, rules: str) -> None:
    """As a router that was restarted: none of the flows that it knew are known."""
    world.lab.nat.run("nft", "-f", "-", data=f"delete table ip lab\n{rules}")
    world.lab.nat.run("conntrack", "-F")


def mapped_port(world: World) -> str:
    """Which of OTHER_PORTS the droplet sends the tunnel of oo1424oo to; empty when it is none of them."""
    found = re.search(r"192\.0\.2\.20:(30\d{3})\b", world.vps.run("wg show all endpoints").stdout)
    return found[1] if found else ""


def test_clock_jumps(world: World, no_leak: NoLeak, seen: Seen) -> None:
    """The clock of oo1424oo jumps an hour back: tunnels go on, a new one is refused; and ahead again: it is taken."""
    with no_leak() as what:
        begin = time.monotonic()
        world.home.run(["date", "--set", "-1 hour"])
        try:
            kept = recovered(world, begin)
            restart_tunnel(world)  # peers take no handshake that is older than the last one
            with pytest.raises(LabError):
                own_way(world)
        finally:
            world.home.run(["date", "--set", "+1 hour"])
        took = recovered(world, time.monotonic())
    seen(f"all worked {kept:.1f} s after the jump back; a new tunnel {took:.1f} s after the one ahead; {what}")


def test_large_transfers_pass_a_black_hole(world: World, no_leak: NoLeak, seen: Seen) -> None:
    """The way between home and the WAN swallows packets over 1400 bytes silently: large transfers pass, both ways."""
    assert passes(world, 1400)
    world.lab.nat.run("nft", "-f", "-", data=BLACK_HOLE)
    try:
        assert not passes(world, 1401)
        assert passes(world, 1400)
        with no_leak() as what:
            down = probe.transfer(world.client, "192.0.2.10", 443, receive=MEGABYTE, proxy="203.0.113.7:80")
            up = probe.transfer(world.client, "192.0.2.10", 443, send=MEGABYTE, proxy="203.0.113.7:80")
            own = probe.transfer(world.xray_client, "203.0.113.7", 80, receive=MEGABYTE)
    finally:
        world.lab.nat.run("nft", "delete", "table", "ip", "blackhole")
    seen(f"1 MiB down in {down:.1f} s, up in {up:.1f} s, to the container itself in {own:.1f} s; {what}")


def passes(world: World, size: int) -> bool:
    """Whether an IPv4 packet of that many bytes, not to be fragmented, comes from home to the internet and back."""
    words = ["ping", "-c", "1", "-W", "2", "-M", "do", "-s", str(size - 28), "192.0.2.1"]
    return world.home.run(words, check=False).returncode == 0


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
    no_leak: NoLeak,
    seen: Seen,
    accident: Callable[[World], Node],
) -> None:
    """A host starts again with containers on it: zero leaked packets, and all is back without an Ansible run."""
    with no_leak() as what:
        boot = boot_id(world.home), boot_id(world.vps)
        running = {host.name: containers(host) for host in world.hosts}
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
        host.wait_until_up()
    assert {host.name: containers(host) for host in world.hosts} == running
    assert host.run(["systemctl", "--failed", "--no-legend"]).stdout == ""
    seen(f"ssh after {ssh:.0f} s, traffic after {took:.0f} s; {what}")


def containers(host: Node) -> list[str]:
    return sorted(host.run(["lxc-ls", "--running", "-1"]).stdout.split())


def boot_id(host: Node) -> str:
    return host.run(["cat", "/proc/sys/kernel/random/boot_id"], timeout=10).stdout
