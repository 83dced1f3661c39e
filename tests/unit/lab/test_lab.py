# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of the lab that read what others write: apt's sources, recaps, flow dumps, its own ledger."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from lab import base, debian, ledger, netmaker, probe, remote

DEBIAN_12_LINES = """\
# deb http://other.example/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/x.gpg] http://mirror.example/debian bookworm main contrib # the mirror
deb http://mirror.example/debian-security bookworm-security main
deb-src http://mirror.example/debian bookworm main
deb https://vendor.example/apt tools-bookworm main
deb http://mirror.example/debian bookworm-backports main
"""
DEBIAN_13_STANZAS = """\
# Debian's own
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: trixie trixie-updates
Components: main non-free-firmware
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: trixie-security
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: trixie
Components: main

Types: deb
URIs: https://vendor.example
Suites: nodistro
Components: main
"""
KEYS = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(debian, "APT", tmp_path)
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text("")
    return tmp_path


def test_sources_in_lines(apt: Path) -> None:
    (apt / "sources.list").write_text(DEBIAN_12_LINES)
    assert debian.debian_sources("bookworm") == [
        f"deb {KEYS} http://mirror.example/debian bookworm main",
        f"deb {KEYS} http://mirror.example/debian-security bookworm-security main",
    ]


def test_sources_in_stanzas_without_a_list(apt: Path) -> None:
    (apt / "sources.list").unlink()
    (apt / "sources.list.d/debian.sources").write_text(DEBIAN_13_STANZAS)
    assert debian.debian_sources("trixie") == [
        f"deb {KEYS} http://mirror.example/debian trixie main",
        f"deb {KEYS} http://mirror.example/debian trixie-updates main",
        f"deb {KEYS} http://mirror.example/debian-security trixie-security main",
    ]


def test_sources_without_a_mirror_are_an_error(apt: Path) -> None:
    (apt / "sources.list").write_text("deb https://vendor.example/apt tools-bookworm main\n")
    with pytest.raises(base.LabError, match="no Debian mirror for trixie"):
        debian.debian_sources("trixie")


def test_recap() -> None:
    output = (
        "TASK [x] ***\nchanged: [a]\n\nPLAY RECAP ****\n"
        "oo1424oo : ok=12   changed=3    unreachable=0    failed=1    skipped=2    rescued=0    ignored=0\n"
        "vps-gateway                : ok=1    changed=0    unreachable=0    failed=0    skipped=0\n"
    )
    recap = remote.parse_recap(output)
    assert recap["oo1424oo"]["changed"] == 3
    assert recap["oo1424oo"]["failed"] == 1
    assert remote.PlaybookRun(2, output, recap).changed() == 3
    assert remote.parse_recap("ERROR! no play") == {}


def test_flow_line() -> None:
    flow = probe.parse_flow(
        " cookie=0x6f6f002882f1, duration=9.1s, table=40, n_packets=7, n_bytes=518, idle_age=3, priority=200,"
        'tcp,reg0=0x10000/0x30000,in_port="veth102",tp_dst=443 actions=set_field:0x1->reg1,goto_table:50'
    )
    assert flow is not None
    assert (flow.table, flow.priority, flow.packets) == (40, 200, 7)
    assert flow.match == 'tcp,reg0=0x10000/0x30000,in_port="veth102",tp_dst=443'
    assert flow.actions == "set_field:0x1->reg1,goto_table:50"
    assert probe.parse_flow("OFPST_FLOW reply (OF1.5) (xid=0x2):") is None


def test_flow_line_of_a_miss() -> None:
    flow = probe.parse_flow(" cookie=0x1, duration=1s, table=0, n_packets=2, n_bytes=9, priority=0 actions=drop")
    assert flow is not None
    assert (flow.priority, flow.match, flow.actions) == (0, "", "drop")


def test_ledger_ends_processes_and_removes_directories(tmp_path: Path) -> None:
    made = ledger.Ledger(tmp_path / "state/ledger")
    directory = tmp_path / "overlay"
    made.record("directory", directory)
    (directory / "deep").mkdir(parents=True)
    with subprocess.Popen(["sleep", "300"]) as process:
        made.record_process(process.pid)
        assert made.release() == []
        assert process.wait(5) < 0
    assert not directory.exists()
    assert made.entries() == []


def test_ledger_leaves_a_process_that_took_over_the_id(tmp_path: Path) -> None:
    made = ledger.Ledger(tmp_path / "ledger")
    made.record("process", os.getpid(), "1")
    assert made.release() == []
    assert ledger.start_time(os.getpid()) != "1"


def test_ledger_keeps_what_it_could_not_undo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: str) -> None:
        raise OSError("busy")

    monkeypatch.setitem(ledger.UNDO, "mount", refuse)
    made = ledger.Ledger(tmp_path / "ledger")
    made.record("mount", "/somewhere")
    made.record("directory", tmp_path / "gone")
    assert made.release() == ["mount /somewhere: busy"]
    assert made.entries() == [["mount", "/somewhere"]]


@pytest.fixture
def no_programs(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that names none of Netmaker's programs."""
    for variable in netmaker.VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    return monkeypatch


@pytest.mark.usefixtures("no_programs")
def test_without_programs_stand_ins_are_built_and_called_so(tmp_path: Path) -> None:
    found = netmaker.programs(tmp_path / "programs")
    assert found.remark == "stand-in Netmaker"
    assert all(
        os.access(path, os.X_OK) and path.parent == tmp_path / "programs" for path in (found.server, found.client)
    )


def test_programs_of_the_environment_are_real(no_programs: pytest.MonkeyPatch, tmp_path: Path) -> None:
    no_programs.setenv("NETMAKER_BINARY", "/bin/true")
    no_programs.setenv("NETCLIENT_BINARY", "/bin/false")
    found = netmaker.programs(tmp_path / "programs")
    assert (found.remark, found.server.name, found.client.name) == ("real Netmaker", "true", "false")
    assert not (tmp_path / "programs").exists()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"NETMAKER_BINARY": "/bin/true"}, "NETCLIENT_BINARY is not set"),
        ({"NETCLIENT_BINARY": "/bin/true"}, "NETMAKER_BINARY is not set"),
        ({"NETMAKER_BINARY": "/bin/true", "NETCLIENT_BINARY": "/etc/passwd"}, "NETCLIENT_BINARY=/etc/passwd is not a"),
        ({"NETMAKER_BINARY": "/bin", "NETCLIENT_BINARY": "/bin/true"}, "NETMAKER_BINARY=/bin is not a program"),
    ],
)
def test_half_a_pair_of_programs_is_refused(
    no_programs: pytest.MonkeyPatch, tmp_path: Path, values: dict[str, str], words: str
) -> None:
    for variable, value in values.items():
        no_programs.setenv(variable, value)
    with pytest.raises(base.LabError, match=words):
        netmaker.programs(tmp_path)


def test_secrets_of_a_lab_are_made_up_anew() -> None:
    found = netmaker.Programs(Path("/s"), Path("/c"), are_real=True)
    first, second = netmaker.inventory(found), netmaker.inventory(found)
    assert first["server_program"] == "/s"
    for name in ("master_key", "admin_password", "broker_password"):
        assert len(first[name]) >= 30
        assert first[name] != second[name]
