# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""wg-quick files: what we write, what a diff shows of them, and what we take from profiles of others."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Interface, IPv4Network
from typing import Any

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._errors import RefusedError
from ansible_collections.op_dbus.socket_network.plugins.module_utils._wg.config import (
    Peer,
    Tunnel,
    mesh_tunnel,
    read_endpoint,
    split_endpoint,
    warp_tunnel,
)
from ansible_collections.op_dbus.socket_network.plugins.module_utils._wg.profile import MARKER, masked, parse, render
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.wg import recorded

WGCF = f"""\
[Interface]
PrivateKey = {recorded.PRIVATE}
Address = 172.16.0.2/32, 2606:4700:110:8a36:df92:102a:9602:fa18/128
DNS = 1.1.1.1, 2606:4700:4700::1111
MTU = 1280
[Peer]
PublicKey = {recorded.PEER}
AllowedIPs = 0.0.0.0/0, ::/0
Endpoint = engage.cloudflareclient.com:2408
"""
MESH: dict[str, Any] = {
    "name": "nm-privacy",
    "private_key": recorded.PRIVATE,
    "address": "10.100.0.1/16",
    "listen_port": 51821,
    "mtu": 1420,
    "peers": [
        {"name": "zeta", "public_key": recorded.OTHER_PEER, "allowed_ips": ["10.100.0.3/32"], "keepalive": 0},
        {
            "name": "alpha",
            "public_key": recorded.PEER,
            "preshared_key": recorded.PRESHARED,
            "endpoint": "[2001:db8:0::1]:51821",
            "allowed_ips": ["10.100.0.2/32", "10.0.2.0/24"],
            "keepalive": 25,
        },
    ],
}


def test_rendering_a_mesh() -> None:
    assert (
        render(mesh_tunnel(MESH))
        == f"""\
{MARKER}
[Interface]
PrivateKey = {recorded.PRIVATE}
ListenPort = 51821
Address = 10.100.0.1/16
MTU = 1420
Table = off

# alpha
[Peer]
PublicKey = {recorded.PEER}
PresharedKey = {recorded.PRESHARED}
AllowedIPs = 10.0.2.0/24, 10.100.0.2/32
Endpoint = [2001:db8::1]:51821
PersistentKeepalive = 25

# zeta
[Peer]
PublicKey = {recorded.OTHER_PEER}
AllowedIPs = 10.100.0.3/32
"""
    )


def test_rendering_does_not_depend_on_the_order_of_the_peers() -> None:
    assert render(mesh_tunnel({**MESH, "peers": MESH["peers"][::-1]})) == render(mesh_tunnel(MESH))


def test_diffs_show_digests_of_secrets() -> None:
    text = masked(render(mesh_tunnel(MESH)))
    assert recorded.PRIVATE not in text
    assert recorded.PRESHARED not in text
    assert "PrivateKey = (secret, sha256 " in text
    assert f"PublicKey = {recorded.PEER}" in text
    assert masked(render(replace(mesh_tunnel(MESH), private_key=recorded.PRESHARED))) != text


@pytest.mark.parametrize(
    "line", ["privatekey=abc=", "# PrivateKey = abc=", "PostUp = curl abc=", "  PRESHAREDKEY = abc="]
)
def test_diffs_hide_what_may_be_a_secret(line: str) -> None:
    assert "abc" not in masked(f"[Interface]\n{line}\n")


def test_profile_of_wgcf() -> None:
    profile = parse(WGCF, device="warp0", source="/p", mtu=1280, keepalive=25)
    assert profile.tunnel == Tunnel(
        device="warp0",
        private_key=recorded.PRIVATE,
        addresses=(IPv4Interface("172.16.0.2/32"),),
        mtu=1280,
        peers=(
            Peer(
                name="peer-1",
                public_key=recorded.PEER,
                endpoint="engage.cloudflareclient.com:2408",
                allowed_ips=(IPv4Network("0.0.0.0/0"),),
                keepalive=25,
            ),
        ),
    )
    assert profile.ignored == (
        "DNS = 1.1.1.1, 2606:4700:4700::1111: the tunnel does not change the host's resolver",
        "AllowedIPs = ::/0: this network drops IPv6",
        "Address = 2606:4700:110:8a36:df92:102a:9602:fa18/128: this network drops IPv6",
    )
    assert "DNS" not in render(profile.tunnel)


def test_profile_in_other_spelling() -> None:
    text = (
        f"# mine\n\n[interface]\nprivatekey={recorded.PRIVATE} # a remark\naddress=172.16.0.2/32\ntable=off\n"
        f"saveconfig = false\n# the far end\n[PEER]\npublickey={recorded.PEER}\nallowedips=10.0.0.0/8\n"
        "allowedips=172.16.0.0/12\nendpoint=192.0.2.1:2408\npersistentkeepalive=off\n"
    )
    (peer,) = parse(text, device="warp0", source="/p", keepalive=25).tunnel.peers
    assert peer.allowed_ips == (IPv4Network("10.0.0.0/8"), IPv4Network("172.16.0.0/12"))
    assert (peer.keepalive, peer.name) == (0, "peer-1")


names = st.from_regex(r"[a-z][a-z0-9-]{0,12}", fullmatch=True)
keys = st.sampled_from([recorded.PUBLIC, recorded.PEER, recorded.OTHER_PEER])
networks = st.builds(
    lambda value, bits: IPv4Network((value >> (32 - bits) << (32 - bits), bits)),
    st.integers(0, 2**32 - 1),
    st.integers(1, 32),
)
peers = st.builds(
    Peer,
    name=names,
    public_key=keys,
    endpoint=st.sampled_from([None, "192.0.2.1:51820", "[2001:db8::1]:1", "vpn.example.org:65535"]),
    allowed_ips=networks.map(lambda network: (network,)),
    keepalive=st.integers(0, 65535),
    preshared_key=st.sampled_from([None, recorded.PRESHARED]),
)


@given(
    st.lists(peers, max_size=3, unique_by=(lambda p: p.name, lambda p: p.public_key, lambda p: p.allowed_ips)),
    st.integers(576, 9000),
    st.sampled_from([None, 51821]),
)
def test_what_is_written_reads_back(chosen: list[Peer], mtu: int, port: int | None) -> None:
    tunnel = Tunnel(
        device="wg0",
        private_key=recorded.PRIVATE,
        addresses=(IPv4Interface("10.100.0.1/16"),),
        mtu=mtu,
        listen_port=port,
        peers=tuple(sorted(chosen, key=lambda peer: peer.name)),
    )
    assert parse(render(tunnel), device="wg0", source="/p").tunnel == tunnel


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.1:2408", ("192.0.2.1", 2408, True)),
        ("[2001:db8::1]:51820", ("2001:db8::1", 51820, True)),
        ("engage.cloudflareclient.com:2408", ("engage.cloudflareclient.com", 2408, False)),
    ],
)
def test_endpoints(text: str, expected: tuple[str, int, bool]) -> None:
    assert split_endpoint(read_endpoint(text)) == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("PostUp = ovs-vsctl add-port mesh warp0", "a WireGuard device cannot be a port of an Open vSwitch bridge"),
        ("PreDown = ip rule del", "commands of a profile are not run"),
        ("Table = auto", "'auto' would reroute the host's own traffic"),
        ("Table = 200", "'200' would reroute the host's own traffic"),
        ("SaveConfig = true", "wg-quick would overwrite the configuration"),
        ("Reserved = 1,2,3", "cannot set the reserved bytes"),
        ("Jc = 4", "this setting is not supported"),
    ],
)
def test_profile_may_not_ask_for_everything(line: str, message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        parse(WGCF.replace("MTU = 1280", line), device="warp0", source="/p")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it needs one .Interface. and nothing but .Peer. beside it"),
        ('{"private_key": "x"}', "line 1 is neither a section nor a setting"),
        ("[Interface]\nhello\n", "line 2 is neither a section nor a setting"),
        (WGCF + "[Account]\nid = 1\n", "nothing but .Peer. beside it"),
        (WGCF + WGCF, "it needs one .Interface."),
    ],
)
def test_file_that_is_no_profile(text: str, message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        parse(text, device="warp0", source="/p")


def test_all_faults_are_told_at_once() -> None:
    config = {
        "private_key": "short",
        "addresses": ["172.16.0.2/33", "fd00::2/64"],
        "mtu": 90,
        "peer": {"public_key": "x", "endpoint": "nowhere", "allowed_ips": [], "keepalive": 70000},
    }
    with pytest.raises(RefusedError) as caught:
        warp_tunnel("warp0", config)
    lines = str(caught.value).splitlines()
    assert lines[0] == "The tunnel warp0 cannot be configured; nothing was changed."
    assert [line.split(":")[0].strip() for line in lines[1:]] == [
        "1. config.peer.allowed_ips",
        "2. config.peer.public_key",
        "3. config.peer.endpoint",
        "4. config.peer.keepalive",
        "5. config.addresses",
        "6. config.addresses",
        "7. config.private_key",
        "8. config.mtu",
    ]
    assert "short" not in str(caught.value)
