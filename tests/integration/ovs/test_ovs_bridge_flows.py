# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ovs_bridge_flows against a real Open vSwitch: what it changes, what it leaves alone, what it costs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.integration.ovs.conftest import Apply, Module
from tests.integration.ovs.private_ovs import PrivateOvs

PORTS = {"veth100": 32868, "veth102": 32870}
ARP = 'table=0,priority=200,arp,in_port="veth100",actions=output:"veth102"'
BACK = 'table=0,priority=200,arp,in_port="veth102",actions=output:"veth100"'
DROP = "table=0,priority=0,actions=drop"
FLOWS = [ARP, BACK, DROP]
LEARN = "priority=5,actions=learn(table=1,priority=5,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[]),NORMAL"
ARP_PACKET = (
    "in_port(1),eth(src=02:00:00:00:00:02,dst=02:00:00:00:00:01),eth_type(0x0806),"
    "arp(sip=10.0.0.1,tip=10.0.0.2,op=1,sha=02:00:00:00:00:02,tha=00:00:00:00:00:00)"
)


def counter(ovs: PrivateOvs, match: str) -> int:
    found = re.search(r"n_packets=(\d+)", ovs.ofctl("dump-flows", "mesh", match))
    return int(found[1]) if found else -1


def test_whole_life(ovs: PrivateOvs, apply: Apply, durable: Path) -> None:
    empty = ovs.state()
    for check in (True, False):
        result = apply(FLOWS, check=check, origins={"0x6f6f0000e7cd64ea": "node: containers[0]"})
        assert result["changed"]
        assert result["actions"] == ["change flows of bridge mesh: add 3", f"create {durable}"]
        assert result["counts"] == {"added": 3, "removed": 0, "modified": 0, "unchanged": 0, "foreign": 0}
        lines = result["diff"]["after"].splitlines()
        assert [line.partition("  # 0x6f6f0000")[0] for line in lines] == [
            'table=0 priority=200,arp,in_port="veth100" actions=output:"veth102"',
            'table=0 priority=200,arp,in_port="veth102" actions=output:"veth100"',
            "table=0 priority=0 actions=drop",
        ]
        assert (ovs.state() == empty) is check
        assert durable.exists() is not check
    made = ovs.state()
    for check in (True, False):
        result = apply(FLOWS, check=check)
        assert (result["changed"], result["actions"], result["diff"]["after"]) == (False, [], "")
        assert result["counts"]["unchanged"] == 3
        assert ovs.state() == made
    assert durable.read_text().count("in_port=32868 actions=output:32870") == 1
    assert '"' not in durable.read_text()

    ovs.appctl("netdev-dummy/receive", "veth100", ARP_PACKET)
    assert counter(ovs, "arp,in_port=32868") == 1
    changed = [ARP.replace('output:"veth102"', 'output:"veth102",LOCAL'), DROP, "table=3,priority=7,ip,actions=drop"]
    kept = durable.read_text()
    for check in (True, False):
        result = apply(changed, check=check)
        assert result["actions"] == ["change flows of bridge mesh: add 1, modify 1, remove 1", f"update {durable}"]
        assert result["counts"] == {"added": 1, "removed": 1, "modified": 1, "unchanged": 1, "foreign": 0}
        assert (ovs.state() == made) is check
        assert (durable.read_text() == kept) is check
    assert counter(ovs, "arp,in_port=32868") == 1, "a rule whose actions changed lost its counter"
    assert not apply(changed)["changed"]

    found = apply([], state="gathered")
    assert [line.partition(", ")[2] for line in found["flows"]] == [
        'table=0, priority=200,arp,in_port="veth100" actions=output:"veth102",LOCAL',
        "table=0, priority=0 actions=drop",
        "table=3, priority=7,ip actions=drop",
    ]
    modified = ovs.state()
    for check in (True, False):
        result = apply([], state="absent", check=check)
        assert result["actions"] == ["change flows of bridge mesh: remove 3", f"remove {durable}"]
        assert ovs.state() == (modified if check else empty)
        assert durable.exists() is check
    assert not apply([], state="absent")["changed"]


def test_origins_of_changed_rules(apply: Apply) -> None:
    cookie = 0x6F6F00000000BEEF
    flow = f"cookie={cookie:#x},{DROP}"
    result = apply([flow], origins={f"{cookie:#x}": "oo1424oo: containers[1]", "0x6f6f000000000001": "unused"})
    assert result["origins"] == {"0x6f6f00000000beef": "oo1424oo: containers[1]"}
    assert result["diff"]["after"] == "table=0 priority=0 actions=drop  # 0x6f6f00000000beef oo1424oo: containers[1]\n"
    assert apply([flow], origins={str(cookie): "oo1424oo: containers[1]"})["origins"] == {}


def test_foreign_and_learned_rules_survive(ovs: PrivateOvs, apply: Apply) -> None:
    ovs.ofctl("add-flow", "mesh", LEARN)
    ovs.ofctl("add-flow", "mesh", "cookie=0x77,table=9,priority=1,actions=NORMAL")
    ovs.appctl("netdev-dummy/receive", "veth100", ARP_PACKET)
    foreign = ovs.flows("mesh")
    assert len(foreign) == 3
    assert apply(FLOWS)["counts"]["foreign"] == 3
    assert not apply(FLOWS)["changed"]
    assert set(foreign) < set(ovs.flows("mesh"))
    apply([], state="absent")
    assert ovs.flows("mesh") == foreign


def test_exclusive_removes_foreign_rules(ovs: PrivateOvs, apply: Apply) -> None:
    ovs.ofctl("add-flow", "mesh", LEARN)
    result = apply(FLOWS, exclusive=True)
    assert result["counts"] == {"added": 3, "removed": 1, "modified": 0, "unchanged": 0, "foreign": 0}
    assert len(ovs.flows("mesh")) == 3
    assert not apply(FLOWS, exclusive=True)["changed"]
    assert apply([], exclusive=True)["counts"]["removed"] == 3
    assert ovs.flows("mesh") == []


def test_collision_is_refused_unless_forced(ovs: PrivateOvs, apply: Apply) -> None:
    ovs.ofctl("add-flow", "mesh", "cookie=0x77,priority=0,actions=NORMAL")
    before = ovs.state()
    for check in (True, False):
        result = apply(FLOWS, check=check)
        assert result["failed"]
        assert result["msg"].startswith(
            "1 wanted flow(s) have the table, priority and match of another owner's flows: "
        )
        assert "'table=0 priority=0 actions=drop' against 'table=0 priority=0 actions=NORMAL'" in result["msg"]
        assert ovs.state() == before
    assert apply(FLOWS, force=True)["counts"]["added"] == 3
    assert len(ovs.flows("mesh")) == 3
    assert not apply(FLOWS)["changed"]


@pytest.mark.parametrize("number", [10, 1000])
def test_unchanged_rules_cost_three_processes(apply: Apply, processes: list[list[str]], number: int) -> None:
    flows = [
        f"table=50,priority={index + 1},ip,nw_dst=10.{index // 256}.{index % 256}.0/24,actions=drop"
        for index in range(number)
    ]
    apply(flows)
    assert len(processes) == 5
    processes.clear()
    assert not apply(flows)["changed"]
    assert [argv[0] for argv in processes] == ["ovs-ofctl", "ovs-vsctl", "ovs-ofctl"]


@pytest.mark.parametrize(
    "drift",
    [
        ("del-flows", "mesh", "arp"),
        ("del-flows", "mesh"),
        ("mod-flows", "mesh", "arp,actions=drop"),
        ("add-flow", "mesh", "cookie=0x6f6f000000000abc,table=4,ip,actions=drop"),
        ("add-flow", "mesh", "cookie={cookie},table=0,ip,actions=drop"),
        ("add-flow", "mesh", "cookie=0x6f6f000000000abc,priority=0,actions=LOCAL"),
        ("add-flow", "mesh", "cookie={cookie},priority=0,send_flow_rem,actions=drop"),
        ("add-flow", "mesh", "cookie={cookie},priority=0,idle_timeout=99,actions=drop"),
        ("add-flow", "mesh", "cookie=0x6f6f000000000abc,priority=9,tcp_dst=443,actions=LOCAL"),
        ("add-flow", "mesh", "cookie=0x6f6f000000000abc,priority=0,tcp_dst=443,actions=LOCAL"),
    ],
    ids=lambda drift: drift[-1],
)
def test_drift_is_repaired(ovs: PrivateOvs, apply: Apply, drift: tuple[str, ...]) -> None:
    """Including rules with a silently widened match, which look like another rule and no strict delete removes."""
    apply(FLOWS)
    made = ovs.flows("mesh")
    cookie = next(re.findall(r"cookie=(\w+)", flow)[0] for flow in made if "priority=0 " in flow)
    ovs.ofctl(*(word.format(cookie=cookie) for word in drift))
    drifted = ovs.flows("mesh")
    assert drifted != made
    assert apply(FLOWS, check=True)["changed"]
    assert ovs.flows("mesh") == drifted
    assert apply(FLOWS)["changed"]
    assert ovs.flows("mesh") == made
    assert not apply(FLOWS)["changed"]


def test_fail_mode_is_part_of_the_plan(ovs: PrivateOvs, apply: Apply) -> None:
    """Open vSwitch drops all flows when it changes, and in the other modes adds a rule that collides with ours."""
    apply(FLOWS)
    made = ovs.flows("mesh")
    ovs.vsctl("set", "Bridge", "mesh", "fail_mode=standalone")
    drifted = ovs.state()
    for check in (True, False):
        result = apply(FLOWS, check=check)
        assert result["actions"] == ["set fail_mode of bridge mesh to secure", "change flows of bridge mesh: add 3"]
        assert (ovs.state() == drifted) is check
    assert ovs.flows("mesh") == made
    assert not apply(FLOWS)["changed"]


def test_protocols_are_part_of_the_plan(ovs: PrivateOvs, apply: Apply) -> None:
    apply(FLOWS)
    ovs.vsctl("set", "Bridge", "mesh", "protocols=OpenFlow13")
    drifted = ovs.state()
    for check in (True, False):
        result = apply([*FLOWS, "table=1,actions=drop"], check=check)
        assert result["actions"][:2] == [
            "set protocols of bridge mesh to OpenFlow13, OpenFlow15",
            "change flows of bridge mesh: add 1",
        ]
        assert result["counts"]["unchanged"] == 3
        assert (ovs.state() == drifted) is check
    assert not apply([*FLOWS, "table=1,actions=drop"])["changed"]


def test_bundle_is_atomic(ovs: PrivateOvs, apply: Apply, durable: Path) -> None:
    """A missing group is noticed by the switch only, at the end of a bundle that removes and adds before."""
    apply(FLOWS)
    before, kept = ovs.state(), durable.read_text()
    result = apply([DROP, "table=1,actions=drop", "table=2,actions=group:77"])
    assert result["failed"]
    assert "OFPBAC_BAD_OUT_GROUP" in result["msg"]
    assert result["rc"] == 1
    assert ovs.state() == before
    assert durable.read_text() == kept


SHIM = """#!/bin/sh
case " $* " in
  *" {command} "*) [ {when} = before ] || {real} "$@"; kill -9 $PPID; exit 1 ;;
esac
exec {real} "$@"
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_the_bundle(ovs: PrivateOvs, apply: Apply, directory: Path, when: str) -> None:
    """Whatever moment the module dies at, the flows are the old or the new ones, and the next run completes."""
    apply(FLOWS)
    old = ovs.flows("mesh")
    shims = directory / "shims"
    shims.mkdir()
    shim = shims / "ovs-ofctl"
    shim.write_text(SHIM.format(command="bundle", when=when, real="/usr/bin/ovs-ofctl"))
    shim.chmod(0o755)
    new = [DROP, "table=1,actions=drop"]
    done = apply.apart(new, path=str(shims))
    assert done.returncode == -9
    assert (ovs.flows("mesh") == old) is (when == "before")
    assert apply(new)["changed"]
    assert len(ovs.flows("mesh")) == 2
    assert not apply(new)["changed"]


def test_check_mode_before_the_bridge_exists(ovs: PrivateOvs, run: Module, durable: Path) -> None:
    arguments: dict[str, Any] = {"bridge": "later", "flows": FLOWS, "ports": PORTS, "durable": str(durable)}
    before = ovs.state()
    result = run("ovs_bridge_flows", **arguments, check=True)
    assert result["counts"]["added"] == 3
    assert result["datapath_type"] is None
    assert ovs.state() == before
    result = run("ovs_bridge_flows", **arguments)
    assert result["msg"] == "Bridge later does not exist. Fix: create it first with the module ovs_bridge."
    assert not durable.exists()


def test_without_open_vswitch(run: Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    path = tmp_path / "mesh.flows"
    arguments: dict[str, Any] = {"bridge": "mesh", "flows": FLOWS, "ports": PORTS, "durable": str(path)}
    result = run("ovs_bridge_flows", **arguments, check=True)
    assert result["changed"]
    assert result["actions"] == ["change flows of bridge mesh: add 3", f"create {path}"]
    assert not path.exists()
    for state in ("present", "rendered"):
        result = run("ovs_bridge_flows", **arguments, state=state)
        assert result["msg"].endswith("ovs-ofctl is not installed. Fix: install the package openvswitch-switch.")
    assert not run("ovs_bridge_flows", bridge="mesh", state="absent", durable=str(path))["changed"]
    bridge: dict[str, Any] = {"name": "mesh", "ports": [{"name": "ovs-warp0", "ofport": 53211}]}
    assert run("ovs_bridge", **bridge, check=True)["actions"] == [
        "create bridge mesh with the netdev datapath",
        "add port ovs-warp0 to bridge mesh as 53211",
    ]
    assert "ovs-vsctl is not installed" in run("ovs_bridge", **bridge)["msg"]


def test_rendered_needs_no_switch(run: Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OVS_RUNDIR", str(tmp_path))
    flows = ["priority=7,ip,nw_dst=10.0.0.1/24,actions=mod_dl_dst:02:00:00:00:00:01,LOCAL", ARP]
    result = run("ovs_bridge_flows", bridge="mesh", flows=flows, ports=PORTS, state="rendered")
    assert [line.partition(", ")[2] for line in result["rendered"]] == [
        "table=0, priority=200,arp,in_port=32868 actions=output:32870",
        "table=0, priority=7,ip,nw_dst=10.0.0.0/24 actions=set_field:02:00:00:00:00:01->eth_dst,LOCAL",
    ]
    assert not result["changed"]
