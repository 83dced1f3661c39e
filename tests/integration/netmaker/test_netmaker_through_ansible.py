# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""As Ansible ships the modules: defaults of their group, a credential from the environment, secrets, errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.integration.netmaker.calls import new_range
from tests.integration.netmaker.servers import MASTER_KEY, Netmaker

ROOT = Path(__file__).resolve().parents[3]
MODULE = "op_dbus.socket_network.netmaker_"
GROUP = "group/op_dbus.socket_network.netmaker"


def task(result: str, module: str, /, *facts: str, **arguments: Any) -> list[dict[str, Any]]:
    """A module call registered as ``result``, and what must be true of it."""
    keywords = {
        key.removesuffix("_"): arguments.pop(key) for key in ("check_mode", "ignore_errors") if key in arguments
    }
    call = {"name": result, MODULE + module: arguments, "register": result, **keywords}
    say = f"{{{{ {result} | string | truncate(3000) }}}}"
    return [call, {"name": "Look", "ansible.builtin.assert": {"that": list(facts), "quiet": True, "fail_msg": say}}]


def play(directory: Path, tasks: list[dict[str, Any]], defaults: dict[str, Any]) -> str:
    """What Ansible prints of a play that must succeed, with all the detail it can give."""
    plays = [
        {
            "hosts": "localhost",
            "gather_facts": False,
            "vars": {"ansible_python_interpreter": sys.executable},
            "module_defaults": {GROUP: defaults},
            "tasks": tasks,
        }
    ]
    book = directory / "play.json"
    book.write_text(json.dumps(plays))
    environment = {
        **os.environ,
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_LOCAL_TEMP": str(directory / "tmp"),
        "ANSIBLE_REMOTE_TEMP": str(directory / "tmp"),
        "NETMAKER_MASTER_KEY": MASTER_KEY,
    }
    argv = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", "-c", "local", "-vvv", "--diff"]
    done = subprocess.run(
        [*argv, str(book)], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    return done.stdout + done.stderr


def test_all_modules(shared_standin: Netmaker, tmp_path: Path) -> None:
    host = shared_standin.join(str(shared_standin.network()["netid"]), name="through-ansible")["hostid"]
    mesh = {"netid": "through-ansible", "addressrange": new_range()}
    member = {"network": "through-ansible", "host_id": host, "join": True, "egress": [{"range": "172.31.0.0/24"}]}
    tasks = [
        *task("predicted", "network", "predicted is changed", "predicted.network is none", check_mode=True, **mesh),
        *task("made", "network", "made is changed", "made.network.netid == 'through-ansible'", **mesh),
        *task("again", "network", "again is not changed", **mesh),
        *task(
            "key",
            "enrollment_key",
            "key.token is string",
            "key is changed",
            name="new-key",
            networks=[mesh["netid"]],
            uses=1,
        ),
        *task("joined", "node", "joined is changed", "joined.egress[0].metric == 256", **member),
        *task("rejoined", "node", "rejoined is not changed", **member),
        *task("seen", "info", "seen.nodes[0].host_name == 'through-ansible'", network=mesh["netid"]),
        *task(
            "taken",
            "network",
            "taken.error_code == 'has_members'",
            ignore_errors=True,
            state="absent",
            netid=mesh["netid"],
        ),
        *task("gone", "network", "gone is changed", state="absent", force=True, netid=mesh["netid"]),
    ]
    tasks[6]["no_log"] = True
    printed = play(tmp_path, tasks, {"api_url": shared_standin.url})
    assert MASTER_KEY not in printed
    assert '"token"' not in printed


def test_nobody_there(tmp_path: Path) -> None:
    tasks = task("found", "info", "found.error_code == 'unreachable'", "'Fix:' in found.msg", ignore_errors=True)
    assert MASTER_KEY not in play(tmp_path, tasks, {"api_url": "http://127.0.0.1:9"})
