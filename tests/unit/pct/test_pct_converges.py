# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever somebody has made of a container, by the stand-in's rules one run is enough, and a second does nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._lxc import nic
from ansible_collections.op_dbus.socket_network.plugins.module_utils._lxc.plan import Wish
from ansible_collections.op_dbus.socket_network.plugins.module_utils._pct import conf, plan, store, wanted
from ansible_collections.op_dbus.socket_network.plugins.module_utils._pct.found import Found
from ansible_collections.op_dbus.socket_network.plugins.module_utils._runner import Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.standins.pct import changes, configfile, life, network, options
from tests.unit.pct.sample_pct import NIC, TEXT, running, spec, stopped

OURS = {"cpulimit", "features", "hostname", "memory", "net0", "onboot", "swap"}
FEATURES = st.dictionaries(st.sampled_from(["nesting", "keyctl", "fuse"]), st.sampled_from("01"))
PARTS = {
    "bridge": st.sampled_from(["mesh", "vmbr0"]),
    "firewall": st.sampled_from("01"),
    "hwaddr": st.sampled_from(["02:00:0a:00:00:66", "BC:24:11:00:00:01"]),
    "ip": st.sampled_from(["10.0.0.102/24", "dhcp"]),
    "mtu": st.sampled_from(["1280", "1500"]),
}
NET = st.fixed_dictionaries({"name": st.sampled_from(["eth0", "eth1"])}, optional={**PARTS, "tag": st.just("5")})
VALUES = {
    "cores": st.just("2"),
    "cpulimit": st.sampled_from(["0", "1.5", "2"]),
    "features": FEATURES.filter(bool).map(options.written),
    "memory": st.sampled_from(["512", "1024"]),
    "net0": NET.map(lambda parts: options.canonical("net0", options.written(parts))),
    "onboot": st.sampled_from("01"),
    "swap": st.sampled_from(["0", "256", "512"]),
    "tags": st.just("db"),
}
NOTES = st.lists(st.sampled_from([*(line[1:].replace("%3A", ":") for line in TEXT.splitlines()[:2]), "Ask Ann"]))
RAW = st.lists(st.sampled_from([*wanted.RAW.items(), ("lxc.net.0.script.up", "/theirs"), ("lxc.cap.drop", "mknod")]))


@st.composite
def edited(draw: st.DrawFn) -> configfile.Config:
    """The container with options, notes and raw keys as anybody may have set them, and some waiting for a start."""
    own = dict(conf.parse(TEXT).options)
    values = draw(st.fixed_dictionaries({}, optional=VALUES))
    gone = draw(st.sets(st.sampled_from(["cpulimit", "features", "onboot", "swap"])))
    current = {key: value for key, value in (own | values).items() if key not in gone}
    pending = draw(st.fixed_dictionaries({}, optional=VALUES))
    waiting = sorted(draw(st.sets(st.sampled_from(["features", "swap"]))) - pending.keys() & current.keys())
    if waiting:
        pending["delete"] = ",".join(waiting)
    description = "".join(f"{note}\n" for note in draw(NOTES))
    return configfile.Config(configfile.Section(current, draw(RAW), description), configfile.Section(pending))


@dataclass
class Host:
    """A Proxmox host in memory: `pct` is the stand-in's functions."""

    config: configfile.Config
    runs: bool
    calls: list[str] = field(default_factory=list)

    def run(self, argv: Sequence[str], **_options: object) -> Result:
        words = list(argv)
        self.calls.append(words[1] if words[0] == "pct" else words[0])
        output = ""
        if words[:2] == ["pct", "set"]:
            _vmid, values = options.parse(words[2:], ["vmid"], options.ALL | {"delete", "revert"})
            lists = [[word for word in values.pop(key, "").split(",") if word] for key in ("delete", "revert")]
            changes.change("102", self.config, values, *lists)
        elif words[:2] in (["pct", "shutdown"], ["pct", "start"]):
            self.runs = False
            changes.apply("102", self.config)
            self.runs = words[1] == "start"
        elif words[:2] == ["pct", "status"]:
            output = "status: running\npid: 677\n"
        return Result(tuple(argv), 0, output, "")

    def edit(self, _vmid: str, change: Callable[[str], str]) -> None:
        found = conf.parse(change(self.config.text()))
        self.config.current.raw = list(found.raw)

    def found(self) -> Found:
        text = self.config.text()
        return running(text) if self.runs else stopped(text)


@pytest.fixture(autouse=True)
def _nothing_real(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "plan_files", lambda *_args, **_keys: plan.Plan())
    monkeypatch.setattr(network, "check_mtu", lambda _net: None)
    monkeypatch.setattr(changes, "_replug", lambda *_args: None)
    monkeypatch.setattr(nic, "found", lambda _pid: NIC)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edited(), st.booleans(), st.booleans(), st.booleans())
def test_one_run_converges(config: configfile.Config, runs: bool, shall_run: bool, nesting: bool) -> None:
    host, container = Host(config, runs), spec(nesting=nesting)
    kept = {key: value for key, value in config.current.values.items() if key not in OURS}
    raw = [entry for entry in config.current.raw if entry[0] not in wanted.RAW]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(life, "is_running", lambda _vmid: host.runs)
        patch.setattr(store, "edit", host.edit)
        for is_second in (False, True):
            steps, _create = plan.present(container, host.found(), Wish(shall_run, restart=True), host, "local-lvm:8")
            assert not (is_second and steps.actions)
            steps.apply()
            assert host.runs == shall_run
    have = config.current.values
    assert kept.keys() <= have.keys()
    assert sorted(config.current.raw) == sorted([*raw, *wanted.RAW.items()])
    assert (options.network(have["net0"])["firewall"], have["memory"], have["swap"]) == ("0", "512", "256")
    assert ("nesting=1" in have.get("features", "")) == nesting
    assert host.calls.count("shutdown") <= 1
