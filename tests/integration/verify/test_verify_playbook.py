# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook trace.yml and the filter check_flows, through a real `ansible-playbook`, with no host to be reached."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lib.fleets import FLEETS

ROOT = Path(__file__).resolve().parents[3]
CHECK = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.assert:
        that: (fleet | op_dbus.socket_network.compile_flows(item) | op_dbus.socket_network.check_flows) == []
      loop: "{{ groups.socket_network }}"
      vars:
        fleet: "{{ hostvars | op_dbus.socket_network.fleet_inventory(groups.socket_network) }}"
    - ansible.builtin.debug:
        msg: "{{ flows | op_dbus.socket_network.check_flows(ports=['veth102', 'warp0']) | map(attribute='kind') }}"
      vars:
        flows:
          - priority=100,in_port=veth102,actions=output:warp0
          - priority=80,in_port=veth102,actions=output:nm-privacy
"""


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """Hosts that do not exist."""
    hosts = {host: {**variables, "ansible_host": "192.0.2.1"} for host, variables in FLEETS["two-bridges"].items()}
    path = tmp_path / "hosts.json"
    path.write_text(json.dumps({"socket_network": {"hosts": hosts}}), encoding="utf-8")
    return path


def play(inventory: Path, playbook: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(inventory), str(playbook), *arguments]
    environment = {**os.environ, "ANSIBLE_HOME": str(inventory.parent), "ANSIBLE_NOCOLOR": "1", "COLUMNS": "400"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_trace(inventory: Path) -> None:
    done = play(inventory, ROOT / "playbooks" / "trace.yml", "-e", "from=c120 to=c110 protocol=tcp port=443")
    assert done.returncode == 0, done.stdout + done.stderr
    words = " ".join(done.stdout.split())
    assert "arrives at container c110 of left. Decided in table policy of left" in words
    assert "[left: lxc_service_containers[c110].services[web] from mesh]" in words
    assert "The answer: arrives at container c120 of right" in words
    assert "changed=0" in words


def test_trace_in_words(inventory: Path) -> None:
    asked = json.dumps({"packet": "from right to c110 tcp/443"})
    done = play(inventory, ROOT / "playbooks" / "trace.yml", "-e", asked)
    assert done.returncode == 0, done.stdout + done.stderr
    words = " ".join(done.stdout.split())
    assert "tcp/443 from 10.100.0.2 (uplink nm-left of left) to 10.2.0.110: arrives at container c110 of left" in words


def test_trace_tells_what_is_wrong_with_the_packet(inventory: Path) -> None:
    done = play(inventory, ROOT / "playbooks" / "trace.yml", "-e", "from=c120 to=c110 protocol=tcp")
    assert done.returncode != 0
    assert "port = None is not a port" in done.stdout + done.stderr


def test_check(inventory: Path, tmp_path: Path) -> None:
    playbook = tmp_path / "check.yml"
    playbook.write_text(CHECK, encoding="utf-8")
    done = play(inventory, playbook)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "- dead - no_such_port" in " ".join(done.stdout.split())
