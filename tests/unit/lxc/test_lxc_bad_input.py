# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What cannot be is refused with a clear message before any program runs or any file changes."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._errors import RefusedError
from ansible_collections.op_dbus.socket_network.plugins.module_utils._lxc import backend, host, rootfs, service
from ansible_collections.op_dbus.socket_network.plugins.module_utils._lxc.host import Cgroups

from tests.unit.lxc.sample_container import DIGEST, VLESS, Recorded, params, spec

BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"name": None}, "State present needs the name of a container."),
    ({"name": "Xray_Client"}, "'Xray_Client': a name is lower case letters, digits and inner hyphens"),
    ({"name": "../etc"}, "'../etc': a name is lower case letters"),
    ({"veth": None, "mac": ""}, "missing: veth, mac."),
    ({"id": "a b"}, "id 'a b' must match"),
    ({"veth": "veth-of-container-102"}, "veth 'veth-of-container-102' must match"),
    ({"veth": "v$(reboot)"}, "veth 'v$(reboot)' must match"),
    ({"bridge": "br'0"}, 'bridge "br\'0" must match'),
    ({"mac": "02-00-0a-00-00-66"}, "mac '02-00-0a-00-00-66' must match"),
    ({"mac": "03:00:0a:00:00:66"}, "mac '03:00:0a:00:00:66' is a group address"),
    ({"ipv4_address": "10.0.0.102"}, "ipv4_address '10.0.0.102' lacks the prefix length"),
    ({"ipv4_address": "10.0.0.300/24"}, "'10.0.0.300/24' or gateway '10.0.0.1' is no IPv4 address"),
    ({"ipv4_address": "10.0.0.102/40"}, "'10.0.0.102/40' or gateway '10.0.0.1' is no IPv4 address"),
    ({"ipv4_address": "10.0.0.255/24"}, "is the network or broadcast address"),
    ({"gateway": "10.0.1.1"}, "gateway 10.0.1.1 is outside 10.0.0.0/24"),
    ({"gateway": "10.0.0.102"}, "gateway 10.0.0.102 is the container's own address"),
    ({"gateway": "router"}, "gateway 'router' is no IPv4 address"),
    ({"ofport": 65280}, "ofport 65280 must be 1 to 65279"),
    ({"mtu": 68}, "mtu 68 must be 576 to 65535"),
    ({"memory": 8}, "memory 8 must be at least 16 (MiB)"),
    ({"swap": -1}, "swap -1 must not be negative"),
    ({"cpus": 0.0}, "cpus 0.0 must be 0.01 to 1024"),
    ({"tree": "/srv/tree"}, "image and tree exclude each other"),
    ({"image": {"path": "guest.zip", "sha256": DIGEST}}, "image path 'guest.zip' must be absolute and end in .tar"),
    ({"image": {"path": "/srv/a.tar", "sha256": "abc"}}, "image sha256 'abc' must be 64 hexadecimal digits"),
    ({"image": None, "tree": "/"}, "tree '/' must be an absolute path of a directory other than /"),
    ({"services": [VLESS, VLESS]}, "service 'xray-vless' stands there more than once"),
    ({"services": [{**VLESS, "name": "a'b"}]}, 'service "a\'b": name must match'),
    ({"services": [{**VLESS, "port": 0}]}, "service 'xray-vless': port 0 must be 1 to 65535"),
    ({"services": [{**VLESS, "protocol": "udp"}]}, "a udp service can only be checked by a command"),
    ({"services": [{**VLESS, "health": {"tcp": True, "http": "/"}}]}, "health is of one kind, not tcp, http"),
    ({"services": [{**VLESS, "health": {"http": "health"}}]}, "health http 'health' must be a path such as /health"),
]


@pytest.mark.parametrize(("changes", "message"), BROKEN, ids=[message[:40] for _changes, message in BROKEN])
@pytest.mark.parametrize("check", [False, True])
def test_broken_parameters_are_refused(runner: Recorded, changes: dict[str, Any], message: str, check: bool) -> None:
    with pytest.raises(RefusedError) as refusal:
        service.manage(params(**changes), check, runner)
    assert message in str(refusal.value)
    assert runner.calls == []


def test_all_faults_are_told_at_once(runner: Recorded) -> None:
    with pytest.raises(RefusedError) as refusal:
        service.manage(params(mtu=1, ofport=-1, memory=1), False, runner)
    assert "has 3 faults; nothing was changed. (1) ofport -1" in str(refusal.value)
    assert "Fix: correct these keys of the container in lxc_service_containers." in str(refusal.value)


def test_missing_tools_are_refused_with_their_packages(monkeypatch: pytest.MonkeyPatch, runner: Recorded) -> None:
    monkeypatch.setattr(service, "missing_tools", lambda _tools: ["lxc-info", "ovs-vsctl"])
    with pytest.raises(RefusedError) as refusal:
        service.manage(params(), False, runner)
    assert "lxc-info, ovs-vsctl not found on this host. Fix: install the packages lxc, openvs" in str(refusal.value)
    assert runner.calls == []


def test_tools_are_looked_for_on_the_path() -> None:
    assert backend.missing_tools(["a", "b"], {"a": "/bin/a"}.get) == ["b"]


@pytest.mark.parametrize(
    ("tree", "unprivileged", "message"),
    [
        (
            Cgroups(False),
            True,
            "cannot hold memory.max = 536870912, memory.swap.max = 268435456, cpu.max = 150000 100000",
        ),
        (
            Cgroups(True, frozenset({"cpu"})),
            True,
            "cannot hold memory.max = 536870912, memory.swap.max = 268435456: its",
        ),
        (Cgroups(False), False, "a privileged container cannot be denied devices on cgroup v1"),
    ],
)
def test_limits_that_cannot_be_held_are_refused(tree: Cgroups, unprivileged: bool, message: str) -> None:
    with pytest.raises(RefusedError) as refusal:
        host.limits(spec(unprivileged=unprivileged), tree, "refuse")
    assert message in str(refusal.value)
    assert "set lxc_service_missing_controllers: warn" in str(refusal.value)


def test_sources_are_checked(tmp_path: Any) -> None:
    image = tmp_path / "guest.tar"
    with pytest.raises(RefusedError, match="cannot be read: No such file or directory"):
        rootfs.check_source(spec(image={"path": str(image), "sha256": DIGEST}))
    image.write_bytes(b"other")
    with pytest.raises(RefusedError, match=f"not the pinned {DIGEST}"):
        rootfs.check_source(spec(image={"path": str(image), "sha256": DIGEST}))
    with pytest.raises(RefusedError, match="is no directory on this host"):
        rootfs.check_source(spec(image=None, tree=str(image)))
    with pytest.raises(RefusedError, match="has neither image nor tree"):
        rootfs.check_source(spec(image=None))
