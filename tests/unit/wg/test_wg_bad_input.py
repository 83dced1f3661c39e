# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input: each case must say what is wrong and how to mend it, and must change nothing."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._errors import RefusedError
from ansible_collections.op_dbus.socket_network.plugins.module_utils._wg.service import run_mesh, run_warp

from tests.unit.wg import recorded
from tests.unit.wg.recorded import FakeHost

WARP: dict[str, Any] = {
    "name": "warp0",
    "state": "present",
    "config": {
        "private_key": recorded.PRIVATE,
        "addresses": ["172.16.0.2/32"],
        "mtu": 1280,
        "peer": {
            "public_key": recorded.PEER,
            "preshared_key": None,
            "endpoint": "192.0.2.1:2408",
            "allowed_ips": ["0.0.0.0/0"],
            "keepalive": 25,
        },
    },
    "config_file": None,
    "max_handshake_age": 180,
    "wait_handshake": 0,
}
MESH: dict[str, Any] = {
    "name": "nm-privacy",
    "state": "present",
    "private_key": recorded.PRIVATE,
    "public_key": recorded.PUBLIC,
    "address": "10.100.0.2/16",
    "listen_port": 51821,
    "mtu": 1420,
    "peers": [
        {"name": "one", "public_key": recorded.PEER, "allowed_ips": ["10.0.1.0/24"], "endpoint": None, "keepalive": 0},
        {
            "name": "two",
            "public_key": recorded.OTHER_PEER,
            "allowed_ips": ["10.0.2.0/24"],
            "endpoint": None,
            "keepalive": 0,
        },
    ],
}
KEY_FIX = "Fix: give base64 of 32 bytes, as `wg genkey` prints it."
ENDPOINT_FIX = "Fix: write host:port, 192.0.2.1:51820 or [2001:db8::1]:51820."

WARP_CASES: list[tuple[str, dict[str, Any], str]] = [
    (
        "device-too-long",
        {"name": "warp-to-cloudflare"},
        "The device name 'warp-to-cloudflare' cannot be used. Fix: take",
    ),
    ("device-with-slash", {"name": "../shadow"}, "The device name '../shadow' cannot be used."),
    ("device-is-an-option", {"name": "-w"}, "The device name '-w' cannot be used."),
    ("device-with-new-line", {"name": "warp0\n"}, "The device name 'warp0\\n' cannot be used."),
    (
        "private-key-short",
        {"config.private_key": "abc"},
        f"config.private_key: 3 characters (not shown) is not a WireGuard key. {KEY_FIX}",
    ),
    (
        "private-key-of-31-bytes",
        {"config.private_key": "A" * 42 + "=="},
        "config.private_key: 44 characters (not shown)",
    ),
    (
        "private-key-not-base64",
        {"config.private_key": "!" * 44},
        f"config.private_key: 44 characters (not shown) is not a WireGuard key. {KEY_FIX}",
    ),
    (
        "private-key-empty",
        {"config.private_key": ""},
        "config.private_key: 0 characters (not shown) is not a WireGuard key.",
    ),
    (
        "public-key",
        {"config.peer.public_key": "bmXOC"},
        f"config.peer.public_key: 'bmXOC' is not a WireGuard key. {KEY_FIX}",
    ),
    (
        "preshared-key",
        {"config.peer.preshared_key": "s3cret"},
        "config.peer.preshared_key: 6 characters (not shown) is not a WireGuard key.",
    ),
    (
        "no-address",
        {"config.addresses": []},
        "config.addresses: the device would have no address. Fix: give at least one.",
    ),
    (
        "address-ipv6",
        {"config.addresses": ["2606:4700::1/128"]},
        "config.addresses: '2606:4700::1/128' is IPv6, which this network drops. Fix: give IPv4 addresses only.",
    ),
    (
        "address-not-one",
        {"config.addresses": ["172.16.0.300/32"]},
        "config.addresses: '172.16.0.300/32' is not an IPv4 address",
    ),
    ("mtu", {"config.mtu": 100}, "config.mtu: 100 is out of range. Fix: take a number from 576 to 9000."),
    (
        "keepalive",
        {"config.peer.keepalive": -1},
        "config.peer.keepalive: -1 is out of range. Fix: take a number from 0 to 65535.",
    ),
    (
        "endpoint-without-port",
        {"config.peer.endpoint": "192.0.2.1"},
        f"config.peer.endpoint: '192.0.2.1' has no port between 1 and 65535. {ENDPOINT_FIX}",
    ),
    (
        "endpoint-port",
        {"config.peer.endpoint": "192.0.2.1:70000"},
        "config.peer.endpoint: '192.0.2.1:70000' has no port between 1 and 65535.",
    ),
    (
        "endpoint-bare-ipv6",
        {"config.peer.endpoint": "2001:db8::1:2408"},
        "config.peer.endpoint: '2001:db8::1:2408' has no usable host.",
    ),
    (
        "endpoint-brackets",
        {"config.peer.endpoint": "[warp.example]:2408"},
        "config.peer.endpoint: '[warp.example]:2408' has no IPv6 address in its brackets.",
    ),
    (
        "endpoint-address",
        {"config.peer.endpoint": "192.0.2.256:2408"},
        "config.peer.endpoint: '192.0.2.256:2408' has no usable host.",
    ),
    ("endpoint-new-line", {"config.peer.endpoint": "a\nPostUp = reboot\n:2408"}, "has no usable host."),
    (
        "allowed-ipv6",
        {"config.peer.allowed_ips": ["0.0.0.0/0", "::/0"]},
        "config.peer.allowed_ips: '::/0' is IPv6, which this network drops. Fix: give IPv4 networks only.",
    ),
    (
        "allowed-host-bits",
        {"config.peer.allowed_ips": ["10.0.0.5/24"]},
        "config.peer.allowed_ips: '10.0.0.5/24' has host bits set. Fix: write 10.0.0.0/24 or 10.0.0.5/32.",
    ),
    ("allowed-nothing", {"config.peer.allowed_ips": []}, "config.peer.allowed_ips: the peer could not carry a packet."),
    (
        "file-absent",
        {"config": None, "config_file": "/nonexistent/profile.conf"},
        "config_file /nonexistent/profile.conf is not on this host. Fix: copy it there, or give `config`.",
    ),
    ("up-without-file", {"state": "up"}, "warp0.conf to bring up. Fix: run it with state `present` first."),
]
MESH_CASES: list[tuple[str, dict[str, Any], str]] = [
    ("listen-port", {"listen_port": 0}, "listen_port: 0 is out of range. Fix: take a number from 1 to 65535."),
    ("address", {"address": "10.100.0.2/40"}, "addresses: '10.100.0.2/40' is not an IPv4 address"),
    (
        "peer-name",
        {"peers.0.name": "one\n[Peer]"},
        "peers[one\n[Peer]].name: 'one\\n[Peer]' cannot be written as a comment.",
    ),
    ("peer-names", {"peers.1.name": "one"}, "peers: 2 peers have the name one. Fix: give it to one peer only."),
    ("peer-keys", {"peers.1.public_key": recorded.PEER}, f"peers: 2 peers have the public key {recorded.PEER}."),
    ("peer-networks", {"peers.1.allowed_ips": ["10.0.1.0/24"]}, "peers: 2 peers have the allowed network 10.0.1.0/24."),
    ("peer-key", {"peers.1.public_key": "nothing"}, "peers[two].public_key: 'nothing' is not a WireGuard key."),
    (
        "key-pair",
        {"private_key": recorded.PRESHARED},
        f"belongs to the public key {recorded.OTHER_PEER}, but the inventory tells the other hosts",
    ),
]


def changed(params: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """``params`` with the values at dotted places replaced."""
    result: Any = copy.deepcopy(params)
    for place, value in changes.items():
        *way, last = [int(word) if word.isdecimal() else word for word in place.split(".")]
        target = result
        for word in way:
            target = target[word]
        target[last] = value
    return dict(result)


def refuse(run: Any, params: dict[str, Any], directory: Path) -> str:
    """The message; fails when anything on the host was touched before it."""
    host = FakeHost(directory)
    before = {path: path.read_bytes() for path in directory.iterdir()}
    with pytest.raises(RefusedError) as caught:
        run(host, params, False, str(directory))
    assert host.changes == []
    assert {path: path.read_bytes() for path in directory.iterdir()} == before
    message = str(caught.value)
    assert "Fix: " in message
    assert recorded.PRIVATE not in message
    return message


@pytest.mark.parametrize(
    ("changes", "message"), [case[1:] for case in WARP_CASES], ids=[case[0] for case in WARP_CASES]
)
def test_warp_tunnel_refuses(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    assert message in refuse(run_warp, changed(WARP, changes), tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"), [case[1:] for case in MESH_CASES], ids=[case[0] for case in MESH_CASES]
)
def test_wireguard_uplink_refuses(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    assert message in refuse(run_mesh, changed(MESH, changes), tmp_path)


@pytest.mark.parametrize("state", ["present", "up", "down"])
def test_configuration_of_somebody_else_is_refused(tmp_path: Path, state: str) -> None:
    (tmp_path / "warp0.conf").write_text(f"[Interface]\nPrivateKey = {recorded.PRIVATE}\n")
    message = refuse(run_warp, changed(WARP, {"state": state}), tmp_path)
    assert "warp0.conf exists and was not written by this collection; warp0 is left as it is." in message


def test_absent_leaves_the_configuration_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "warp0.conf").write_text("[Interface]\n")
    host = FakeHost(tmp_path, active="active", enabled=True)
    result = run_warp(host, changed(WARP, {"state": "absent"}), False, str(tmp_path))
    assert (result["changed"], host.changes) == (False, [])
    assert result["warnings"] == [f"{tmp_path}/warp0.conf was not written by this collection: warp0 is left as it is."]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[Peer]\nPublicKey = x\n", "is not a WireGuard profile: it needs one [Interface]"),
        (
            f"[Interface]\nPrivateKey = {recorded.PRIVATE}\nAddress = 172.16.0.2\n",
            "it needs exactly one peer, with an endpoint",
        ),
        (
            f"[Interface]\nPrivateKey = {recorded.PRIVATE}\nPostUp = ovs-vsctl add-port mesh warp0\n",
            "a WireGuard device cannot be a port of an Open vSwitch bridge",
        ),
    ],
)
def test_profile_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "profile").write_text(text)
    params = changed(WARP, {"config": None, "config_file": f"{tmp_path}/profile"})
    assert message in refuse(run_warp, params, tmp_path)


def test_profile_may_not_be_the_file_that_is_written(tmp_path: Path) -> None:
    params = changed(WARP, {"config": None, "config_file": f"{tmp_path}/warp0.conf"})
    assert "which this module writes itself. Fix: move the profile elsewhere" in refuse(run_warp, params, tmp_path)


def test_check_mode_on_a_bare_host_predicts_and_changes_nothing(tmp_path: Path) -> None:
    host = FakeHost(tmp_path, tools=False)
    for result in (run_warp(host, WARP, True, str(tmp_path)), run_mesh(host, MESH, True, str(tmp_path))):
        assert result["changed"]
        assert len(result["actions"]) == 3
        assert recorded.PRIVATE not in repr(result)
    later = changed(WARP, {"config": None, "config_file": "/nonexistent/profile.conf"})
    assert run_warp(host, later, True, str(tmp_path))["actions"] == [
        "configure warp0 from /nonexistent/profile.conf, not there yet"
    ]
    assert (host.changes, list(tmp_path.iterdir())) == ([], [])


@pytest.mark.parametrize("run", [run_warp, run_mesh])
def test_bare_host_is_refused_outside_check_mode(tmp_path: Path, run: Any) -> None:
    host = FakeHost(tmp_path, tools=False)
    with pytest.raises(RefusedError, match=r"is not on this host\. Fix: install the package wireguard-tools"):
        run(host, WARP if run is run_warp else MESH, False, str(tmp_path))
    assert (host.changes, list(tmp_path.iterdir())) == ([], [])


@pytest.mark.parametrize("state", ["absent", "queried", "down"])
def test_bare_host_has_nothing_to_stop(tmp_path: Path, state: str) -> None:
    result = run_warp(FakeHost(tmp_path, tools=False), changed(WARP, {"state": state}), False, str(tmp_path))
    assert (result["changed"], result["health"], result["running"]) == (False, "down", False)
