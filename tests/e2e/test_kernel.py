# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What only hosts with kernels of their own can show: their datapath, their tunnels, limits that bite."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from lab import probe
from lab.node import Node
from tests.bench import bench_forwarding

from .conftest import World

Seen = Callable[[str], None]

pytestmark = pytest.mark.machines

EAT_MEMORY = "parts = []\nwhile True: parts.append(bytearray(b'x' * (8 << 20)))"
BURN_SECONDS = 4
BURN_TIME = f"""
import time
begin, used = time.monotonic(), time.process_time()
while time.monotonic() < begin + {BURN_SECONDS}: pass
print(time.process_time() - used)
"""
CGROUP = "/sys/fs/cgroup/lxc.payload.files"


def container_pid(host: Node, name: str) -> str:
    return host.run(["lxc-info", "--name", name, "--pid", "--no-humanize"]).stdout.strip()


def events(host: Node, file: str) -> dict[str, int]:
    """A flat-keyed file of the container's cgroup."""
    lines = host.read(f"{CGROUP}/{file}").splitlines()
    return {key: int(value) for key, _space, value in (line.partition(" ") for line in lines)}


def test_packets_go_through_the_kernel(world: World, seen: Seen) -> None:
    """Open vSwitch forwards in the kernel: its module has the ports, and flows with the packets of a connection."""
    assert world.home.run(["ovs-vsctl", "get", "bridge", "mesh", "datapath_type"]).stdout.strip() in ('""', "system")
    ports = world.home.run(["ovs-appctl", "dpctl/show", "system@ovs-system"]).stdout
    assert "veth102" in ports
    assert probe.get(world.xray_client, "203.0.113.7", 80)["peer"] == "203.0.113.1"
    dump = world.home.run(["ovs-appctl", "dpctl/dump-flows", "--names", "system@ovs-system"]).stdout
    flows = [line for line in dump.splitlines() if "in_port(veth102)" in line]
    counted = sum(int(number) for line in flows for number in re.findall(r"packets:(\d+)", line))
    assert counted > 0
    seen(f"{len(flows)} flows of the kernel's datapath from veth102, {counted} packets; kernel {kernel(world.home)}")


def kernel(host: Node) -> str:
    return host.run(["uname", "-r"]).stdout.strip()


@pytest.mark.mesh("wireguard")
def test_tunnels_are_the_kernels(world: World, seen: Seen) -> None:
    """Every tunnel is WireGuard of the kernel; no program stands in for it."""
    found = []
    for host in world.hosts:
        found += host.run("ip -o -d link show type wireguard").stdout.splitlines()
        assert host.run("pgrep -x wireguard-go", check=False).stdout == ""
    devices = [line.split(":")[1].strip() for line in found]
    assert sorted(devices) == ["nm-privacy", "nm-privacy", "nm-server", "warp0"]
    seen(", ".join(devices))


def test_containers_are_unprivileged_and_confined(world: World, seen: Seen) -> None:
    """Root of a container is nobody on the host, and AppArmor holds it."""
    uids = world.home.read(f"/proc/{container_pid(world.home, 'xray-client')}/uid_map").split()
    profile = world.home.read(f"/proc/{container_pid(world.home, 'xray-client')}/attr/current").strip()
    system = probe.execute(world.xray_client, "cat", "/etc/debian_version").stdout.strip()
    assert uids[0] == "0"
    assert int(uids[1]) >= 100000
    assert profile.startswith("lxc-xray-client_")
    assert profile.endswith("(enforce)") or "//&" in profile
    seen(f"Debian {system}; uid 0 is {uids[1]} on the host; {profile}")


def test_memory_limit_bites(world: World, seen: Seen) -> None:
    """A container that asks for more memory than its limit loses the process that asked; the host and it live on."""
    before = events(world.node3, "memory.events")["oom_kill"]
    done = probe.execute(world.files, "python3", "-c", EAT_MEMORY, check=False, timeout=120)
    after = events(world.node3, "memory.events")["oom_kill"]
    assert done.returncode != 0
    assert after > before
    assert world.node3.read(f"{CGROUP}/memory.max").strip() == str(128 << 20)
    assert probe.execute(world.files, "echo", "alive").stdout == "alive\n"
    seen(f"memory.max 128 MiB, ended with {done.returncode}, {after - before} killed")


def test_processor_limit_bites(world: World, seen: Seen) -> None:
    """A container with half a processor gets half a second of it each second."""
    before = events(world.node3, "cpu.stat")
    used = float(probe.execute(world.files, "python3", "-c", BURN_TIME, timeout=120).stdout)
    after = events(world.node3, "cpu.stat")
    assert after["nr_throttled"] > before["nr_throttled"]
    assert used < 0.65 * BURN_SECONDS
    throttled = after["nr_throttled"] - before["nr_throttled"]
    seen(f"throttled {throttled} times, {used:.1f} s of processor time in {BURN_SECONDS} s")


def test_cost_of_the_pipeline(world: World, seen: Seen) -> None:
    """Throughput, connection rate and latency through the pipeline, a NORMAL bridge and plain conntrack, in one run."""
    result = bench_forwarding.measure(world.node3, rounds=5)
    seen(result.describe())
