# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the lab with Netmaker while its server is away, and hosts that leave and join by inventory."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import base, probe
from lab.remote import PlaybookRun

from . import netmaker_api as api
from .conftest import World
from .test_netmaker import ADDRESSES, EGRESS

Site = Callable[..., PlaybookRun]
Seen = Callable[[str], None]

SERVER_UNITS = ["netmaker.service", "netmaker-front.service", "netmaker-broker.service"]

pytestmark = [pytest.mark.drift, pytest.mark.mesh("netmaker")]


def test_host_stays_up_while_the_server_is_down(world: World, site: Site, seen: Seen) -> None:
    """With the server down a converged host keeps its mesh, and a run says so and changes nothing."""
    world.vps.run(["systemctl", "stop", *SERVER_UNITS])
    try:
        run = site("-l", "oo1424oo")
        works = probe.connect(world.xray_server, "10.0.0.102", 443)
    finally:
        world.vps.run(["systemctl", "start", *reversed(SERVER_UNITS)])
    told = re.findall(r"[^\n]*Netmaker server[^\n]*", run.output)
    probe.until("the server", lambda: api.nodes(world.vps))
    world.wait_for_mesh()
    assert works == "open"
    assert run.changed() == 0
    assert told, run.output[-4000:]
    seen(f"changed=0, the mesh works; the run says: {told[-1].strip()[:160]}")


def test_host_leaves_and_joins_by_inventory(world: World, site: Site, seen: Seen, tmp_path: Path) -> None:
    """remove_node.yml takes node3 out, the others stay; back in the inventory it is a member again, all as before."""
    remove = {"book": "playbooks/remove_node.yml", "node": "node3", "remove_node_confirmed": True}
    first = site(**remove)
    left = api.nodes(world.vps).keys(), api.egress(world.vps)
    stays = probe.connect(world.xray_server, "10.0.0.102", 443)
    again = site(**remove)
    assert left == ({"vps-gateway", "oo1424oo"}, [row for row in EGRESS if row[1] != "node3"])
    assert "node3" not in api.hosts(world.vps)
    assert stays == "open"
    assert first.changed() > 0
    assert again.changed() == 0
    two = site(inventory=without_node3(world, tmp_path))
    assert set(two.recap) == {"vps-gateway", "oo1424oo"}
    for host in (world.vps, world.home):
        assert not any("10.2.0.0/24" in flow.match for flow in probe.flows(host))
    three = site()
    assert api.egress(world.vps) == EGRESS
    assert {name: node["address"].partition("/")[0] for name, node in api.nodes(world.vps).items()} == ADDRESSES
    probe.until("node3", lambda: probe.connect(world.xray_client, "10.2.0.30", 8080) == "open", timeout=60.0)
    changed = {name: counts["changed"] for name, counts in three.recap.items()}
    seen(f"removed: changed={first.changed()}, then 0; back: changed {changed}, node3's container answers oo1424oo's")


def without_node3(world: World, directory: Path) -> str:
    """A copy of the lab's inventory with two hosts."""
    copy = directory / "inventory"
    shutil.copytree(base.REPOSITORY / world.inventory, copy)
    hosts = copy / "hosts.yml"
    text, number = re.subn(r"\n    node3:", "", hosts.read_text())
    assert number == 1
    hosts.write_text(text)
    shutil.rmtree(copy / "host_vars/node3")
    return str(copy)
