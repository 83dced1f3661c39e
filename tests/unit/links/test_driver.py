# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans against a host that is played: what is done, in which order, and that nothing is done twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._errors import RefusedError, SocketNetworkError
from ansible_collections.op_dbus.socket_network.plugins.module_utils._files import FileSpec
from ansible_collections.op_dbus.socket_network.plugins.module_utils._links import found
from ansible_collections.op_dbus.socket_network.plugins.module_utils._links.driver import Driver
from ansible_collections.op_dbus.socket_network.plugins.module_utils._links.layer import LinkLayer
from ansible_collections.op_dbus.socket_network.plugins.module_utils._links.parse import parse
from ansible_collections.op_dbus.socket_network.plugins.module_utils._links.settings import NETWORKD_UNIT

from tests.unit.links.layers import CASES, UNITS, FakeHost, layer, parameters


@pytest.fixture(autouse=True)
def tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(found, "missing_tools", list)


def driver(host: FakeHost, *, predicting: bool = False) -> Driver:
    """A driver whose clock jumps on as it waits."""
    ticks: Iterator[float] = iter(range(0, 10_000, 3))
    return Driver(host, host.paths, predicting, pause=lambda _seconds: None, clock=lambda: next(ticks))


def converged(root: Path, case: str = "oo1424oo") -> FakeHost:
    host = FakeHost(root, layer(case))
    driver(host).present(host.wanted).apply()
    host.calls.clear()
    return host


def tree(root: Path) -> dict[str, str]:
    return {str(path): path.read_text(encoding="utf-8") for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("case", CASES)
def test_second_plan_is_empty_and_costs_five_processes(tmp_path: Path, case: str) -> None:
    host = converged(tmp_path, case)
    plan = driver(host).present(host.wanted)
    assert (plan.actions, plan.before, plan.after) == ([], "", "")
    assert len(host.calls) == 5


def test_filter_is_loaded_before_the_first_link_is_made(tmp_path: Path) -> None:
    host = FakeHost(tmp_path, layer("oo1424oo"))
    driver(host).present(host.wanted).apply()
    assert host.changes() == [
        f"nft -f {host.paths.ruleset}",
        "systemctl daemon-reload",
        "systemctl enable --now op-dbus-nftables.service",
        f"systemctl start {NETWORKD_UNIT}",
        "systemctl enable --now op-dbus-links.service",
    ]
    assert host.enabled == UNITS
    assert Path(host.paths.proc_sys, "net/ipv6/conf/ovs-warp0/disable_ipv6").read_text() == "1\n"


def test_planning_changes_nothing(tmp_path: Path) -> None:
    host = FakeHost(tmp_path, layer("oo1424oo"))
    before = tree(tmp_path)
    plan = driver(host, predicting=True).present(host.wanted)
    assert "have systemd-networkd make" in "\n".join(plan.actions)
    assert "set net/ipv6/conf/ovs-warp0/disable_ipv6 to 1" in plan.actions
    assert (host.changes(), tree(tmp_path)) == ([], before)


def test_missing_tools_matter_only_when_something_is_to_be_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(found, "missing_tools", lambda: ["nft", "networkctl", "ip", "systemctl"])
    host = FakeHost(tmp_path, layer("oo1424oo"))
    assert driver(host, predicting=True).present(host.wanted).changed
    with pytest.raises(RefusedError, match=r"has no nft, .*install the packages iproute2, nftables, systemd"):
        driver(host).present(host.wanted)
    assert host.calls == []


@pytest.mark.parametrize(
    ("hurt", "change"),
    [
        (lambda host: host.rules.pop(0), "networkctl reconfigure gw-nm-privacy"),
        (lambda host: host.routes.pop(), "networkctl reconfigure gw-warp0"),
        (lambda host: host.links[0].update(mtu=1400), "networkctl reconfigure gw-host"),
        (lambda host: host.links[1].update(flags=["UP", "LOWER_UP"]), "networkctl reconfigure ovs-host"),
        (lambda host: host.links.pop(), "networkctl reload"),
        (lambda host: host.active.discard(NETWORKD_UNIT), f"systemctl start {NETWORKD_UNIT}"),
        (
            lambda host: host.enabled.discard("op-dbus-nftables.service"),
            "systemctl enable --now op-dbus-nftables.service",
        ),
        (lambda host: setattr(host, "table", None), "nft -f RULESET"),
        (lambda host: setattr(host, "table", "table inet op_dbus {\n\tchain x {\n\t}\n}\n"), "nft -f RULESET"),
        (lambda host: Path(host.paths.loaded).unlink(), "nft -f RULESET"),
        (lambda host: Path(host.paths.network("gw-host")).unlink(), "networkctl reload"),
        (lambda host: Path(host.paths.daemon).unlink(), f"systemctl restart {NETWORKD_UNIT}"),
        (lambda host: Path(host.paths.flusher).unlink(), "systemctl daemon-reload"),
    ],
)
def test_drift_is_repaired_by_one_change(tmp_path: Path, hurt: Any, change: str) -> None:
    host = converged(tmp_path)
    hurt(host)
    driver(host).present(host.wanted).apply()
    assert host.changes() == [change.replace("RULESET", host.paths.ruleset)]
    assert driver(host).present(host.wanted).actions == []


@pytest.mark.parametrize("key", ["net/ipv4/ip_forward", "net/ipv6/conf/gw-warp0/disable_ipv6"])
def test_kernel_settings_are_repaired(tmp_path: Path, key: str) -> None:
    host = converged(tmp_path)
    host.set(key, "0")
    plan = driver(host).present(host.wanted)
    assert (plan.actions, plan.before, plan.after) == ([f"set {key} to 1"], f"{key} = 0\n", f"{key} = 1\n")
    plan.apply()
    assert driver(host).present(host.wanted).actions == []


def test_what_strangers_put_into_our_tables_is_removed_and_the_rest_stays(tmp_path: Path) -> None:
    host = converged(tmp_path)
    table = str(host.wanted.uplinks[1].table)
    host.routes += [
        {"dst": "9.9.9.0/24", "dev": "eth0", "table": table, "scope": "link"},
        {"dst": "default", "gateway": "192.0.2.1", "dev": "eth0", "table": "main"},
        {"dst": "10.9.0.0/24", "dev": "wg9", "table": "500", "scope": "link"},
    ]
    host.rules += [
        {"priority": 1000, "src": "all", "iif": "eth0", "table": table},
        {"priority": 1000, "src": "all", "iif": "eth0", "table": "500"},
    ]
    assert driver(host).present(host.wanted).actions == [
        f"delete rule 1000 iif eth0 lookup {table}",
        f"delete route table {table} 9.9.9.0/24 dev eth0 scope link",
    ]


def test_uplink_that_left_the_inventory_goes_away(tmp_path: Path) -> None:
    host = converged(tmp_path)
    given = parameters("oo1424oo")
    given["uplinks"] = [uplink for uplink in given["uplinks"] if uplink["name"] != "warp0"]
    plan = driver(host).present(parse(given))
    gone = [action for action in plan.actions if "warp0" in action or "unreachable" in action]
    assert [action.partition(" veth")[0].replace(str(tmp_path), "") for action in gone] == [
        "delete link gw-warp0",
        "delete rule 1000 iif gw-warp0 lookup 88452",
        "delete rule 1000 iif warp0 lookup 88452",
        "delete route table 88452 0.0.0.0/0 unreachable metric 4278198272",
        "remove /etc/systemd/network/50-op-dbus-gw-warp0.netdev",
        "remove /etc/systemd/network/50-op-dbus-gw-warp0.network",
        "remove /etc/systemd/network/50-op-dbus-ovs-warp0.network",
        "remove /etc/systemd/network/50-op-dbus-warp0.network",
    ]


def test_device_that_is_not_up_is_not_missed(tmp_path: Path) -> None:
    """Its routes come when it comes; once it carries, they are due."""
    host = converged(tmp_path)
    device = {"ifname": "warp0", "mtu": 1280, "flags": ["POINTOPOINT", "NOARP"], "address": "none"}
    host.links.append(device)
    assert driver(host).present(host.wanted).actions == []
    device["flags"] = ["POINTOPOINT", "NOARP", "UP", "LOWER_UP"]
    (action,) = driver(host).present(host.wanted).actions
    assert action == "have systemd-networkd make route table 88452 0.0.0.0/0 dev warp0 scope link"


def test_foreign_interface_with_our_name_is_refused(tmp_path: Path) -> None:
    host = FakeHost(tmp_path, layer("oo1424oo"))
    before = tree(tmp_path)
    for link, what in (({}, "no veth"), ({"link": "eth9", "linkinfo": {"info_kind": "veth"}}, "whose peer is eth9")):
        host.links = [{"ifname": "gw-warp0", "mtu": 1500, "flags": ["UP"], "address": "52:54:00:00:00:01", **link}]
        with pytest.raises(RefusedError, match=what):
            driver(host).present(host.wanted)
    assert (host.changes(), tree(tmp_path)) == ([], before)


def test_networkd_that_does_not_obey_is_told_twice_and_then_named(tmp_path: Path) -> None:
    host = converged(tmp_path)
    host.obeys = False
    host.rules = [rule for rule in host.rules if rule["iif"] != "gw-warp0"]
    with pytest.raises(
        SocketNetworkError, match=r"has not made: rule 1000 iif gw-warp0 lookup 88452\. Fix: see `networkctl"
    ):
        driver(host).present(host.wanted).apply()
    assert host.changes() == ["networkctl reconfigure gw-warp0"] * 2


def test_rule_is_missed_only_when_its_device_is_there(tmp_path: Path) -> None:
    """networkd makes a rule about a device when that appears."""
    host = converged(tmp_path)
    (rule,) = (rule for rule in host.rules if rule["iif"] == "warp0")
    host.rules.remove(rule)
    assert driver(host).present(host.wanted).actions == []
    host.links.append({"ifname": "warp0", "mtu": 1280, "flags": ["UP", "LOWER_UP", "NOARP"], "address": None})
    assert driver(host).present(host.wanted).actions == [
        "have systemd-networkd make rule 1000 iif warp0 lookup 88452; route table 88452 0.0.0.0/0 dev warp0 scope link"
    ]


def test_absent_removes_all_of_it_and_nothing_else(tmp_path: Path) -> None:
    script = FileSpec(f"{tmp_path}/usr/local/lib/op-dbus/script", "text\n", 0o755)
    foreign = tmp_path / "etc/systemd/network/10-wan.network"
    host = FakeHost(tmp_path, layer("oo1424oo"))
    foreign.parent.mkdir(parents=True)
    foreign.write_text("[Match]\nName=eth0\n", encoding="utf-8")
    before = tree(tmp_path)
    driver(host).present(host.wanted, [script]).apply()
    assert Path(script.path).stat().st_mode & 0o777 == 0o755
    driver(host).absent([script]).apply()
    left = {path: text for path, text in tree(tmp_path).items() if "/proc/" not in path}
    assert left == {path: text for path, text in before.items() if "/proc/" not in path}
    assert [path for path in tmp_path.rglob("*op-dbus*") if "/proc/" not in str(path)] == []
    assert (host.enabled, host.table) == (set(), None)
    assert driver(host).absent([script]).actions == []


def test_gathered_tells_what_is_there(tmp_path: Path) -> None:
    host = FakeHost(tmp_path, layer("oo1424oo"))
    assert driver(host).gathered() == {"links": [], "rules": [], "routes": [], "table": None}
    driver(host).present(host.wanted).apply()
    told = driver(host).gathered()
    assert "rule 1000 iif warp0 lookup 88452" in told["rules"]  # type: ignore[operator]
    assert len(told["links"]) == 6  # type: ignore[arg-type]
    assert told["table"] == host.table


def test_empty_layer_is_a_host_with_an_empty_filter(tmp_path: Path) -> None:
    host = FakeHost(tmp_path, LinkLayer())
    driver(host).present(LinkLayer()).apply()
    assert driver(host).present(LinkLayer()).actions == []
    assert host.enabled == UNITS
