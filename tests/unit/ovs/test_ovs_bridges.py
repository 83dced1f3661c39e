# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bridges: what is read from OVSDB, what is planned, what is refused before anything is touched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._errors import RefusedError, SocketNetworkError
from ansible_collections.op_dbus.socket_network.plugins.module_utils._ovs import bridge
from ansible_collections.op_dbus.socket_network.plugins.module_utils._ovs.bridge_plan import (
    PROTOCOLS,
    BridgeSpec,
    PortSpec,
    check_switch,
    faults,
    pending,
    plan_absent,
    plan_present,
)
from ansible_collections.op_dbus.socket_network.plugins.module_utils._ovs.vsctl import (
    Bridge,
    NoSwitchError,
    Port,
    Switch,
    parse_switch,
)

from tests.unit.ovs.recorded import Recorded
from tests.unit.ovs.recordings import LIST

OURS = {"op-dbus-owner": "socket_bridge"}
WARP = PortSpec("ovs-warp0", 53211)
ATTACHED = Port("ovs-warp0", 53211, 53211, "", OURS)
MESH = Bridge("mesh", "netdev", "secure", PROTOCOLS, (), OURS, {"ovs-warp0": ATTACHED})


def switch(*bridges: Bridge) -> Switch:
    return Switch({item.name: item for item in bridges})


class TestReading:
    def test_bridges_and_ports(self) -> None:
        found = parse_switch(LIST).bridges
        mesh, theirs = found["mesh"], found["theirs"]
        assert (mesh.datapath_type, mesh.fail_mode, mesh.protocols) == ("netdev", "secure", PROTOCOLS)
        assert (mesh.owner, mesh.controllers, mesh.error) == ("socket_bridge", (), "")
        assert mesh.ports["veth102"] == Port("veth102", 32870, 32870, "", {"op-dbus-owner": "lxc_service"})
        assert mesh.ports["ovs-warp0"].ofport == -1
        assert mesh.ports["ovs-warp0"].error == "could not open network device ovs-warp0 (No such device)"
        assert list(mesh.ports) == ["ovs-warp0", "veth102"]
        assert (theirs.datapath_type, theirs.fail_mode, theirs.ports) == ("system", "", {})
        assert theirs.controllers == ("tcp:127.0.0.1:6653",)
        assert theirs.error == "ovs-vswitchd has no datapath of type system for it"

    def test_a_deleted_device_is_told_by_its_index(self) -> None:
        found = parse_switch(LIST.replace('4,"up"', '0,"down"')).bridges["mesh"]
        assert found.ports["veth102"].error == "the device is gone"

    def test_a_device_made_anew_is_told_by_its_flags(self, tmp_path: Path) -> None:
        (tmp_path / "ovs-warp0").mkdir()
        flags = tmp_path / "ovs-warp0" / "flags"
        for text, error in (("0x1103\n", ""), ("0x1003\n", "the device was made anew and is not attached")):
            flags.write_text(text)
            found = bridge.with_dead_ports(switch(MESH), "mesh", str(tmp_path)).bridges["mesh"]
            assert found.ports["ovs-warp0"].error == error
        kernel = replace(MESH, datapath_type="system")
        assert bridge.with_dead_ports(switch(kernel), "mesh", str(tmp_path)) == switch(kernel)


PLANS: list[tuple[str, BridgeSpec, Switch, list[tuple[str, tuple[tuple[str, ...], ...]]]]] = [
    ("as wanted", BridgeSpec("mesh", ports=(WARP,)), switch(MESH), []),
    (
        "new",
        BridgeSpec("mesh", ports=(WARP,)),
        switch(),
        [
            (
                "create bridge mesh with the netdev datapath",
                (
                    ("add-br", "mesh"),
                    (
                        "set",
                        "Bridge",
                        "mesh",
                        "datapath_type=netdev",
                        "fail_mode=secure",
                        "protocols=OpenFlow10,OpenFlow13,OpenFlow15",
                        'external_ids:"op-dbus-owner"="socket_bridge"',
                    ),
                ),
            ),
            (
                "add port ovs-warp0 to bridge mesh as 53211",
                (
                    ("add-port", "mesh", "ovs-warp0"),
                    (
                        "set",
                        "Interface",
                        "ovs-warp0",
                        "ofport_request=53211",
                        'external_ids:"op-dbus-owner"="socket_bridge"',
                    ),
                ),
            ),
        ],
    ),
    (
        "no longer wanted, beside a container's and a stranger's",
        BridgeSpec("mesh"),
        switch(
            replace(
                MESH,
                ports={
                    **MESH.ports,
                    "veth102": Port("veth102", 5, 5, "", {"op-dbus-owner": "lxc_service"}),
                    "tap0": Port("tap0", 6),
                },
            )
        ),
        [("remove port ovs-warp0 from bridge mesh", (("del-port", "mesh", "ovs-warp0"),))],
    ),
    (
        "other datapath",
        BridgeSpec("mesh", "system", (WARP,)),
        switch(MESH),
        [
            (
                "change the datapath of bridge mesh from netdev to system",
                (("set", "Bridge", "mesh", "datapath_type=system"),),
            )
        ],
    ),
    (
        "default protocols, which differ between versions",
        BridgeSpec("mesh", ports=(WARP,)),
        switch(replace(MESH, protocols=())),
        [
            (
                "set protocols of bridge mesh to OpenFlow10, OpenFlow13, OpenFlow15",
                (("set", "Bridge", "mesh", "protocols=OpenFlow10,OpenFlow13,OpenFlow15"),),
            )
        ],
    ),
]


@pytest.mark.parametrize(("spec", "found", "wanted"), [case[1:] for case in PLANS], ids=[case[0] for case in PLANS])
def test_plan(spec: BridgeSpec, found: Switch, wanted: list[tuple[str, tuple[tuple[str, ...], ...]]]) -> None:
    assert [(change.action, change.commands) for change in plan_present(spec, found, "netdev")] == wanted


@pytest.mark.parametrize("trouble", [{"ofport": -1}, {"error": "could not open network device"}])
def test_a_dead_port_is_detached_in_a_transaction_of_its_own(trouble: dict[str, object]) -> None:
    """In one transaction ovs-vswitchd keeps the old device open."""
    dead = replace(MESH, ports={"ovs-warp0": replace(ATTACHED, **trouble)})
    (change,) = plan_present(BridgeSpec("mesh", ports=(WARP,)), switch(dead), "netdev")
    assert change.action == "re-attach port ovs-warp0 to bridge mesh"
    assert change.first == (("del-port", "mesh", "ovs-warp0"),)
    assert change.commands[0] == ("add-port", "mesh", "ovs-warp0")


def test_absent() -> None:
    assert plan_absent("mesh", switch()) == []
    assert [change.commands for change in plan_absent("mesh", switch(MESH))] == [(("del-br", "mesh"),)]


@pytest.mark.parametrize(
    ("have", "message"),
    [
        (None, "bridge mesh does not exist"),
        (replace(MESH, error="no datapath"), "bridge mesh: no datapath"),
        (replace(MESH, ports={}), "port ovs-warp0: not on the bridge"),
        (replace(MESH, ports={"ovs-warp0": replace(ATTACHED, error="gone")}), "port ovs-warp0: gone"),
        (
            replace(MESH, ports={"ovs-warp0": replace(ATTACHED, ofport=1), "tap0": Port("tap0", 53211)}),
            "port ovs-warp0: has OpenFlow port number 1, not 53211, which tap0 has",
        ),
    ],
)
def test_faults_after_the_change(have: Bridge | None, message: str) -> None:
    assert faults(BridgeSpec("mesh", ports=(WARP,)), have) == [message]


def test_waits_only_for_ports_that_have_no_number_yet() -> None:
    spec = BridgeSpec("mesh", ports=(WARP,))
    assert pending(spec, replace(MESH, ports={"ovs-warp0": replace(ATTACHED, ofport=None)}))
    assert not pending(spec, MESH)
    assert not pending(spec, replace(MESH, ports={"ovs-warp0": replace(ATTACHED, ofport=None, error="gone")}))


V102 = PortSpec("veth102", 9)
REFUSED: list[tuple[BridgeSpec, str, str]] = [
    (BridgeSpec("a/b"), "Bridge name 'a/b' is not valid.", "use 1 to 15"),
    (BridgeSpec("sixteen-letters-"), "Bridge name 'sixteen-letters-' is not valid.", "use 1 to 15"),
    (BridgeSpec(""), "Bridge name '' is not valid.", "use 1 to 15"),
    (BridgeSpec("mesh", ports=(PortSpec('"x"', 5),)), "Port name '\"x\"' is not valid.", "use 1 to 15"),
    (BridgeSpec("mesh", ports=(PortSpec("p", 0),)), "OpenFlow port number 0 is out of range.", "from 1 to 65279"),
    (BridgeSpec("mesh", ports=(PortSpec("p", 65534),)), "OpenFlow port number 65534 is out", "from 1 to 65279"),
    (BridgeSpec("mesh", ports=(WARP, WARP)), "Port ovs-warp0 of bridge mesh is listed twice.", "remove one"),
    (BridgeSpec("mesh", ports=(WARP, PortSpec("p", 53211))), "Ports ovs-warp0 and p of bridge mesh want the", "own"),
    (BridgeSpec("mesh", ports=(PortSpec("mesh", 5),)), "Port mesh has the name of its bridge", "differently"),
    (
        BridgeSpec("mesh", ports=(PortSpec("p", 5, {"op-dbus-owner": "lxc_service"}),)),
        "external_ids op-dbus-owner=lxc_service gives it to another owner.",
        "leave op-dbus-owner out",
    ),
    (BridgeSpec("theirs", adopt=True), "Bridge theirs has the OpenFlow controller tcp:127.0.0.1:6653.", "controller"),
    (BridgeSpec("mesh", ports=(V102,)), "Port veth102 is on bridge mesh and belongs to lxc_service.", "del-port mesh"),
    (BridgeSpec("new", ports=(V102,)), "Port veth102 is on bridge mesh and belongs to lxc_service.", "del-port mesh"),
    (
        BridgeSpec("mesh", ports=(PortSpec("p", 32870),)),
        "Port veth102 on bridge mesh already has the OpenFlow port number 32870 that p needs.",
        "ofport_request=NUMBER",
    ),
    (BridgeSpec("lo"), "A network device lo exists that is not an Open vSwitch bridge.", "name the bridge differently"),
]


@pytest.mark.parametrize(("spec", "message", "fix"), REFUSED, ids=[case[1] for case in REFUSED])
@pytest.mark.parametrize("check_mode", [True, False])
def test_refused_without_a_write(spec: BridgeSpec, message: str, fix: str, check_mode: bool) -> None:
    runner = Recorded({"list": (0, LIST, "")})
    with pytest.raises(RefusedError) as caught:
        bridge.present(runner, spec, check_mode)
    assert message in str(caught.value)
    assert fix in str(caught.value).partition(" Fix: ")[2]


@pytest.mark.parametrize(
    ("name", "message"), [("theirs", "is not deleted"), ("mesh", "still carries ports"), ("", "''")]
)
def test_absent_refused_without_a_write(name: str, message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        bridge.absent(Recorded({"list": (0, LIST, "")}), name)


def test_unmarked_bridge_is_refused_unless_adopted() -> None:
    found = switch(replace(MESH, external_ids={}))
    with pytest.raises(RefusedError, match=r"is not set\)\. Fix: set adopt: true"):
        check_switch(BridgeSpec("mesh"), found)
    check_switch(BridgeSpec("mesh", adopt=True), found)
    actions = [change.action for change in plan_present(BridgeSpec("mesh", adopt=True, ports=(WARP,)), found, "netdev")]
    assert actions == ["adopt bridge mesh"]


def test_trouble_of_an_unchanged_bridge_is_an_error_too() -> None:
    text = LIST.replace("-1,53211", "53211,53211").replace('"0000a2d1f4b00e4a"', '["set",[]]')
    text = text.replace('"could not open network device ovs-warp0 (No such device)"', '["set",[]]')
    runner = Recorded({"list": (0, text, "")})
    with pytest.raises(SocketNetworkError, match="has no datapath of type netdev"):
        bridge.present(runner, BridgeSpec("mesh", ports=(WARP,)), False)


def test_missing_tools() -> None:
    nothing = Recorded({})
    with pytest.raises(NoSwitchError, match=r"ovs-vsctl is not installed\. Fix: install the package"):
        bridge.present(nothing, BridgeSpec("mesh"), False)
    plan, datapath = bridge.present(nothing, BridgeSpec("mesh"), True)
    assert plan.actions == [f"create bridge mesh with the {datapath} datapath"]
    assert not bridge.absent(nothing, "mesh").changed


@pytest.mark.parametrize(("rc", "datapath"), [(0, "system"), (1, "netdev")])
def test_datapath_of_a_new_bridge(rc: int, datapath: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In check mode modprobe only says whether it could."""
    monkeypatch.setattr(Path, "exists", lambda _path: False)
    assert bridge.usable_datapath(Recorded({"--dry-run": (rc, "", "")}), True) == datapath
    assert bridge.usable_datapath(Recorded({"modprobe": (rc, "", "")}, writable=True), False) == datapath
