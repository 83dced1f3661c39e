# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The three classes of drift, what they need consent for, and the order of the steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._errors import RefusedError
from ansible_collections.op_dbus.socket_network.plugins.module_utils._lxc import config, drift, plan, port
from ansible_collections.op_dbus.socket_network.plugins.module_utils._lxc.backend import LxcBackend, Status
from ansible_collections.op_dbus.socket_network.plugins.module_utils._lxc.config import Limits
from ansible_collections.op_dbus.socket_network.plugins.module_utils._lxc.found import Found
from ansible_collections.op_dbus.socket_network.plugins.module_utils._lxc.nic import Nic
from ansible_collections.op_dbus.socket_network.plugins.module_utils._lxc.plan import Wish
from ansible_collections.op_dbus.socket_network.plugins.module_utils._lxc.spec import ContainerSpec

from tests.unit.lxc.sample_container import DIGEST, LIMITS, VLESS, Recorded, found, spec

OTHER = "sha256:" + "0" * 64
PORT = port.FoundPort(
    "mesh",
    32870,
    32870,
    1280,
    {
        "op-dbus-owner": "lxc_service",
        "container": "xray-client",
        "services": "xray-vless",
        "attached-mac": "02:00:0a:00:00:66",
        "iface-id": "xray-client.eth0",
    },
)
NIC = Nic("02:00:0a:00:00:66", 1280, True, IPv4Interface("10.0.0.102/24"), IPv4Address("10.0.0.1"))


@pytest.fixture(autouse=True)
def _no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of the machine that runs the tests do not count."""
    monkeypatch.setattr(plan, "plan_files", lambda *_args, **_keys: plan.Plan())
    monkeypatch.setattr(plan.guest, "plan_guest", lambda *_args: plan.Plan())


def running(state: ContainerSpec | None = None, **changes: Any) -> Found:
    """The container running, just as ``state`` says."""
    live = {"status": Status("RUNNING", 677), "nic": NIC, "limits": dict(LIMITS.values)}
    return found(state, **{**live, "switch": port.Switch({"mesh": "netdev"}, PORT), **changes})


def with_port(**changes: Any) -> Found:
    return running(switch=port.Switch({"mesh": "netdev"}, replace(PORT, **changes)))


def drifts(wanted: ContainerSpec, have: Found, limits: Limits = LIMITS) -> list[str]:
    text = config.render(wanted, limits, have.source or "unknown")
    return [str(one) for one in drift.drifts(wanted, have, text, limits)]


def planned(wanted: ContainerSpec, have: Found, wish: Wish, limits: Limits = LIMITS) -> list[str]:
    runner = Recorded()
    steps, _create = plan.present(wanted, have, limits, wish, plan.Tools(LxcBackend(runner), runner))
    assert runner.calls == []
    return steps.actions


def test_nothing_to_do() -> None:
    assert drifts(spec(), running()) == []
    assert planned(spec(), running(), Wish(True)) == []
    assert planned(spec(), found(), Wish(False)) == []


@pytest.mark.parametrize(
    ("have", "told"),
    [
        (running(limits={"memory.max": "max"}), ["live memory.max max -> 536870912 (live)"]),
        (with_port(request=None, ofport=7), ["port veth102 ofport_request None -> 32870 (live)"]),
        (with_port(ofport=9), ["port veth102 ofport 9 -> 32870 (live)"]),
        (with_port(mtu_request=None), ["port veth102 mtu_request None -> 1280 (live)"]),
        (with_port(bridge="vmbr0"), ["port veth102 is not on bridge mesh (live)"]),
        (
            with_port(error="could not open network device veth102"),
            ["port veth102: could not open network device veth102 (live)"],
        ),
        (running(switch=port.Switch()), ["port veth102 is not on bridge mesh (live)"]),
        (running(hears_ipv6=True), ["IPv6 is on at the host's end of veth102 (live)"]),
    ],
)
def test_live_drift(have: Found, told: list[str]) -> None:
    assert drifts(spec(), have) == told
    assert len(planned(spec(), have, Wish(True))) == 1


def test_changed_limits_are_live_in_file_and_cgroup() -> None:
    limits = Limits((*LIMITS.values[:2], ("cpu.max", "200000 100000")))
    assert drifts(spec(cpus=2), running(), limits) == [
        "lxc.cgroup2.cpu.max 150000 100000 -> 200000 100000 (live)",
        "live cpu.max 150000 100000 -> 200000 100000 (live)",
    ]


def test_a_limit_that_goes_is_lifted() -> None:
    actions = planned(spec(memory=None), running(), Wish(True), Limits(LIMITS.values[1:]))
    assert actions == [
        "configure xray-client: lxc.cgroup2.memory.max 536870912 -> (none)",
        "set live memory.max 536870912 -> max",
    ]


def test_services_are_metadata() -> None:
    wanted = spec(services=[VLESS, {**VLESS, "name": "api", "port": 8080}])
    assert drifts(wanted, running()) == ["port veth102 external_ids:services xray-vless -> xray-vless,api (live)"]


def test_an_address_that_the_guest_removed_is_given_back() -> None:
    (told,) = drifts(spec(), running(nic=replace(NIC, address=None, gateway=None)))
    assert told.startswith("eth0 up mac 02:00:0a:00:00:66 mtu 1280 address None gateway None -> eth0 up")


RESTARTING: list[tuple[Callable[[], ContainerSpec], str]] = [
    (lambda: spec(mtu=1400), "lxc.net.0.mtu 1280 -> 1400"),
    (lambda: spec(mac="02:00:0a:00:00:67"), "lxc.net.0.hwaddr 02:00:0a:00:00:66 -> 02:00:0a:00:00:67"),
    (lambda: spec(nesting=True), "lxc.apparmor.allow_nesting 0 -> 1"),
    (
        lambda: spec(ipv4_address="10.0.0.103/24"),
        "lxc.net.0.ipv4.address 10.0.0.102/24 10.0.0.255 -> 10.0.0.103/24 10.0.0.255",
    ),
]


@pytest.mark.parametrize(("wanted", "told"), RESTARTING, ids=[told for _wanted, told in RESTARTING])
def test_drift_that_needs_a_restart(wanted: Callable[[], ContainerSpec], told: str) -> None:
    with pytest.raises(drift.ConsentError) as refusal:
        planned(wanted(), running(), Wish(True))
    assert f"needs a restart, and nothing was changed: {told}" in str(refusal.value)
    assert "Fix: set lxc_service_restart: if_needed" in str(refusal.value)
    assert f"{told} (restart)" in refusal.value.pending
    actions = planned(wanted(), running(), Wish(True, restart=True))
    assert (actions[0], actions[-1]) == ("stop container xray-client", "start container xray-client")
    assert actions[1].startswith(f"configure xray-client: {told}")


def test_a_stopped_container_takes_changes_without_consent() -> None:
    assert planned(spec(mtu=1400), found(), Wish(False)) == ["configure xray-client: lxc.net.0.mtu 1280 -> 1400"]
    assert planned(spec(mtu=1400), running(), Wish(False))[0] == "stop container xray-client"


def test_order_of_lines_counts() -> None:
    have = running()
    lines = (have.config or "").splitlines()
    assert drifts(spec(), replace(have, config="\n".join([*lines[:3], *reversed(lines[3:])]))) != []
    swapped = [*lines[:5], lines[6], lines[5], *lines[7:]]
    assert drifts(spec(), replace(have, config="\n".join(swapped))) == ["order of the configuration's lines (restart)"]


def test_a_lost_comment_is_put_back_live() -> None:
    text = (running().config or "").replace("# Written by", "# written by")
    assert drifts(spec(), running(config=text)) == ["comments of the configuration (live)"]


@pytest.mark.parametrize(
    ("wanted", "have", "told"),
    [
        (spec(), running(source=OTHER), f"root file system {OTHER} -> sha256:{DIGEST}"),
        (spec(image=None, tree="/srv/tree"), running(), f"root file system sha256:{DIGEST} -> tree:/srv/tree"),
        (spec(unprivileged=False), running(), "unprivileged True -> unprivileged False"),
        (spec(), running(unprivileged=None), "no root file system -> unprivileged True"),
        (spec(), running(source=None), f"root file system unknown -> sha256:{DIGEST}"),
    ],
)
def test_drift_that_needs_another_container(wanted: ContainerSpec, have: Found, told: str) -> None:
    for state in (have, replace(have, status=Status(), nic=None)):
        with pytest.raises(drift.ConsentError) as refusal:
            planned(wanted, state, Wish(True, restart=True))
        assert f"needs the container to be made anew, and nothing was changed: {told}." in str(refusal.value)
        assert "set lxc_service_recreate: true" in str(refusal.value)
    actions = planned(wanted, have, Wish(True, recreate=True))
    assert [action.split()[0] for action in actions] == ["recreate", "stop", "install", "start"]


def test_creating() -> None:
    nothing = Found(switch=port.Switch({"mesh": "netdev"}))
    assert planned(spec(), nothing, Wish(True)) == [
        "create the root file system of xray-client from /srv/guest.tar.zst",
        "install container xray-client",
        "enable start of xray-client at boot",
        "start container xray-client",
    ]
    assert planned(spec(autostart=False), nothing, Wish(False))[-1] == "install container xray-client"


def test_after_a_power_cut_the_port_is_left_to_the_start() -> None:
    stale = port.Switch({"mesh": "netdev"}, replace(PORT, error="could not open network device veth102"))
    assert planned(spec(), found(switch=stale), Wish(True)) == ["start container xray-client"]
    assert planned(spec(), found(switch=stale), Wish(False)) == ["remove the stale port veth102"]


def test_a_lost_configuration_costs_no_data() -> None:
    (action,) = planned(spec(), found(config=None), Wish(False))
    assert action.startswith("configure xray-client: ")


def test_start_at_boot_follows() -> None:
    assert planned(spec(autostart=False), running(), Wish(True)) == ["disable start of xray-client at boot"]


@pytest.mark.parametrize(
    ("have", "message"),
    [
        (Found(exists=True), "/var/lib/lxc/xray-client exists and does not carry the mark of this collection"),
        (Found(exists=True, config="lxc.uts.name = xray-client\n"), "does not carry the mark"),
        (Found(switch=port.Switch({}, replace(PORT, external_ids={}))), "belongs to somebody else, not to container"),
        (
            Found(switch=port.Switch({}, replace(PORT, external_ids={**PORT.external_ids, "container": "old"}))),
            "Port veth102 on bridge mesh belongs to container old",
        ),
    ],
)
def test_what_is_not_ours_is_refused(have: Found, message: str) -> None:
    with pytest.raises(RefusedError) as refusal:
        plan.refuse_foreign("xray-client", "veth102", have)
    assert message in str(refusal.value)


def test_our_own_port_may_have_lost_its_marks() -> None:
    have = with_port(external_ids={})
    plan.refuse_foreign("xray-client", "veth102", have)
    (action,) = planned(spec(), have, Wish(True))
    assert action.startswith("set port veth102 external_ids:op-dbus-owner None -> lxc_service; ")
    assert action.endswith("; port veth102 external_ids:iface-id None -> xray-client.eth0")


def test_one_of_two_marks_is_enough() -> None:
    plan.refuse_foreign("xray-client", "veth102", found(has_sidecar=False))
    plan.refuse_foreign("xray-client", "veth102", Found(exists=True, config="lxc.a = b\n", has_sidecar=True))


def test_absent_takes_all_and_leaves_the_rest() -> None:
    runner = Recorded()
    tools = plan.Tools(LxcBackend(runner), runner)
    assert plan.absent("xray-client", running(), False, tools).actions == [
        "stop container xray-client",
        "disable start of xray-client at boot",
        "delete container xray-client with its data",
    ]
    stale = found(switch=port.Switch({}, PORT), autostart=False)
    assert plan.absent("xray-client", stale, False, tools).actions[-1] == "remove the stale port veth102"
    assert plan.absent("xray-client", Found(), False, tools).actions == []


def test_diff_shows_the_configuration_before_and_after() -> None:
    runner = Recorded()
    tools = plan.Tools(LxcBackend(runner), runner)
    told, _create = plan.present(spec(mtu=1400), running(), LIMITS, Wish(True, restart=True), tools)
    assert "lxc.net.0.mtu = 1280\n" in told.before
    assert "lxc.net.0.mtu = 1400\n" in told.after
    assert told.before.startswith("state = RUNNING\n# Written by")
