# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook reachability.yml through a real `ansible-playbook`, with no host to be reached."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.lib.fleets import FLEETS

ROOT = Path(__file__).resolve().parents[3]
PLAYBOOK = ROOT / "playbooks" / "reachability.yml"
HOST = "oo1424oo"
SSH = {"name": "ssh", "protocol": "tcp", "port": 22, "exposed": True}


def written(inventory: dict[str, Any], path: Path) -> Path:
    """An inventory of hosts that do not exist."""
    hosts = {host: {**variables, "ansible_host": "192.0.2.1"} for host, variables in inventory.items()}
    path.write_text(json.dumps({"socket_network": {"hosts": hosts}}), encoding="utf-8")
    return path


@pytest.fixture
def before(tmp_path: Path) -> Path:
    return written(FLEETS["production-example"], tmp_path / "before.json")


@pytest.fixture
def after(tmp_path: Path) -> Path:
    inventory = copy.deepcopy(FLEETS["production-example"])
    inventory[HOST]["lxc_service_containers"][0]["services"] = [SSH]
    return written(inventory, tmp_path / "after.json")


def play(inventory: Path, *arguments: str) -> tuple[int, str]:
    """Exit status, and what was printed with all white space alike."""
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(inventory), str(PLAYBOOK), *arguments]
    environment = {**os.environ, "ANSIBLE_HOME": str(inventory.parent), "ANSIBLE_NOCOLOR": "1"}
    environment |= {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections")}
    done = subprocess.run(
        command, cwd=inventory.parent, env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def test_the_table_tells_the_whole_fleet_and_is_saved(before: Path, after: Path) -> None:
    status, words = play(before, "-e", "save=saved.json")
    assert status == 0, words
    assert "- oo1424oo/xray-client - ' tcp/443 from oo1424oo/gateway'" in words
    assert "internet via oo1424oo/warp0" in words
    assert "unreachable=0 failed=0" in words
    saved = json.loads((before.parent / "saved.json").read_text(encoding="utf-8"))
    assert {"source": "internet", "published": 8443}.items() <= next(
        row.items() for row in saved["rows"] if row["ports"] == ["8443"] and row["source"] == "internet"
    )
    status, words = play(after, "-e", "against=saved.json")
    assert status == 0, words
    assert "This change opens:' - ' oo1424oo/gateway' - ' tcp/22 from oo1424oo/xray-client'" in words
    assert "This change closes" not in words


@pytest.mark.parametrize(("fail_on", "status"), [("opens", 2), ("any", 2), ("closes", 0)])
def test_a_change_of_the_inventory_can_fail(before: Path, after: Path, fail_on: str, status: int) -> None:
    done, words = play(after, "-e", f"against={before.name} fail_on={fail_on}")
    assert done == status, words
    assert "This change opens:" in words
    assert ("The change opens or closes connections" in words) == bool(status)


def test_the_other_inventory_may_be_a_directory_with_variables(tmp_path: Path, after: Path) -> None:
    directory = tmp_path / "inventory"
    (directory / "host_vars").mkdir(parents=True)
    fleet = FLEETS["production-example"]
    (directory / "hosts.yml").write_text(json.dumps({"socket_network": {"hosts": {host: {} for host in fleet}}}))
    for host, variables in fleet.items():
        text = json.dumps({**variables, "address_of_all": "10.0.0.102/24"})
        text = text.replace('"10.0.0.102/24"', '"{{ address_of_all }}"', 1)
        (directory / "host_vars" / f"{host}.yml").write_text(text)
    status, words = play(after, "-e", "against=inventory")
    assert status == 0, words
    assert "tcp/22 from oo1424oo/xray-client" in words


def test_what_cannot_be_read_is_told(tmp_path: Path, before: Path) -> None:
    status, words = play(before, "-e", "against=nowhere")
    assert status != 0
    assert f"there is no {tmp_path}/nowhere. Fix: name an inventory or a saved matrix." in words
    (tmp_path / "empty.ini").write_text("[others]\nhost1\n")
    status, words = play(before, "-e", "against=empty.ini")
    assert status != 0
    assert "has no group socket_network" in words
