# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of site.yml on hosts that are converged, drifted, half done or changed by the inventory."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab import base, interrupted, probe
from lab.mesh import WIREGUARD
from lab.remote import PlaybookRun

from .conftest import World

Site = Callable[..., PlaybookRun]
Seen = Callable[[str], None]
State = dict[str, Any]

pytestmark = pytest.mark.drift
KILLED_RUNS = 1
plain = pytest.mark.mesh("wireguard")
"""Nothing that another mesh could change: proven once."""


def states(world: World) -> dict[str, State]:
    return {host.name: world.state(host) for host in world.hosts}


def test_check_on_converged_hosts_changes_nothing(world: World, site: Site, seen: Seen) -> None:
    """`--check --diff` on converged hosts reports no change and leaves files, flows, routes, processes as they were."""
    before = states(world)
    run = site("--check", "--diff")
    after = states(world)
    for name, state in before.items():
        assert probe.difference(state, after[name]) == []
    assert run.changed() == 0
    seen(f"changed=0; {sum(len(state) for state in after.values())} items of state compared")


def test_run_limited_to_one_host_leaves_the_other_in_touch(world: World, site: Site, seen: Seen) -> None:
    """`-l oo1424oo` alone disturbs nothing: connections through both hosts keep working during the run."""
    before = world.state(world.vps)
    stop, answers, failures = threading.Event(), [], []

    def keep_asking() -> None:
        while not stop.is_set():
            try:
                answers.append(world.through_warp()["peer"])
            except base.LabError as error:
                failures.append(str(error))

    asking = threading.Thread(target=keep_asking)
    asking.start()
    try:
        run = site("-l", "oo1424oo")
    finally:
        stop.set()
        asking.join(30)
    assert failures == []
    assert set(answers) == {"203.0.113.1"}
    assert run.changed() == 0
    assert set(run.recap) == {"oo1424oo"}
    assert probe.difference(before, world.state(world.vps)) == []
    seen(f"{len(answers)} connections through both hosts during the run, none failed; the droplet is as before")


@plain
def test_drift_is_repaired(world: World, site: Site, seen: Seen) -> None:
    """A flow deleted by hand, a bridge port removed, a config file edited, a unit stopped: one run repairs them all."""
    before = states(world)
    world.vps.run(["ovs-ofctl", "-O", "OpenFlow15", "del-flows", "mesh", "table=40"])
    world.home.run(["ovs-vsctl", "del-port", "mesh", "ovs-warp0"])
    world.home.run("echo '# edited by hand' >> /etc/wireguard/warp0.conf")
    world.vps.run(["systemctl", "stop", "wg-quick@nm-server.service"])
    assert probe.connect(world.mcp, "10.1.0.201", 9574, limit=1.0) != "open"
    run = site()
    assert all(counts["changed"] for counts in run.recap.values())
    world.wait_for_mesh()
    assert probe.connect(world.mcp, "10.1.0.201", 9574) == "open"
    assert site().changed() == 0
    left = {name: lasting(probe.difference(state, states(world)[name])) for name, state in before.items()}
    assert left == {name: [] for name in before}
    seen(", ".join(f"{name}: changed={counts['changed']}" for name, counts in run.recap.items()) + "; then changed=0")


def lasting(changes: list[str]) -> list[str]:
    """Changes other than new process ids of services that had to be restarted."""
    return [change for change in changes if not change.startswith("active ")]


@plain
def test_removed_service_is_cut_at_once(world: World, site: Site, seen: Seen, tmp_path: Path) -> None:
    """A service removed from the inventory is closed for new connections, and open ones are cut."""
    inventory = changed_inventory(world, tmp_path)
    client = subprocess.Popen(
        world.mcp("python3", "-u", "-c", KEEP_TALKING, "10.1.0.201", "9574"), stdout=subprocess.PIPE, text=True
    )
    try:
        assert client.stdout is not None
        assert client.stdout.readline().strip() == "connected"
        assert client.stdout.readline().strip() == "talking"
        site(inventory=inventory)
        client.send_signal(signal.SIGUSR1)
        talked = client.stdout.read()
        client.wait(30)
    finally:
        client.kill()
        closed = probe.connect(world.mcp, "10.1.0.201", 9574, limit=1.0)
        site()
    assert "cut" in talked, talked
    assert closed != "open"
    assert probe.connect(world.mcp, "10.1.0.201", 9574) == "open"
    seen(f"live connection cut, new ones: {closed}; open again with the old inventory")


KEEP_TALKING = """
import signal, socket, sys, threading
link = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
print("connected")
link.sendall(b"GET / HTTP/1.0\\r\\n")
print("talking")
asked = threading.Event()
signal.signal(signal.SIGUSR1, lambda *_: asked.set())
asked.wait(300)
link.settimeout(4)
try:
    link.sendall(b"\\r\\n")
    print("answered" if link.recv(100) else "closed")
except (TimeoutError, OSError) as error:
    print("cut", error)
"""


def changed_inventory(world: World, directory: Path) -> str:
    """A copy of the lab's inventory in which op-dbus-api exposes nothing."""
    copy = directory / "inventory"
    shutil.copytree(base.REPOSITORY / world.inventory, copy)
    variables = copy / "host_vars/vps-gateway/host.yml"
    text, number = re.subn(r"(name: api, .*?exposed_to: )\[local, mesh\]", r"\1[]", variables.read_text())
    assert number == 1
    variables.write_text(text)
    return str(copy)


@plain
def test_teardown_leaves_the_hosts_as_they_were(world: World, site: Site, seen: Seen) -> None:
    """teardown.yml removes what site.yml made and nothing else: the hosts are as before the first run."""
    site(book="playbooks/teardown.yml")
    left = {host.name: remains(world.lab.fresh_state(host), probe.state(host)) for host in world.hosts}
    again = site(book="playbooks/teardown.yml")
    site()
    world.wait_for_mesh()
    assert left == {"vps-gateway": [], "oo1424oo": []}
    assert again.changed() == 0
    seen(
        "no difference of files, units, links, routes, rules and OVSDB to the fresh hosts; a second teardown changed=0"
    )


def remains(fresh: State, now: State) -> list[str]:
    """Differences that provisioning and removal left behind.

    Not counted: the bridge that molecule's prepare step made, and root's range of ids for unprivileged containers,
    which others may use by now.
    """
    mine = ("foreign0", "file /etc/subuid", "file /etc/subgid")
    return [change for change in lasting(probe.difference(fresh, now)) if not any(word in change for word in mine)]


@plain
@pytest.mark.parametrize(
    "task", interrupted.chosen(KILLED_RUNS, WIREGUARD.tasks), ids=lambda task: f"seed {interrupted.seed()}, task {task}"
)
def test_killed_run_is_completed_by_the_next(world: World, site: Site, seen: Seen, task: int) -> None:
    """A run killed in the middle, on hosts that were torn down before, is completed by the next one."""
    site(book="playbooks/teardown.yml")
    killed = interrupted.run(world.lab.mesh, task)
    run = site()
    assert site().changed() == 0
    world.wait_for_mesh()
    seen(f"{killed}; the next run changed {run.changed()} things, the one after none")


def test_host_returns_after_power_cut(world: World, site: Site, seen: Seen) -> None:
    """After a power cut everything is back without an Ansible run, stale ports in OVSDB notwithstanding."""
    world.home.power_cut()
    world.home.boot()
    took = probe.until("the whole way to work", world.through_warp, timeout=60.0)
    run = site()
    assert run.changed() == 0
    seen(f"the whole way worked {took:.1f} s after ssh answered; a run then changed=0")


@plain
def test_flows_survive_a_restart_of_the_switch(world: World, seen: Seen) -> None:
    """A restart of ovs-vswitchd brings the same flows back, and traffic with them."""
    before = sorted((flow.cookie, flow.match, flow.actions) for flow in probe.flows(world.home))
    world.home.run(["systemctl", "restart", "ovs-vswitchd.service"])
    took = probe.until("the whole way to work", world.through_warp, timeout=30.0)
    after = sorted((flow.cookie, flow.match, flow.actions) for flow in probe.flows(world.home))
    assert after == before
    seen(f"{len(after)} flows, the same as before; traffic {took:.1f} s after the restart")
