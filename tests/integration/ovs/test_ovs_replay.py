# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The script that gives flows back when ovs-vswitchd starts, called as its unit calls it."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.integration.ovs.conftest import Apply
from tests.integration.ovs.private_ovs import PrivateOvs

SCRIPT = Path(__file__).resolve().parents[3] / "roles" / "socket_bridge" / "files" / "op-dbus-ovs-replay"
FLOWS = ['in_port="veth100",actions=output:"veth102"', "priority=0,actions=drop"]


def held(ovs: PrivateOvs) -> bool:
    return "flow-restore-wait" in ovs.vsctl("--no-wait", "get", "Open_vSwitch", ".", "other_config")


def script(command: str, directory: Path) -> subprocess.CompletedProcess[str]:
    argv = [str(SCRIPT), command, str(directory)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_flows_return_after_a_restart(ovs: PrivateOvs, apply: Apply, directory: Path, how: signal.Signals) -> None:
    apply(FLOWS)
    before = ovs.flows("mesh")
    ovs.stop("ovs-vswitchd", how)
    assert script("hold", directory).returncode == 0
    assert held(ovs)
    ovs.start_switch("--enable-dummy=override")
    assert ovs.flows("mesh") == []
    done = script("replay", directory)
    assert (done.returncode, done.stdout) == (0, "flows of bridge mesh replayed\n")
    assert ovs.flows("mesh") == before
    assert not held(ovs)
    assert not apply(FLOWS)["changed"]


def test_a_bad_file_stops_neither_the_others_nor_the_release(ovs: PrivateOvs, apply: Apply, directory: Path) -> None:
    apply(FLOWS)
    before = ovs.flows("mesh")
    (directory / "gone.flows").write_text("actions=drop\n")
    (directory / "broken.flows").write_text("nonsense\n")
    ovs.vsctl("add-br", "broken", "--", "set", "Bridge", "broken", "datapath_type=netdev", "fail_mode=secure")
    ovs.ofctl("del-flows", "mesh")
    script("hold", directory)
    done = script("replay", directory)
    assert done.returncode == 1
    assert "flows of bridge broken not replayed" in done.stderr
    assert "flows of bridge gone not replayed" in done.stderr
    assert ovs.flows("mesh") == before
    assert not held(ovs)


def test_without_files_nothing_is_held(ovs: PrivateOvs, directory: Path) -> None:
    assert script("hold", directory).returncode == 0
    assert not held(ovs)


def test_interrupted_replay_releases(ovs: PrivateOvs, apply: Apply, directory: Path) -> None:
    """A replay that hangs is ended by systemd: the hold must not outlive it."""
    apply(FLOWS)
    script("hold", directory)
    shims = directory / "shims"
    shims.mkdir()
    (shims / "ovs-ofctl").write_text("#!/bin/sh\nkill -TERM $PPID\n")
    (shims / "ovs-ofctl").chmod(0o755)
    environment = {**os.environ, "PATH": f"{shims}:{os.environ['PATH']}"}
    done = subprocess.run([str(SCRIPT), "replay", str(directory)], env=environment, timeout=60, check=False)
    assert done.returncode == 1
    assert not held(ovs)


def test_release_and_usage(ovs: PrivateOvs, apply: Apply, directory: Path) -> None:
    apply(FLOWS)
    script("hold", directory)
    assert script("release", directory).returncode == 0
    assert not held(ovs)
    done = script("reload", directory)
    assert (done.returncode, done.stderr.startswith("usage: ")) == (2, True)
