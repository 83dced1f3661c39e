# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as its users install it, at work on the hosts of the lab."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lab import base, probe, remote

from .conftest import World

SITE = "op_dbus.socket_network.site"

pytestmark = [pytest.mark.drift, pytest.mark.mesh("wireguard")]


@pytest.fixture(params=["tarball", "git"])
def installed(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """An environment that knows the collection only from a path into which it was just installed."""
    path, settings = tmp_path / "collections", tmp_path / "ansible.cfg"
    settings.write_text("[ssh_connection]\npipelining = true\n")
    # Also for ansible-galaxy: it would find the clone by the settings of this run, and have nothing to install.
    environment = {"ANSIBLE_CONFIG": str(settings), "ANSIBLE_COLLECTIONS_PATH": str(path)}
    galaxy = [remote.tool("ansible-galaxy"), "collection"]
    if request.param == "git":
        source = f"git+file://{tmp_path}/bare.git"
        base.run(["git", "clone", "--quiet", "--bare", str(base.REPOSITORY), f"{tmp_path}/bare.git"], timeout=60)
    else:
        base.run([*galaxy, "build", "--output-path", str(tmp_path), str(base.REPOSITORY)], timeout=60, env=environment)
        source = str(next(tmp_path.glob("*.tar.gz")))
    install = [*galaxy, "install", "--offline", "--collections-path", str(path), source]
    base.run(install, timeout=120, env=environment)
    return environment


def test_installed_collection_mends_a_host(
    world: World, installed: dict[str, str], seen: Callable[[str], None]
) -> None:
    """Installed into an empty path and run by name, it repairs a drifted host; a second run changes nothing."""
    world.home.run(["ovs-ofctl", "-O", "OpenFlow15", "del-flows", "mesh", "table=40"])
    assert probe.connect(world.gateway, "10.0.0.102", 443, limit=1.0) != "open"
    runs = [remote.playbook(SITE, inventory=world.inventory, environment=installed) for _time in range(2)]
    assert [run.returncode for run in runs] == [0, 0], runs[0].output[-4000:]
    changed = [run.changed() for run in runs]
    assert changed[0] > 0
    assert changed[1] == 0
    assert probe.connect(world.gateway, "10.0.0.102", 443) == "open"
    seen(f"{SITE}: changed={changed[0]}, then changed=0")
