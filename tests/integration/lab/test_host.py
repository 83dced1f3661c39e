# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host of the lab by itself: its life, what tests do with it, and that nothing of it stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import base, probe
from lab.base import LabError
from lab.host import Host

NAME = "lab-test"


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with Host(NAME) as booted:
        yield booted


def traces() -> list[str]:
    """What a host leaves on this machine while it is there."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    cgroup = f"/sys/fs/cgroup/systemd/socket-network-lab-{NAME}"
    names = [f"/run/netns/snl-{NAME}", str(base.STATE / "hosts" / NAME), cgroup]
    return [name for name in names if Path(name).exists()] + [path for path in mounts if f"/{NAME}/" in path]


def test_host_is_up(host: Host) -> None:
    assert host.run(["systemctl", "is-system-running"]).stdout.strip() == "running"
    assert host.run(["hostname"]).stdout.strip() == NAME
    assert host.run("ip -4 route show default").stdout.split()[4] == "wan0"


def test_command_that_fails_says_why(host: Host) -> None:
    with pytest.raises(LabError, match="no-such-file"):
        host.run(["cat", "/no-such-file"])
    assert host.run(["cat", "/no-such-file"], check=False).returncode == 1


def test_files_come_and_go(host: Host) -> None:
    host.put("secret\n", "/etc/lab/deep/file", 0o600)
    assert host.read("/etc/lab/deep/file") == "secret\n"
    assert host.run(["stat", "-c", "%a %U", "/etc/lab/deep/file"]).stdout == "600 root\n"


def test_modules_run_on_it(host: Host) -> None:
    wanted: dict[str, object] = {"content": "a\n", "dest": "/etc/lab-by-ansible"}
    assert host.ansible("ansible.builtin.copy", wanted, check=True)["changed"] is True
    assert host.run(["cat", "/etc/lab-by-ansible"], check=False).returncode == 1
    assert host.ansible("ansible.builtin.copy", wanted)["changed"] is True
    assert host.ansible("ansible.builtin.copy", wanted)["changed"] is False
    assert host.ansible("ansible.builtin.fail", {"msg": "on purpose"})["failed"] is True


def test_plays_run_on_it(host: Host) -> None:
    plays = [{"hosts": "all", "gather_facts": False, "tasks": [{"ansible.builtin.debug": {"msg": "{{ word }} here"}}]}]
    run = host.playbook(plays, extra={"word": "nobody"})
    assert (run.returncode, run.changed()) == (0, 0)
    assert "nobody here" in run.output


def test_host_keeps_its_disk_over_a_power_cut_and_a_shutdown(host: Host) -> None:
    host.put("kept\n", "/root/kept")
    first = host.leader
    for end in (host.power_cut, host.stop):
        end()
        assert not host.is_running
        with pytest.raises(LabError, match="not running"):
            host.run(["true"])
        host.boot()
        assert host.read("/root/kept") == "kept\n"
    assert host.leader != first
    assert host.ansible("ansible.builtin.ping")["ping"] == "pong"


def test_state_tells_changes_only(host: Host) -> None:
    before = probe.state(host)
    assert probe.difference(before, probe.state(host)) == []
    host.run("echo more >> /etc/hosts; ip link add gone0 type veth peer name gone1; ip rule add table 77")
    changes = "\n".join(probe.difference(before, probe.state(host)))
    for word in ("file /etc/hosts:", "link gone0:", "link gone1:", "lookup 77:"):
        assert word in changes
    assert changes.count("\n") == 3
    host.run("sed -i '$d' /etc/hosts; ip link del gone0; ip rule del table 77")
    assert probe.difference(before, probe.state(host)) == []


def test_nothing_stays(host: Host) -> None:
    assert traces() != []
    host.destroy()
    assert traces() == []
    assert base.run(["ip", "netns", "list"]).stdout.count(f"snl-{NAME}") == 0


def test_second_of_a_name_replaces_a_leftover(host: Host) -> None:
    """As when the process that owned the first was killed."""
    host.create().boot()
    pid = host.leader
    with Host(NAME) as second:
        assert not Path(f"/proc/{pid}").exists()
        assert second.run(["true"]).returncode == 0
    assert traces() == []
