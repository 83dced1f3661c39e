# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab with virtual machines, as far as no machine has to be started for it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from lab import debian, interrupted
from lab.base import LabError
from lab.mesh import MESHES_OF_MACHINES
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
    first = interrupted.sample(3)
    assert interrupted.seed() == 7
    assert interrupted.sample(3) == first
    assert len(set(first)) == 3
    assert set(first) <= set(range(1, interrupted.TASKS + 1))
    monkeypatch.setenv("SOCKET_NETWORK_EVERY_TASK", "1")
    assert interrupted.sample(3) == list(range(1, interrupted.TASKS + 1))
    interrupted.seed.cache_clear()


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
