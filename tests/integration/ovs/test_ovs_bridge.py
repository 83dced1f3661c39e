# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ovs_bridge against a real Open vSwitch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.ovs.conftest import Module
from tests.integration.ovs.private_ovs import PrivateOvs, private_ovs

WARP = {"name": "ovs-warp0", "ofport": 53211}
HOST = {"name": "ovs-host", "ofport": 60411, "external_ids": {"note": 'a "b", c=d'}}
MESH: dict[str, Any] = {"name": "mesh", "ports": [WARP, HOST]}


def interface(ovs: PrivateOvs, name: str, column: str) -> str:
    return ovs.vsctl("get", "Interface", name, column).strip('"')


def test_whole_life(ovs: PrivateOvs, run: Module) -> None:
    empty = ovs.state()
    for check, state in ((True, empty), (False, "")):
        result = run("ovs_bridge", **MESH, check=check)
        assert result["changed"]
        assert result["actions"] == [
            "create bridge mesh with the netdev datapath",
            "add port ovs-host to bridge mesh as 60411",
            "add port ovs-warp0 to bridge mesh as 53211",
        ]
        assert result["datapath_type"] == "netdev"
        assert result["diff"]["before"] == ""
        assert "  port ovs-warp0 ofport=53211 request=53211 op-dbus-owner=socket_bridge\n" in result["diff"]["after"]
        assert ovs.state() == state or not check
    made = ovs.state()
    assert ovs.vsctl("get", "Bridge", "mesh", "fail_mode") == "secure"
    assert "OpenFlow15" in ovs.vsctl("get", "Bridge", "mesh", "protocols")
    assert interface(ovs, "ovs-warp0", "ofport") == "53211"
    assert ovs.vsctl("get", "Interface", "ovs-host", "external_ids:note") == '"a \\"b\\", c=d"'
    for check in (True, False):
        result = run("ovs_bridge", **MESH, check=check)
        assert (result["changed"], result["actions"]) == (False, [])
        assert result["diff"]["before"] == result["diff"]["after"]
        assert ovs.state() == made

    changed = {**MESH, "ports": [{"name": "ovs-warp0", "ofport": 53212}, {"name": "ovs-new", "ofport": 53213}]}
    for check in (True, False):
        result = run("ovs_bridge", **changed, check=check)
        assert result["actions"] == [
            "remove port ovs-host from bridge mesh",
            "add port ovs-new to bridge mesh as 53213",
            "update port ovs-warp0 of bridge mesh",
        ]
        assert (ovs.state() == made) is check
    assert interface(ovs, "ovs-warp0", "ofport") == "53212"
    assert not run("ovs_bridge", **changed)["changed"]

    found = run("ovs_bridge", name="mesh", state="gathered")["bridge"]
    assert [(port["name"], port["ofport"], port["owner"]) for port in found["ports"]] == [
        ("ovs-new", 53213, "socket_bridge"),
        ("ovs-warp0", 53212, "socket_bridge"),
    ]
    modified = ovs.state()
    for check in (True, False):
        assert run("ovs_bridge", name="mesh", state="absent", check=check)["actions"] == ["delete bridge mesh"]
        assert ovs.state() == (modified if check else empty)
    assert not run("ovs_bridge", name="mesh", state="absent")["changed"]
    assert run("ovs_bridge", name="mesh", state="gathered")["bridge"] is None


def test_other_owners_ports_stay(ovs: PrivateOvs, run: Module) -> None:
    run("ovs_bridge", **MESH)
    ovs.vsctl(
        "add-port", "mesh", "veth102", "--", "set", "Interface", "veth102", "external_ids:op-dbus-owner=lxc_service"
    )
    ovs.vsctl("add-port", "mesh", "tap0")
    result = run("ovs_bridge", name="mesh", ports=[WARP])
    assert result["actions"] == ["remove port ovs-host from bridge mesh"]
    assert ovs.vsctl("list-ports", "mesh").split() == ["ovs-warp0", "tap0", "veth102"]
    result = run("ovs_bridge", name="mesh", state="absent")
    assert result["msg"].startswith("Bridge mesh still carries ports that this module did not add: tap0, veth102.")
    assert ovs.vsctl("list-ports", "mesh").split() == ["ovs-warp0", "tap0", "veth102"]


def test_one_transaction(ovs: PrivateOvs, run: Module, processes: list[list[str]]) -> None:
    run("ovs_bridge", **MESH)
    vsctl = [argv for argv in processes if argv[0].endswith("ovs-vsctl")]
    writes = [argv for argv in vsctl if "list" not in argv]
    assert len(writes) == 1
    assert ovs.vsctl("list-ports", "mesh").split() == ["ovs-host", "ovs-warp0"]


def test_own_port_moves_and_foreign_one_does_not(ovs: PrivateOvs, run: Module) -> None:
    run("ovs_bridge", name="old", ports=[WARP])
    ovs.vsctl("add-port", "old", "tap0")
    assert run("ovs_bridge", name="mesh", ports=[WARP])["actions"] == [
        "create bridge mesh with the netdev datapath",
        "move port ovs-warp0 from bridge old to mesh",
    ]
    assert interface(ovs, "ovs-warp0", "ofport") == "53211"
    before = ovs.state()
    result = run("ovs_bridge", name="mesh", ports=[WARP, {"name": "tap0", "ofport": 50000}])
    assert result["failed"]
    assert result["msg"].startswith("Port tap0 is on bridge old and belongs to somebody else. Fix: remove it there")
    assert ovs.state() == before


@pytest.mark.parametrize(
    ("drift", "action"),
    [
        (("del-port", "mesh", "ovs-warp0"), "add port ovs-warp0 to bridge mesh as 53211"),
        (("set", "Bridge", "mesh", "fail_mode=standalone"), "set fail_mode of bridge mesh to secure"),
        (("clear", "Bridge", "mesh", "fail_mode"), "set fail_mode of bridge mesh to secure"),
        (
            ("set", "Bridge", "mesh", "protocols=OpenFlow13"),
            "set protocols of bridge mesh to OpenFlow13, OpenFlow15",
        ),
        (("clear", "Interface", "ovs-warp0", "external_ids"), "update port ovs-warp0 of bridge mesh"),
        (("set", "Interface", "ovs-warp0", "ofport_request=7"), "update port ovs-warp0 of bridge mesh"),
    ],
)
def test_drift_is_repaired(ovs: PrivateOvs, run: Module, drift: tuple[str, ...], action: str) -> None:
    run("ovs_bridge", **MESH)
    ovs.vsctl(*drift)
    drifted = ovs.state()
    assert run("ovs_bridge", **MESH, check=True)["actions"] == [action]
    assert ovs.state() == drifted
    assert run("ovs_bridge", **MESH)["actions"] == [action]
    assert not run("ovs_bridge", **MESH)["changed"]
    assert interface(ovs, "ovs-warp0", "ofport") == "53211"


def test_number_that_a_stranger_holds_is_refused(ovs: PrivateOvs, run: Module) -> None:
    """Open vSwitch gives the port another number then, and the right one when the stranger goes."""
    run("ovs_bridge", **MESH)
    ovs.vsctl("del-port", "mesh", "ovs-warp0")
    for name in ("tap0", "ovs-warp0"):
        marker = "external_ids:op-dbus-owner=socket_bridge" if name != "tap0" else "external_ids={}"
        ovs.vsctl("add-port", "mesh", name, "--", "set", "Interface", name, "ofport_request=53211", marker)
    assert interface(ovs, "ovs-warp0", "ofport") != "53211"
    before = ovs.state()
    assert "Port tap0 on bridge mesh already has" in run("ovs_bridge", **MESH)["msg"]
    assert ovs.state() == before
    ovs.vsctl("del-port", "mesh", "tap0")
    assert not run("ovs_bridge", **MESH)["changed"]
    assert interface(ovs, "ovs-warp0", "ofport") == "53211"


def test_refusals_touch_nothing(ovs: PrivateOvs, run: Module) -> None:
    userspace = "datapath_type=netdev"
    ovs.vsctl("add-br", "theirs", "--", "set", "Bridge", "theirs", userspace)
    ovs.vsctl(
        "add-br", "led", "--", "set", "Bridge", "led", userspace, "--", "set-controller", "led", "tcp:127.0.0.1:6653"
    )
    run("ovs_bridge", **MESH)
    ovs.vsctl("add-port", "mesh", "tap0", "--", "set", "Interface", "tap0", "ofport_request=50007")
    ovs.vsctl("add-port", "mesh", "veth9", "--", "set", "Interface", "veth9", "external_ids:op-dbus-owner=lxc_service")
    before = ovs.state()
    cases: list[tuple[dict[str, Any], str]] = [
        ({"name": "theirs"}, "Bridge theirs exists and was not made by this collection (external_ids op-dbus-owner"),
        ({"name": "theirs", "state": "absent"}, "Bridge theirs was not made by this collection and is not deleted."),
        ({"name": "led", "adopt": True}, "Bridge led has the OpenFlow controller tcp:127.0.0.1:6653. Fix: run"),
        ({"name": "lo"}, "A network device lo exists that is not an Open vSwitch bridge."),
        (
            {**MESH, "ports": [{"name": "ovs-x", "ofport": 50007}]},
            "Port tap0 on bridge mesh already has the OpenFlow port number 50007 that ovs-x needs.",
        ),
        (
            {**MESH, "ports": [{"name": "veth9", "ofport": 9}]},
            "Port veth9 is on bridge mesh and belongs to lxc_service.",
        ),
    ]
    for arguments, message in cases:
        for check in (True, False):
            result = run("ovs_bridge", **arguments, check=check)
            assert result["failed"]
            assert result["msg"].startswith(message)
            assert ovs.state() == before


def test_adopt(ovs: PrivateOvs, run: Module) -> None:
    ovs.vsctl(
        "add-br", "theirs", "--", "set", "Bridge", "theirs", "datapath_type=netdev", "--", "add-port", "theirs", "tap0"
    )
    result = run("ovs_bridge", name="theirs", adopt=True)
    assert result["actions"][:2] == ["adopt bridge theirs", "set fail_mode of bridge theirs to secure"]
    assert not run("ovs_bridge", name="theirs")["changed"]
    assert ovs.vsctl("list-ports", "theirs") == "tap0"


def test_device_that_cannot_be_opened(directory: Path, run: Module, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the real device classes: the port's device does not exist."""
    with private_ovs(directory, "--enable-dummy") as ovs:
        for name, value in ovs.environment.items():
            monkeypatch.setenv(name, value)
        marker = "external_ids:op-dbus-owner=socket_bridge"
        ovs.vsctl("add-br", "mesh", "--", "set", "Bridge", "mesh", "datapath_type=dummy", marker)
        for _attempt in range(2):
            result = run("ovs_bridge", name="mesh", ports=[{"name": "nodevice0", "ofport": 50001}])
            assert result["failed"]
            trouble = "port nodevice0: could not open network device nodevice0 (No such device)"
            assert result["msg"].startswith(f"Open vSwitch could not set up bridge mesh: {trouble}.")
            assert "Fix: see that the devices exist" in result["msg"]


@pytest.mark.usefixtures("ovs")
def test_datapath_that_is_not_there(run: Module) -> None:
    """Open vSwitch reports nothing then: the row is written, and no bridge forwards."""
    for _attempt in range(2):
        result = run("ovs_bridge", name="mesh", datapath_type="system")
        assert result["failed"]
        assert "bridge mesh: ovs-vswitchd has no datapath of type system for it" in result["msg"]
    assert run("ovs_bridge", name="mesh", datapath_type="netdev")["changed"]
    assert not run("ovs_bridge", name="mesh")["changed"]


def test_database_gone(ovs: PrivateOvs, run: Module) -> None:
    ovs.stop("ovsdb-server")
    result = run("ovs_bridge", **MESH)
    assert result["failed"]
    assert "database connection failed" in result["msg"]
    assert result["msg"].endswith("Fix: start the service openvswitch-switch.")
    assert run("ovs_bridge", **MESH, check=True)["changed"]
    assert not run("ovs_bridge", name="mesh", state="absent")["changed"]
