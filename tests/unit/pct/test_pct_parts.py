# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts that meet the host: pct's output, Proxmox' files and locks, the port's script."""

from __future__ import annotations

import errno
import fcntl
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._errors import RefusedError, SocketNetworkError
from ansible_collections.op_dbus.socket_network.plugins.module_utils._lxc import backend, nic, service, sidecar
from ansible_collections.op_dbus.socket_network.plugins.module_utils._lxc.backend import Status
from ansible_collections.op_dbus.socket_network.plugins.module_utils._ovs.vsctl import Port
from ansible_collections.op_dbus.socket_network.plugins.module_utils._pct import found, port, store, tool, wanted

from tests.unit.lxc.sample_container import Recorded, params
from tests.unit.pct.sample_pct import NIC, SIDECAR, SNAPSHOT, SOURCE, TEXT, spec

SETTLED = tool.settled
VERBOSE = "cpus: 2\nname: xray-client\npid: 677\nstatus: running\ntype: lxc\nvmid: 102\n"


@pytest.fixture
def pve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """/etc/pve with container 102."""
    (tmp_path / "pve/lxc").mkdir(parents=True)
    (tmp_path / "pve/lxc/102.conf").write_text(TEXT + SNAPSHOT)
    (tmp_path / "pve/.vmlist").write_text('{"version": 1, "ids": {}}')
    monkeypatch.setattr(store, "PVE", str(tmp_path / "pve"))
    monkeypatch.setattr(store, "LOCKS", str(tmp_path / "locks"))
    monkeypatch.setattr(sidecar, "names", list)
    monkeypatch.setattr(sidecar, "load", lambda _name: None)
    return tmp_path / "pve"


def test_status_is_read() -> None:
    assert tool.parse_status(VERBOSE) == Status("RUNNING", 677)
    assert tool.parse_status("status: stopped\n") == Status("STOPPED", 0)
    assert tool.parse_status("") == Status()


def test_the_container_is_found_by_its_mark_alone(pve: Path) -> None:
    runner = Recorded({"pct": VERBOSE})
    have = found.look("xray-client", None, runner, frozenset({"ovs-vsctl"}))
    assert (have.vmid, have.is_ours, have.source, have.hostname) == ("102", True, SOURCE, "xray-client")
    assert runner.calls == [("pct", "status", "102", "--verbose")]
    assert found.names() == ["xray-client"]
    (pve / "lxc/103.conf").write_text(TEXT)
    assert found.names() == ["xray-client"], "a clone is no container of ours"
    assert found.look("other", None, runner, frozenset()) == found.Found("")


def test_a_described_container_has_one_name(pve: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody has changed its host name: else a run would take it for one that has left the inventory."""
    monkeypatch.setattr(sidecar, "names", lambda: ["xray-client"])
    monkeypatch.setattr(sidecar, "load", lambda name: dict(SIDECAR) if name == "xray-client" else None)
    (pve / "lxc/102.conf").write_text(TEXT.replace("hostname: xray-client", "hostname: other"))
    blind = frozenset({"ovs-vsctl", "pct"})
    assert found.names() == ["xray-client"]
    assert found.look("xray-client", None, Recorded(), blind).is_ours
    assert found.look("other", None, Recorded(), blind) == found.Found("")


def test_without_its_file_system_nothing_is_known(pve: Path) -> None:
    """pmxcfs does not run: an empty directory, from which a run would learn that there is nothing (more)."""
    (pve / "lxc/102.conf").unlink()
    assert store.load("102") is None
    (pve / ".vmlist").unlink()
    for ask in (found.names, lambda: found.look("xray-client", spec(), Recorded(), frozenset({"ovs-vsctl"}))):
        with pytest.raises(RefusedError, match=r"is not mounted at .*/pve.*see `systemctl status pve-cluster`"):
            ask()


def test_what_plain_lxc_has_is_seen(pve: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "config_path", lambda name: str(pve / f"{name}.config"))
    (pve / "xray-client.config").write_text("# op-dbus-owner=lxc_service\nlxc.uts.name = xray-client\n")
    (pve / "other.config").write_text("lxc.uts.name = other\n")
    looks = [
        found.look(name, None, Recorded({"pct": VERBOSE}), frozenset({"ovs-vsctl"}))
        for name in ("xray-client", "other")
    ]
    assert [have.is_plain for have in looks] == [True, False]


def test_the_sidecar_marks_too(pve: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sidecar, "load", lambda _name: dict(SIDECAR))
    blind = frozenset({"ovs-vsctl", "pct"})
    (pve / "lxc/102.conf").write_text("hostname: xray-client\n")
    runner = Recorded()
    assert found.look("xray-client", spec(), runner, blind).is_ours
    assert runner.calls == []
    (pve / "lxc/102.conf").write_text("hostname: db\n")
    assert not found.look("xray-client", spec(), Recorded(), blind).is_ours


def test_the_cluster_knows_who_has_an_id(pve: Path) -> None:
    assert store.holder("102") == ""
    ids = {"102": {"node": "pve2", "type": "qemu"}, "103": {"node": "pve", "type": "lxc"}}
    (pve / ".vmlist").write_text(json.dumps({"version": 4, "ids": ids}))
    assert store.holder("102") == "a virtual machine on node pve2"
    assert store.holder("103") == "a container on node pve"
    assert store.holder("104") == ""


def test_raw_keys_are_written_under_the_lock(pve: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pve / "lxc/102.conf"
    path.write_text(TEXT.replace("lxc.net.0.script.down: /usr/local/lib/op-dbus/pct-port\n", "") + SNAPSHOT)
    tool.Pct("102", Recorded()).set_raw()
    assert path.read_text() == TEXT + SNAPSHOT
    assert sorted(file.name for file in path.parent.iterdir()) == ["102.conf"]

    monkeypatch.setattr(store, "PATIENCE", 0.2)
    path.write_text("memory: 512\n")
    with (pve.parent / "locks/pve-config-102.lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        with pytest.raises(SocketNetworkError, match=r"pve-config-102.lock is held by another task of Proxmox"):
            tool.Pct("102", Recorded()).set_raw()
    assert path.read_text() == "memory: 512\n"


def test_a_file_system_without_quorum_is_told(pve: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: Path, _target: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    path = pve / "lxc/102.conf"
    path.write_text("memory: 512\n")
    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(SocketNetworkError, match=r"102.conf cannot be changed: Permission denied.*see `pvecm status`"):
        tool.Pct("102", Recorded()).set_raw()
    assert [file.name for file in path.parent.iterdir()] == ["102.conf"]
    path.unlink()
    with pytest.raises(SocketNetworkError, match="cannot be changed: No such file"):
        tool.Pct("102", Recorded()).set_raw()


def test_the_guest_gets_time_for_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a guest that does not set it gets it from us."""
    answers = iter([None, None, NIC])
    monkeypatch.setattr(nic, "found", lambda _pid: next(answers))
    runner = Recorded({"pct": VERBOSE})
    tool.Pct("102", runner).start(spec())
    assert [call[:2] for call in runner.calls] == [("pct", "start"), ("pct", "status")]

    monkeypatch.setattr(nic, "found", lambda _pid: None)
    monkeypatch.setattr(tool, "settled", lambda is_so: SETTLED(is_so, 0.05, 0.01))
    tool.Pct("102", runner).start(spec())
    assert runner.calls[-1] == ("nsenter", "--net=/proc/677/ns/net", "ip", "-batch", "-")


def test_high_availability_may_start_it_later() -> None:
    runner = Recorded({"pct": "status: stopped\n"})
    tool.Pct("102", runner).start(spec())
    assert [call[1] for call in runner.calls] == ["start", "status"]


def test_a_failed_start_tells_where_to_look() -> None:
    runner = Recorded(failing={"pct": "startup for container '102' failed"})
    with pytest.raises(SocketNetworkError, match=r"startup for container '102' failed.*see `pct start 102 --debug`"):
        tool.Pct("102", runner).start(spec())


def test_the_script_takes_what_it_reads(tmp_path: Path) -> None:
    script = tmp_path / "pct-port"
    script.write_text(port.SCRIPT)
    subprocess.run(["sh", "-n", str(script)], check=True)
    assert port.settings(spec()) == (
        "NAME='xray-client'\nVETH='veth102'\nOFPORT='32870'\nMAC='02:00:0a:00:00:66'\nSERVICES='xray-vless'\n"
    )
    for key in port.wanted(spec()).external_ids:
        assert f"external_ids:{key}=" in port.SCRIPT
    assert port.run_script("102") == [
        "env",
        "LXC_NAME=102",
        wanted.PORT_SCRIPT,
        "102",
        "net",
        "up",
        "veth",
        "veth102i0",
    ]
    assert len(port.device("999999999")) == 15


def test_flows_know_the_port_by_the_name_of_the_inventory() -> None:
    assert Port("veth102i0", external_ids=port.wanted(spec()).external_ids).known_as == "veth102"
    assert Port("veth102").known_as == "veth102"


@pytest.mark.parametrize(("chosen", "name"), [("auto", "pct"), ("lxc", "lxc"), ("pct", "pct")])
def test_proxmox_is_found_by_itself(pve: Path, monkeypatch: pytest.MonkeyPatch, chosen: str, name: str) -> None:
    monkeypatch.setenv("PATH", "/usr/local/bin:/usr/bin:/bin")  # as `su` leaves it
    monkeypatch.setattr(shutil, "which", lambda tool, path: tool if "/usr/sbin" in path.split(":") else None)
    assert service.chosen_driver(chosen).name == name
    monkeypatch.setattr(shutil, "which", lambda *_args, **_options: None)
    assert service.chosen_driver("auto").name == "lxc"
    monkeypatch.setattr(shutil, "which", lambda *_args, **_options: "/usr/sbin/pct")
    monkeypatch.setattr(store, "PVE", f"{pve}/nowhere")
    assert service.chosen_driver("auto").name == "lxc"


def test_a_fresh_host_can_be_checked(pve: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any tool, in check mode: everything would be made."""
    (pve / "lxc/102.conf").unlink()
    monkeypatch.setattr(service, "missing_tools", list)
    result: dict[str, Any] = service.manage(params(backend="pct"), True, Recorded())
    assert result["changed"] is True
    assert "create container xray-client as 102 from /srv/guest.tar.zst" in result["actions"]
    assert result["warnings"] == ["Container xray-client: /srv/guest.tar.zst is not on this host yet."]
    with pytest.raises(SocketNetworkError, match=r"pct not found on this host.*install the packages .*pve-container"):
        service.manage(params(backend="pct"), False, Recorded())
