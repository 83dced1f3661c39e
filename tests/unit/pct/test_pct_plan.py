# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proxmox: the three classes of drift, the order of the steps, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._errors import RefusedError
from ansible_collections.op_dbus.socket_network.plugins.module_utils._lxc.drift import ConsentError
from ansible_collections.op_dbus.socket_network.plugins.module_utils._lxc.plan import Wish
from ansible_collections.op_dbus.socket_network.plugins.module_utils._lxc.port import Switch
from ansible_collections.op_dbus.socket_network.plugins.module_utils._pct import drift, plan
from ansible_collections.op_dbus.socket_network.plugins.module_utils._pct.driver import PctDriver
from ansible_collections.op_dbus.socket_network.plugins.module_utils._pct.found import Found
from ansible_collections.op_dbus.socket_network.plugins.module_utils._plan import Plan

from tests.unit.lxc.sample_container import DIGEST, Recorded
from tests.unit.pct.sample_pct import NIC, PENDING, SIDECAR, TEXT, found_port, nothing, running, spec, stopped


@pytest.fixture(autouse=True)
def _no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of the machine that runs the tests do not count."""
    monkeypatch.setattr(plan, "plan_files", lambda *_args, **_keys: Plan())


def planned(have: Found, wish: Wish | None = None, **changes: Any) -> list[str]:
    runner = Recorded()
    steps, _create = plan.present(spec(**changes), have, wish or Wish(True), runner, "local-lvm:8")
    assert runner.calls == []
    return steps.actions


def drifts(have: Found, **changes: Any) -> list[str]:
    return [str(one) for one in drift.drifts(spec(**changes), have)]


def edited(old: str, new: str) -> str:
    assert old in TEXT
    return TEXT.replace(old, new)


def test_nothing_to_do() -> None:
    assert drifts(running()) == []
    assert planned(running()) == planned(stopped(), Wish(False)) == []
    assert planned(running(TEXT.lower())) == [], "a MAC address in small letters is the same one"
    assert drifts(running(bridge_mtu=1280)) == []


@pytest.mark.parametrize(
    ("have", "told"),
    [
        (running(edited("firewall=0", "firewall=1")), "net0 firewall 1 -> 0"),
        (running(edited("bridge=mesh", "bridge=vmbr0,tag=5")), "net0 bridge vmbr0 -> mesh, tag 5 -> (none)"),
        (running(edited("memory: 512", "memory: 64")), "memory 64 -> 512"),
        (running(edited("cpulimit: 1.5\n", "")), "cpulimit (none) -> 1.5"),
        (running(edited("hostname: xray-client", "hostname: other")), "hostname other -> xray-client"),
        (running(edited("#op-dbus-owner=lxc_service/102\n", "#mine\n")), "our notes in the description"),
        (
            running(edited("lxc.net.0.script.up: /usr/local/lib/op-dbus/pct-port\n", "")),
            "lxc.net.0.script.up (none) -> /usr/local/lib/op-dbus/pct-port",
        ),
        (
            running(TEXT + "lxc.net.0.script.up: /theirs\n"),
            "lxc.net.0.script.up /usr/local/lib/op-dbus/pct-port, /theirs -> /usr/local/lib/op-dbus/pct-port",
        ),
        (running(TEXT + PENDING + "memory: 64\n"), "memory 64 waits for the next start -> memory 512"),
        (running(TEXT + PENDING + "delete: swap\n"), "its removal waits for the next start -> swap 256"),
        (running(switch=Switch({"mesh": "system"})), "port veth102i0 is not on bridge mesh"),
        (running(switch=Switch({}, found_port(ofport=3, request=None))), "port veth102i0 ofport_request None -> 32870"),
        (
            running(nic=replace(NIC, address=None)),
            "eth0 up mac 02:00:0a:00:00:66 mtu 1280 address None gateway 10.0.0.1",
        ),
        (running(bridge_mtu=1279), "MTU of bridge mesh 1279 -> 1280"),
    ],
)
def test_live_drift(have: Found, told: str) -> None:
    (one,) = drift.drifts(spec(), have)
    assert (one.kind, one.what.startswith(told)) == ("live", True), one
    actions = planned(have)
    assert told in actions[0]
    assert not any(action.split()[0] in ("stop", "start") for action in actions)


def test_a_live_change_of_the_device_brings_the_port_back() -> None:
    assert planned(running(edited("firewall=0", "firewall=1"))) == [
        "configure xray-client: net0 firewall 1 -> 0",
        "plug veth102i0 into mesh: Proxmox has plugged it anew",
    ]


def test_only_what_differs_is_set() -> None:
    runner = Recorded()
    text = edited("memory: 512", "memory: 64") + PENDING + "swap: 0\n"
    steps, _create = plan.present(spec(cpus=None), running(text), Wish(True), runner, "local-lvm:8")
    steps.apply()
    set_memory = ("pct", "set", "102", "--memory", "512", "--delete", "cpulimit", "--revert", "swap")
    assert runner.calls == [set_memory]


def test_what_waits_is_set_after_a_stop_as_proxmox_has_taken_it_over() -> None:
    runner = Recorded()
    text = TEXT + PENDING + "swap: 0\nfeatures: nesting=1\n"
    steps, _create = plan.present(spec(), running(text), Wish(False), runner, "local-lvm:8")
    steps.apply()
    assert [call[1] for call in runner.calls] == ["shutdown", "set"]
    assert runner.calls[1][3:] == ("--swap", "256", "--delete", "features")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"mtu": 1400}, "net0 mtu 1280 -> 1400"),
        ({"nesting": True}, "features (none) -> nesting=1"),
        ({"ipv4_address": "10.0.0.103/24"}, "net0 ip 10.0.0.102/24 -> 10.0.0.103/24"),
        ({"mac": "02:00:0a:00:00:67"}, "net0 hwaddr 02:00:0a:00:00:66 -> 02:00:0a:00:00:67"),
    ],
)
def test_drift_that_needs_a_restart(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ConsentError) as refusal:
        planned(running(), **changes)
    assert f"needs a restart, and nothing was changed: {told}" in str(refusal.value)
    actions = planned(running(), Wish(True, restart=True), **changes)
    assert actions == ["stop container xray-client", f"configure xray-client: {told}", "start container xray-client"]
    assert planned(stopped(), Wish(False), **changes) == [f"configure xray-client: {told}"]


@pytest.mark.parametrize(
    ("have", "told"),
    [
        (running(edited(DIGEST, "0" * 64)), f"root file system sha256:{'0' * 64} -> sha256:{DIGEST}"),
        (running(edited("unprivileged: 1\n", "")), "unprivileged False -> unprivileged True"),
    ],
)
def test_drift_that_needs_another_container(have: Found, told: str) -> None:
    with pytest.raises(ConsentError, match="needs the container to be made anew") as refusal:
        planned(have, Wish(True, restart=True))
    assert told in str(refusal.value)
    assert planned(have, Wish(True, recreate=True)) == [
        "stop container xray-client",
        "delete container xray-client with its data",
        "create container xray-client as 102 from /srv/guest.tar.zst",
        "write raw keys of xray-client: our port script",
        "start container xray-client",
    ]


def test_creating() -> None:
    assert planned(nothing()) == [
        "create container xray-client as 102 from /srv/guest.tar.zst",
        "write raw keys of xray-client: our port script",
        "start container xray-client",
    ]
    assert planned(nothing(bridge_mtu=576), Wish(False))[0] == "raise MTU of bridge mesh 576 -> 1280"
    assert planned(nothing(bridge_mtu=None), Wish(False))[0].startswith("create")


def test_stopping_and_stale_ports() -> None:
    assert planned(running(), Wish(False)) == ["stop container xray-client"]
    stale = stopped(switch=Switch({"mesh": "system"}, found_port(error="could not open network device")))
    assert planned(stale, Wish(False)) == ["remove the stale port veth102i0"]
    assert planned(stale) == ["start container xray-client"]


@pytest.mark.parametrize(
    ("have", "message"),
    [
        (nothing(is_plain=True), "Container xray-client is one of plain LXC on this host, not of Proxmox"),
        (nothing(holder="a virtual machine on node pve2"), "Id 102 is taken: a virtual machine on node pve2 has it."),
        (
            nothing(sidecar={"id": "103", "name": "xray-client"}),
            "Container xray-client has id 103 on this host, not 102",
        ),
        (stopped("hostname: db\n", sidecar={}), "Container 102 (db) exists and does not carry the mark"),
        (stopped("lock: create\n", sidecar={}), "is not touched. It is locked (create). Fix: wait until its task"),
        (stopped("lock: destroyed\n"), "`pct unlock 102`, then `pct destroy 102 --destroy-unreferenced-disks 1`."),
        (stopped("hostname: db\n"), "line op-dbus-owner=lxc_service/102 into its notes; when it is somebody else's"),
        (nothing(sidecar=SIDECAR, holder="a container on node pve2"), "bring it back to this node."),
        (stopped("hostname: db\n"), "Container 102 (db) exists and does not carry the mark"),
        (stopped(edited("xray-client", "db"), sidecar={}), "Container 102 is db of this collection, not xray-client"),
        (stopped(edited("arch", "lock: backup\narch")), "Container 102 is locked (backup), and nothing was changed"),
        (nothing(switch=Switch({"mesh": "netdev"})), "bridge mesh has the userspace datapath (netdev)"),
        (nothing(switch=Switch({}, found_port(external_ids={}))), "Port veth102i0 on bridge mesh belongs to somebody"),
        (
            nothing(switch=Switch({}, found_port(external_ids={}))),
            "Fix: give xray-client another id, or remove the port",
        ),
    ],
)
def test_what_is_refused(have: Found, message: str) -> None:
    with pytest.raises(RefusedError) as refusal:
        planned(have)
    assert message in str(refusal.value)


def test_one_of_two_marks_is_enough() -> None:
    assert planned(running(sidecar={})) == []
    assert planned(running(edited("#op-dbus-owner=lxc_service/102\n", ""))) == [
        "configure xray-client: our notes in the description"
    ]


def test_a_locked_container_that_is_as_wanted_is_no_fault() -> None:
    assert planned(running(edited("arch", "lock: backup\narch"))) == []


def test_a_lock_keeps_nobody_from_what_proxmox_has_no_part_in() -> None:
    locked = edited("arch", "lock: backup\narch")
    port_lost = running(locked, switch=Switch({"mesh": "system"}), nic=replace(NIC, address=None))
    assert [action.split()[0] for action in planned(port_lost)] == ["plug", "repair"]
    for have, wish in (
        (stopped(locked), Wish(True)),
        (running(locked), Wish(False)),
        (running(locked.replace("memory: 512", "memory: 64")), Wish(True)),
        (running(locked.replace("lxc.net.0.script.up", "lxc.net.1.script.up")), Wish(True)),
    ):
        with pytest.raises(RefusedError, match="is locked"):
            planned(have, wish)
    with pytest.raises(RefusedError, match="is locked"):
        plan.absent("xray-client", stopped(locked), False, Recorded())


def test_the_port_of_a_container_of_ours_needs_no_mark() -> None:
    """Proxmox has plugged it before the raw keys were there, and a power cut has left it."""
    assert planned(stopped(switch=Switch({"mesh": "system"}, found_port(external_ids={})))) == [
        "start container xray-client"
    ]


def test_protection_keeps_the_data() -> None:
    have = running(edited("arch", "protection: 1\narch"))
    assert planned(have) == []
    assert planned(have, memory=256) == ["configure xray-client: memory 512 -> 256"]
    with pytest.raises(RefusedError, match="is protected from deletion"):
        planned(have, Wish(True, recreate=True), unprivileged=False)
    with pytest.raises(RefusedError, match="is protected from deletion"):
        plan.absent("xray-client", have, False, Recorded())


def test_absent() -> None:
    runner = Recorded()
    steps = plan.absent("xray-client", running(), False, runner)
    assert steps.actions == ["stop container xray-client", "delete container xray-client with its data"]
    steps.apply()
    assert runner.calls == [
        ("pct", "shutdown", "102", "--timeout", "30", "--forceStop", "1"),
        ("pct", "destroy", "102", "--purge", "1"),
    ]
    stale = stopped(conf=None, switch=Switch({}, found_port()))
    assert plan.absent("xray-client", stale, False, runner).actions == ["remove the stale port veth102i0"]
    assert plan.absent("xray-client", Found(""), False, runner).actions == []
    with pytest.raises(RefusedError, match="is one of plain LXC"):
        plan.absent("xray-client", nothing(is_plain=True), False, runner)
    with pytest.raises(RefusedError, match="does not carry the mark"):
        plan.absent("xray-client", stopped("hostname: db\n"), False, runner)


@pytest.mark.parametrize("last", [False, True])
def test_the_script_goes_with_the_last_container(monkeypatch: pytest.MonkeyPatch, last: bool) -> None:
    gone: list[str] = []
    monkeypatch.setattr(plan, "plan_files", lambda _wanted, absent: gone.extend(absent) or Plan())
    plan.absent("xray-client", stopped(), last, Recorded())
    own = ["/etc/op-dbus/containers.d/xray-client.json", "/etc/op-dbus/containers.d/102.port"]
    assert gone == own + [plan.SHARED.path] * last


def test_what_a_migration_has_brought_is_not_deleted() -> None:
    """Its mark came with it, the description did not: this node's inventory does not know it, and would purge it."""
    with pytest.raises(RefusedError, match=r"Container 102 \(xray-client\) carries the mark .*from another one"):
        plan.absent("xray-client", stopped(sidecar={}), False, Recorded())
    assert planned(stopped(sidecar={})) == ["start container xray-client"], "one that is named here is taken on"


def test_diff_shows_the_file_before_and_after() -> None:
    text = edited("memory: 512", "memory: 64")
    told, _create = plan.present(spec(), running(text), Wish(True), Recorded(), "local-lvm:8")
    assert f"state = RUNNING\n{text}" in told.before
    assert told.after == f"state = RUNNING\n{TEXT}"


def test_diff_tells_nobodys_secrets() -> None:
    text = "#root password hunter2\n" + edited("memory: 512", "memory: 64") + "lxc.environment.runtime: TOKEN=hunter2\n"
    for told in (
        plan.present(spec(), running(text), Wish(True), Recorded(), "local-lvm:8")[0],
        plan.absent("xray-client", running(text), False, Recorded()),
    ):
        assert "hunter2" not in told.before + told.after
        assert "lxc.environment.runtime: (not shown)" in told.before


@pytest.mark.parametrize("number", ["99", "0102", "x102", "1000000000"])
def test_ids_are_numbers_from_100(number: str) -> None:
    with pytest.raises(RefusedError, match="cannot be one of Proxmox, which numbers its guests from 100"):
        PctDriver().check(spec(id=number))


def test_trees_are_refused() -> None:
    PctDriver().check(spec())
    with pytest.raises(RefusedError, match="archives only, not of tree /srv/tree"):
        PctDriver().check(spec(image=None, tree="/srv/tree"))
