# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading what the tools print, and judging health from it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Interface
from pathlib import Path

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._errors import RefusedError
from ansible_collections.op_dbus.socket_network.plugins.module_utils._wg import runtime
from ansible_collections.op_dbus.socket_network.plugins.module_utils._wg.health import health

from tests.unit.wg import recorded

NOW = 1_795_322_049.0
RUNNING = runtime.Runtime(
    runtime.parse_unit(recorded.UNIT_ACTIVE), runtime.parse_link(recorded.LINK), runtime.parse_dump(recorded.DUMP)
)


def with_handshake(age: int) -> runtime.Runtime:
    """The recorded state, its first peer having answered ``age`` seconds ago."""
    dump = recorded.DUMP.replace("\t0\t0\t148\t25", f"\t{int(NOW) - age}\t92\t148\t25")
    return replace(RUNNING, device=runtime.parse_dump(dump))


def test_dump_with_two_peers() -> None:
    device = runtime.parse_dump(recorded.DUMP)
    assert (device.private_key, device.public_key, device.listen_port) == (recorded.PRIVATE, recorded.PUBLIC, 51821)
    assert device.peers[recorded.PEER] == runtime.PeerState(
        public_key=recorded.PEER,
        preshared_key=recorded.PRESHARED,
        endpoint="198.51.100.2:51000",
        allowed_ips=frozenset({"10.100.0.2/32", "10.0.2.0/24"}),
        keepalive=25,
        tx=148,
    )
    silent = device.peers[recorded.OTHER_PEER]
    assert (silent.preshared_key, silent.endpoint, silent.keepalive) == (None, None, 0)


def test_device_that_is_not_configured_yet() -> None:
    device = runtime.parse_dump("(none)\t(none)\t0\toff\n")
    assert (device.private_key, device.public_key, device.peers) == (None, None, {})


def test_secrets_stay_out_of_representations() -> None:
    text = repr(runtime.parse_dump(recorded.DUMP))
    assert recorded.PRIVATE not in text
    assert recorded.PRESHARED not in text


def test_link_counts_ipv4_only() -> None:
    assert runtime.parse_link(recorded.LINK) == runtime.Link(1420, frozenset({IPv4Interface("10.100.0.1/16")}), True)
    assert runtime.parse_link("[]") is None
    assert runtime.parse_link("[{}]") is None


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        (recorded.UNIT_ACTIVE, runtime.Unit(True, "active", True, "success", False)),
        (recorded.UNIT_INACTIVE, runtime.Unit(True, "inactive", False, "success", False)),
        (recorded.UNIT_STARTING, runtime.Unit(True, "activating", True, "success", True)),
        (recorded.UNIT_UNKNOWN, runtime.Unit(False, "inactive", False, "success", False)),
    ],
)
def test_unit(text: str, unit: runtime.Unit) -> None:
    assert runtime.parse_unit(text) == unit


@pytest.mark.parametrize(
    ("state", "expected", "age"),
    [
        (RUNNING, "never", None),
        (with_handshake(0), "ok", 0),
        (with_handshake(180), "ok", 180),
        (with_handshake(181), "degraded", 181),
        (with_handshake(-30), "ok", 0),
        (replace(with_handshake(5), link=None), "down", None),
        (replace(with_handshake(5), device=None), "down", None),
        (replace(with_handshake(5), unit=runtime.Unit(True, "failed")), "down", None),
        (replace(with_handshake(5), link=runtime.Link(1420, frozenset(), False)), "down", None),
    ],
)
def test_health(state: runtime.Runtime, expected: str, age: int | None) -> None:
    found = health(state, NOW)
    assert (found.state, found.age) == (expected, age)


def test_health_takes_the_threshold_that_is_asked_for() -> None:
    assert health(with_handshake(60), NOW, 59).state == "degraded"
    assert health(with_handshake(60), NOW, 60).rx == 92


def test_missing_tools_are_nothing_yet_only_where_that_is_asked_for(tmp_path: Path) -> None:
    bare = recorded.FakeHost(tmp_path, tools=False)
    assert runtime.read(bare, "warp0", lenient=True) == runtime.Runtime(tools=False)
    with pytest.raises(RefusedError, match=r"wg is not on this host\. Fix: install the package wireguard-tools"):
        runtime.read(bare, "warp0")


def test_reading_takes_three_commands(tmp_path: Path) -> None:
    host = recorded.FakeHost(tmp_path)
    assert runtime.read(host, "warp0") == runtime.Runtime(runtime.Unit(True, "inactive"))
    assert len(host.commands) == 3
