# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules as Ansible ships them to a host: every import arrives, and their results are what Ansible expects."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.integration.ovs.private_ovs import PrivateOvs

ROOT = Path(__file__).resolve().parents[3]


def ansible(ovs: PrivateOvs, module: str, check: bool, **arguments: Any) -> dict[str, Any]:
    argv = [str(Path(sys.executable).parent / "ansible"), "localhost", "-i", "localhost,", "-c", "local"]
    argv += ["-e", f"ansible_python_interpreter={sys.executable}", *(["--check"] if check else [])]
    argv += ["-m", f"op_dbus.socket_network.{module}", "-a", json.dumps(arguments)]
    environment = {
        **os.environ,
        **ovs.environment,
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_LOCAL_TEMP": str(ovs.directory / "tmp"),
        "ANSIBLE_REMOTE_TEMP": str(ovs.directory / "tmp"),
    }
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    result: dict[str, Any] = json.loads(done.stdout[done.stdout.index("{") :])
    return result


def test_both_modules(ovs: PrivateOvs) -> None:
    bridge: dict[str, Any] = {"name": "mesh", "ports": [{"name": "ovs-warp0", "ofport": 53211}]}
    flows: dict[str, Any] = {
        "bridge": "mesh",
        "flows": ['in_port="ovs-warp0",actions=drop'],
        "ports": {"ovs-warp0": 53211},
        "durable": str(ovs.directory / "mesh.flows"),
    }
    empty = ovs.state()
    assert ansible(ovs, "ovs_bridge", True, **bridge)["changed"]
    assert ansible(ovs, "ovs_bridge_flows", True, **flows)["counts"]["added"] == 1
    assert ovs.state() == empty
    for changed in (True, False):
        assert ansible(ovs, "ovs_bridge", False, **bridge)["changed"] is changed
        assert ansible(ovs, "ovs_bridge_flows", False, **flows)["changed"] is changed
