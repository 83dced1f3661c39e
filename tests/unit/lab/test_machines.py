# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab with virtual machines, as far as no machine has to be started for it."""

from __future__ import annotations

import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from lab import base, debian, interrupted, ledger
from lab.base import LabError
from lab.mesh import MESHES_OF_MACHINES
from lab.netns import ThisMachine
from lab.probe import Capture
from lab.vm import box, instances
from lab.vm.instances import Choice

OWN = Choice(
    "socket-network/bookworm-0", box.Box("socket-network/bookworm-0", Path("/cache/box")), False, Path("/home")
)
ORDINARY = Choice("debian/bookworm64", None, True, Path("/home"))


@pytest.mark.parametrize("name", MESHES_OF_MACHINES["wireguard"].hosts)
def test_own_box_gets_its_network_by_the_command_line(name: str) -> None:
    told = instances.describe(name, OWN)
    (plug,) = told["interfaces"]
    assert told["box_url"] == "file:///cache/box/libvirt.box"
    assert told["provider_options"]["driver"] == "qemu"
    assert plug["auto_config"] is False
    assert f"systemd.hostname={name}" in told["provider_options"]["cmd_line"]
    assert ("::192.0.2.1:" if name == "vps-gateway" else "::192.168.77.1:") in told["provider_options"]["cmd_line"]


def test_ordinary_box_gets_its_network_by_vagrant() -> None:
    told = instances.describe("oo1424oo", ORDINARY)
    (plug,) = told["interfaces"]
    assert "box_url" not in told
    assert "cmd_line" not in told["provider_options"]
    assert told["provider_options"]["driver"] == "kvm"
    assert (plug["ip"], plug["netmask"], plug["dev"]) == ("192.168.77.2", "255.255.255.0", "snl-lan")


@pytest.mark.parametrize("chosen", [OWN, ORDINARY])
def test_first_steps_are_a_shell_script(chosen: Choice) -> None:
    script = instances.first_steps("vps-gateway", {"api.netmaker.example": "192.0.2.10"}, chosen)
    done = subprocess.run(["sh", "-n"], input=script, capture_output=True, text=True, timeout=10, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "'192.0.2.10 api.netmaker.example'" in script
    assert ("apt-get install" in script) == (chosen is ORDINARY)
    assert ("via 192.0.2.1 dev eth1" in script) == (chosen is ORDINARY)
    assert ("ip daddr != 198.18.121.0/24 drop" in script) == (chosen is ORDINARY)
    assert ("mask --quiet --now apt-daily.timer" in script) == (chosen is ORDINARY)


def test_no_box_is_made_of_an_unknown_release(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="known: bookworm, trixie"):
        box.build("sid", tmp_path, print)


def test_release_of_another_machine_comes_from_its_own_mirrors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sources.list").write_text(
        "deb http://mirror.example/debian bookworm main contrib\n"
        "deb http://mirror.example/security bookworm-security main\n"
    )
    monkeypatch.setattr(debian, "APT", tmp_path)
    monkeypatch.setattr(debian, "release", lambda: ("bookworm", "12"))
    lines = debian.debian_sources("trixie")
    assert [line.partition("] ")[2] for line in lines] == [
        "http://mirror.example/debian trixie main",
        "http://mirror.example/security trixie-security main",
    ]


def test_sample_is_repeated_by_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted.seed.cache_clear()
    monkeypatch.setenv("SOCKET_NETWORK_SEED", "7")
    first = interrupted.chosen(3, 26)
    assert interrupted.seed() == 7
    assert interrupted.chosen(3, 26) == first
    assert len(set(first)) == 3
    assert set(first) <= set(range(1, 27))
    monkeypatch.setenv("SOCKET_NETWORK_EVERY_TASK", "1")
    assert interrupted.chosen(3, 26) == list(range(1, 27))
    assert len(interrupted.sample(1, 26)) == 1
    interrupted.seed.cache_clear()


def test_killed_run_takes_its_workers_along(tmp_path: Path) -> None:
    """Also those with a session of their own, as Ansible's workers have."""
    left = tmp_path / "pid"
    worker = f"setsid sh -c 'echo $$ >{left}.part && mv {left}.part {left} && exec sleep 60' & wait"
    process = subprocess.Popen(["sh", "-c", worker])
    base.wait_for("the worker", left.exists, timeout=10.0)
    pid = int(left.read_text())
    assert ledger.start_time(pid)
    interrupted.kill_tree(process.pid)
    assert process.wait(10) == -signal.SIGKILL
    base.wait_for("the worker's end", lambda: not ledger.start_time(pid), timeout=10.0)


def test_links_of_others_are_left_alone(tmp_path: Path) -> None:
    space = ThisMachine(ledger.Ledger(tmp_path / "ledger"))
    with pytest.raises(LabError, match="a link lo that no lab wrote down"):
        space.add_bridge("lo")
    assert space.ledger.entries() == []


def test_capture_that_did_not_see_everything_proves_nothing(tmp_path: Path) -> None:
    end = tmp_path / "end"
    dying = f"echo listening on lo; while [ ! -e {end} ]; do sleep 0.05; done; exit 3"
    capture = Capture(["sh", "-c", dying], tmp_path / "1").__enter__()
    end.touch()
    base.wait_for("its end", lambda: capture._process.poll() is not None, timeout=10.0)
    with pytest.raises(LabError, match="ended early, with 3"):
        capture.__exit__(None)
    losing = "trap 'echo 2 packets dropped by kernel; exit' INT; echo listening on lo; while :; do sleep 0.05; done"
    with pytest.raises(LabError, match="2 packets dropped by kernel"), Capture(["sh", "-c", losing], tmp_path / "2"):
        pass
    with Capture(["sh", "-c", losing.replace("2 packets", "0 packets")], tmp_path / "3") as capture:
        pass
    assert capture.lines == []


def test_archives_are_compiled_once(tmp_path: Path) -> None:
    """By what the box loads into Python: the second run takes the code that the first one left, a new text is new."""
    kept, archive = tmp_path / "kept", tmp_path / "some.zip"
    source = box.ARCHIVES.read_text().replace("/var/cache/lab-archives", str(kept))
    assert str(kept) in source

    def imported(text: str) -> str:
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("inside.py", text)
        program = f"{source}\nimport sys\nsys.path.insert(0, {str(archive)!r})\nimport inside\nprint(inside.value)"
        return subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True
        ).stdout.strip()

    assert [imported("value = 1"), imported("value = 1")] == ["1", "1"]
    assert len(list(kept.iterdir())) == 1
    assert imported("value = 2") == "2"
    assert len(list(kept.iterdir())) == 2
