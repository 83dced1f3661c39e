# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The diff of ovs_bridge_flows tells which connections changed flows open and close: against those on a real switch."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.op_dbus.socket_network.plugins.filter.compile_flows import compile_flows

from tests.integration.ovs.conftest import Apply
from tests.integration.ovs.private_ovs import PrivateOvs
from tests.lib.fleets import FLEETS

ROOT = Path(__file__).resolve().parents[3]
HOST = "oo1424oo"
SERVICE = f"{HOST}: lxc_service_containers[gateway].services[ssh]"
OPENS = [
    f"nm-privacy (ovs-nm-privacy) -> gateway (veth100) tcp/22  # {SERVICE} from mesh",
    f"xray-client (veth102) -> gateway (veth100) tcp/22  # {SERVICE} from local",
]
SAME = {"opens": [], "closes": [], "note": ""}


def mesh(inventory: dict[str, Any]) -> dict[str, Any]:
    bridge = compile_flows(inventory, HOST)["mesh"]
    return {key: bridge[key] for key in ("flows", "ports", "origins")}


@pytest.fixture
def before() -> dict[str, Any]:
    return mesh(FLEETS["production-example"])


@pytest.fixture
def after() -> dict[str, Any]:
    """The gateway serves SSH, and xray-client has no way out any more."""
    inventory = copy.deepcopy(FLEETS["production-example"])
    gateway, client = inventory[HOST]["lxc_service_containers"]
    gateway["services"] = [{"name": "ssh", "protocol": "tcp", "port": 22, "exposed": True}]
    del client["egress"]
    return mesh(inventory)


def test_a_change_tells_what_it_opens_and_closes(apply: Apply, before: dict[str, Any], after: dict[str, Any]) -> None:
    assert apply(**before)["reachability"]["closes"] == []
    for check in (True, False):
        result = apply(**after, check=check)
        assert result["reachability"]["opens"] == OPENS
        (closed,) = result["reachability"]["closes"]
        assert closed.startswith("xray-client (veth102) -> warp0 (ovs-warp0) any to all addresses but ")
        assert [line for line in result["diff"]["after"].splitlines() if line.startswith("opens: ")] == [
            f"opens: {line}" for line in OPENS
        ]
        assert f"closes: {closed}\n" in result["diff"]["before"]
    again = apply(**after)
    assert (again["changed"], again["reachability"]) == (False, SAME)


def test_everything_is_closed_when_the_flows_go(apply: Apply, before: dict[str, Any]) -> None:
    apply(**before)
    gone = apply([], state="absent", ports=before["ports"], check=True)["reachability"]
    assert gone["opens"] == []
    assert "ovs-nm-privacy, veth100 -> veth102 tcp/443" in gone["closes"]


def test_rules_that_are_not_understood_are_a_note_and_load(apply: Apply) -> None:
    result = apply(["priority=300,ip,tun_id=5,actions=drop"], on_finding="warn")
    assert result["changed"]
    assert "not all rules are understood" in result["reachability"]["note"]
    assert "reachability: not told" in result["diff"]["after"]


def ansible(ovs: PrivateOvs, arguments: dict[str, Any], *options: str) -> str:
    argv = [str(Path(sys.executable).parent / "ansible"), "localhost", "-i", "localhost,", "-c", "local", *options]
    argv += ["-e", f"ansible_python_interpreter={sys.executable}"]
    argv += ["-m", "op_dbus.socket_network.ovs_bridge_flows", "-a", json.dumps(arguments)]
    temporary = str(ovs.directory / "tmp")
    environment = {**os.environ, **ovs.environment, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}
    environment |= {"ANSIBLE_LOCAL_TEMP": temporary, "ANSIBLE_REMOTE_TEMP": temporary}
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_check_and_diff_on_the_command_line(
    ovs: PrivateOvs, apply: Apply, durable: Path, before: dict[str, Any], after: dict[str, Any]
) -> None:
    apply(**before)
    arguments = {"bridge": "mesh", "durable": str(durable), **after}
    shown = ansible(ovs, arguments, "--check", "--diff")
    assert [line for line in shown.splitlines() if line.startswith("+opens:")] == [f"+opens: {line}" for line in OPENS]
    assert "-closes: xray-client (veth102) -> warp0 (ovs-warp0) any" in shown
    silent = ansible(ovs, arguments, "--check")
    assert json.loads(silent[silent.index("{") :])["reachability"] == SAME
