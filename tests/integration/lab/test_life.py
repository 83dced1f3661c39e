# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts of the full lab that end early: whatever ends them, nothing stays."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import base
from lab.current import current
from lab.ledger import cgroup_directories
from lab.topology import LINKS

NETWORKS_ARE_MADE = "WireGuard:"
"""The last line that a start prints before it makes networks and hosts."""


@pytest.fixture(autouse=True)
def _no_lab() -> Iterator[None]:
    if current().directory.exists():
        pytest.skip("a lab is up on this machine, and there can be one at a time")
    yield
    current().down()


def start(mesh: str = "wireguard") -> subprocess.Popen[str]:
    """`lab up`, at the moment when it begins to make networks and hosts."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lab", "up", "--mesh", mesh],
        cwd=base.REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert any(NETWORKS_ARE_MADE in line for line in process.stdout)
    return process


def has_host() -> bool:
    return any(host.is_running for host in current().hosts.values())


def has_third_host() -> bool:
    return "node3" in current().hosts and current().hosts["node3"].is_running


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return base.run([sys.executable, "-m", "lab", *words], check=False, env={"PYTHONPATH": str(base.REPOSITORY)})


def traces() -> list[str]:
    lab = current()
    namespaces = (lab.fabric, lab.nat, lab.warp, lab.internet, lab.client)
    spaces = [str(space.path) for space in namespaces if space.path.exists()]
    mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if str(lab.directory) in line]
    cgroups = [str(top) for name in LINKS for top in cgroup_directories(f"socket-network-lab-{name}") if top.exists()]
    files = [str(path) for path in (lab.directory, lab.mesh.generated, lab.ssh_config) if path.exists()]
    return spaces + mounts + cgroups + files


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("booting", [False, True], ids=["networks", "hosts"])
def test_interrupted_start_takes_all_down(number: signal.Signals, booting: bool) -> None:
    process = start()
    if booting:
        base.wait_for("a host", has_host)
    os.kill(process.pid, number)
    output, _errors = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert f"interrupted ({number.name}) in step: lab" in output
    assert traces() == []


def test_killed_start_is_taken_down_later() -> None:
    process = start()
    base.wait_for("a host", has_host)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(30)
    assert traces() != []
    done = command("down")
    assert done.returncode == 0, done.stdout
    assert traces() == []
    assert not has_host()


def test_killed_start_with_netmaker_is_taken_down_by_the_next_start() -> None:
    """Also its third host, although the next lab has none."""
    process = start("netmaker")
    base.wait_for("the third host", has_third_host)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(30)
    successor = start("wireguard")
    assert not any("node3" in trace for trace in traces())
    os.kill(successor.pid, signal.SIGTERM)
    successor.communicate(timeout=60)
    assert traces() == []


def test_start_that_fails_half_way_takes_all_down() -> None:
    """Here because somebody takes a namespace away."""
    process = start()
    base.wait_for("the first namespace", lambda: Path("/run/netns/snl-client").exists())
    base.run(["ip", "netns", "delete", "snl-client"])
    output, _errors = process.communicate(timeout=60)
    assert process.returncode == 1, output
    assert "FAILED in step: lab: networks" in output
    assert traces() == []


def test_second_command_is_refused_while_one_works() -> None:
    base.RUN.mkdir(parents=True, exist_ok=True)
    with (base.RUN / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = command("up")
    assert done.returncode == 1
    assert "another command of the lab is at work" in done.stdout
    assert traces() == []
