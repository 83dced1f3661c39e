# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts that meet the host: its tools' output, its files, the guest's files, services that answer or do not."""

from __future__ import annotations

import http.server
import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._errors import SocketNetworkError
from ansible_collections.op_dbus.socket_network.plugins.module_utils._lxc import guest, health, host, nic, port, rootfs
from ansible_collections.op_dbus.socket_network.plugins.module_utils._lxc.backend import (
    LxcBackend,
    Status,
    parse_status,
)
from ansible_collections.op_dbus.socket_network.plugins.module_utils._lxc.host import Cgroups

from tests.unit.lxc.sample_container import LIMITS, VLESS, Recorded, spec

BRIDGES = (
    '{"data":[["mesh","netdev",["set",[["uuid","394b"],["uuid","ad06"]]]],["vmbr0","",["uuid","77aa"]]],'
    '"headings":["name","datapath_type","ports"]}\n'
)
NO_PORT = '{"data":[],"headings":["_uuid","name"]}\n{"data":[],"headings":["name","ofport"]}\n'
A_PORT = (
    '{"data":[[["uuid","ad06"],"veth102"]],"headings":["_uuid","name"]}\n'
    '{"data":[["veth102",32870,32870,["set",[]],["map",[["container","xray-client"],["op-dbus-owner","lxc_service"]]],'
    '["set",[]]]],"headings":["name","ofport","ofport_request","mtu_request","external_ids","error"]}\n'
)
BROKEN_PORT = A_PORT.replace("32870,32870", '-1,["set",[]]').replace(
    '["set",[]]]],', '"could not open network device veth102 (No such device)"]],'
)


def test_switch_is_read_in_one_process() -> None:
    assert port.switch(BRIDGES + NO_PORT) == port.Switch({"mesh": "netdev", "vmbr0": "system"})
    ids = {"container": "xray-client", "op-dbus-owner": "lxc_service"}
    assert port.switch(BRIDGES + A_PORT).port == port.FoundPort("mesh", 32870, 32870, None, ids)
    broken = port.switch(BRIDGES + BROKEN_PORT).port
    assert broken is not None
    assert (broken.ofport, broken.request, broken.error[:14]) == (-1, None, "could not open")
    assert port.query("veth102").count("--") == 3


@pytest.mark.parametrize(
    ("output", "status"),
    [
        ("STOPPED\n", Status()),
        ("677\nRUNNING\n", Status("RUNNING", 677)),
        ("RUNNING\n677\n", Status("RUNNING", 677)),
        ("", Status()),
    ],
)
def test_status_is_read(output: str, status: Status) -> None:
    assert parse_status(output) == status
    assert LxcBackend(Recorded({"lxc-info": output})).status("x") == status


def test_script_settings_are_shell(tmp_path: Path) -> None:
    services = [VLESS, {**VLESS, "name": "api"}]
    text = port.settings(spec(services=services))
    assert text == "BRIDGE='mesh'\nOFPORT='32870'\nMAC='02:00:0a:00:00:66'\nMTU='1280'\nSERVICES='xray-vless,api'\n"
    assert 'external_ids:services="xray-vless,api"' in port.set_port(port.wanted(spec(services=services)))
    script = tmp_path / "lxc-port"
    script.write_text(port.SCRIPT)
    subprocess.run(["sh", "-n", str(script)], check=True)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "root:100000:65536\n"),
        ("debian:100000:65536\n", "debian:100000:65536\nroot:100000:65536\n"),
        ("root:200000:65536", "root:200000:65536\nroot:100000:65536\n"),
        ("root:100000:65535\n", "root:100000:65535\nroot:100000:65536\n"),
        ("root:65536:1000000\n", "root:65536:1000000\n"),
        ("0:100000:65536\n", "0:100000:65536\n"),
    ],
)
def test_root_gets_a_range_of_ids_once(tmp_path: Path, before: str, after: str) -> None:
    path = tmp_path / "subuid"
    path.write_text(before)
    assert host.subordinate_ids([str(path)])[0].content == after


def test_controllers_are_read(tmp_path: Path) -> None:
    assert host.cgroups(str(tmp_path)) == Cgroups(False)
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu memory\n")
    tree = host.cgroups(str(tmp_path))
    assert tree == Cgroups(True, frozenset({"cpuset", "cpu", "memory"}))
    assert host.limits(spec(), tree, "refuse") == (LIMITS, ())


def test_limits_are_left_out_where_the_host_says_so() -> None:
    limits, warnings = host.limits(spec(), Cgroups(True, frozenset({"cpu"})), "warn")
    assert limits.values == (("cpu.max", "150000 100000"),)
    assert "cannot hold memory.max = 536870912, memory.swap.max = 268435456" in warnings[0]
    assert host.limits(spec(unprivileged=False), Cgroups(False), "warn")[0].clear_devices


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A guest with systemd, whose files belong to whoever runs the tests."""
    monkeypatch.setattr(os, "fchown", lambda *_args: None)
    (tmp_path / "root/etc/systemd/network").mkdir(parents=True)
    (tmp_path / "root/etc/machine-id").write_text("0123\n")
    return tmp_path / "root"


def test_guest_files_are_written_once(root: Path) -> None:
    plan = guest.plan_guest(spec(), str(root), first_boot=True)
    assert plan.actions == [
        "write etc/hostname in the guest",
        "write etc/systemd/network/00-op-dbus-eth0.network in the guest",
        "write etc/machine-id in the guest",
    ]
    plan.apply()
    assert (root / "etc/hostname").read_text() == "xray-client\n"
    assert (root / "etc/machine-id").read_text() == ""
    assert "Address=10.0.0.102/24\n" in (root / "etc/systemd/network/00-op-dbus-eth0.network").read_text()
    assert guest.plan_guest(spec(), str(root)).actions == []


def test_images_with_ifupdown_leave_the_address_alone(root: Path) -> None:
    (root / "etc/network").mkdir()
    guest.plan_guest(spec(), str(root)).apply()
    assert "iface eth0 inet manual\n" in (root / "etc/network/interfaces").read_text()


def test_links_of_the_guest_are_not_followed(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "hostname").write_text("the host's\n")
    (root / "etc/hostname").symlink_to(outside / "hostname")
    guest.plan_guest(spec(), str(root)).apply()
    assert (outside / "hostname").read_text() == "the host's\n"
    assert (root / "etc/hostname").read_text() == "xray-client\n"
    (root / "etc/systemd/network/00-op-dbus-eth0.network").unlink()
    (root / "etc/systemd/network").rmdir()
    (root / "etc/systemd/network").symlink_to(outside)
    with pytest.raises(SocketNetworkError, match="without symbolic links"):
        guest.plan_guest(spec(), str(root)).apply()
    assert [path.name for path in outside.iterdir()] == ["hostname"]


def test_images_are_unpacked_in_the_guests_user_namespace() -> None:
    source = spec().source
    assert source is not None
    shifted = rootfs._unpack(spec(), source, Path("/r"))
    assert shifted[:6] == ["lxc-usernsexec", "-m", "u:0:100000:65536", "-m", "g:0:100000:65536", "--"]
    assert {"--zstd", "--numeric-owner", "--xattrs", "--directory=/r"} < set(shifted)
    assert rootfs._unpack(spec(unprivileged=False), source, Path("/r"))[0] == "tar"


def test_default_route_is_read() -> None:
    routes = (
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        "eth0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        "eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
    )
    assert str(nic._gateway(routes)) == "10.0.0.1"
    assert nic._gateway(routes.replace("eth0\t00000000", "eth1\t00000000")) is None


class Web(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: object) -> None:  # type: ignore[override]
        """Nothing to tell."""


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of a server on 127.0.0.2, which the probes reach without entering a namespace."""
    monkeypatch.setattr(health, "_enter", lambda _pid: None)
    with http.server.HTTPServer(("127.0.0.2", 0), Web) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def verdicts(check: dict[str, object], number: int, runner: Recorded | None = None) -> dict[str, object]:
    service = {**VLESS, "port": number, "health": check}
    wanted = spec(ipv4_address="127.0.0.2/8", gateway="127.0.0.1", services=[service])
    told = health.as_dict(health.probe(wanted, 1, ["lxc-attach", "--"], runner or Recorded(), 0.0))
    result: dict[str, object] = json.loads(json.dumps(told))["xray-vless"]
    return result


def test_services_that_answer_are_healthy(web: int) -> None:
    assert verdicts({"tcp": True}, web) == {"kind": "tcp", "healthy": True, "detail": "connected"}
    assert verdicts({"http": "/health"}, web) == {"kind": "http", "healthy": True, "detail": "status 200"}
    assert verdicts({"command": "true"}, web)["healthy"] is True


def test_services_that_do_not_answer_are_not(web: int) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.2", 0))
        assert "refused" in str(verdicts({"tcp": True}, unused.getsockname()[1])["detail"])
    assert verdicts({"http": "/other"}, web)["detail"] == "GET /other answered 503"
    failing = Recorded(failing={"timeout": "no such unit"})
    assert verdicts({"command": "false"}, web, failing)["healthy"] is False


def test_unhealthy_services_are_named() -> None:
    told = health.UnhealthyError(
        "x", [health.Verdict("s", "tcp", False, "refused")], 60.0, ["pct", "exec", "102", "--"]
    )
    assert str(told).startswith("Container x: not healthy within 60 s: s (tcp): refused.")
    assert "Fix: look at `pct exec 102 -- journalctl -b`" in str(told)
    assert told.result() == {"health": {"s": {"kind": "tcp", "healthy": False, "detail": "refused"}}}
