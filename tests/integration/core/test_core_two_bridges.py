# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection through both bridges of the two-bridge topology, hop by hop in the eyes of a real switch."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.compile import compile_node

from tests.integration.ovs.private_ovs import private_ovs
from tests.lib.unixctl import Unixctl
from tests.unit.core.samples import fleet, two_bridges

MADE = compile_node(fleet(two_bridges()), "oo1424oo")
GATEWAY, ROUTER = "02:01:5a:7f:f1:ef", "02:00:00:00:00:01"
XRAY = "02:00:0a:00:00:66"
TO_SOCKET, FROM_MESH = "02:01:e0:dd:cf:17", "02:01:3e:77:2d:ba"
REQUEST = "tcp,nw_src=10.1.0.202,nw_dst=10.0.0.102,nw_ttl=64,tcp_src=40000,tcp_dst=443,tcp_flags=syn"
REPLY = "tcp,nw_src=10.0.0.102,nw_dst=10.1.0.202,nw_ttl=64,tcp_src=443,tcp_dst=40000,tcp_flags=syn|ack"
_FINAL = re.compile(r"^(?:Final f|F)low: .*dl_src=([0-9a-f:]+),dl_dst=([0-9a-f:]+)", re.MULTILINE)
_ACTIONS = re.compile(r"^Datapath actions: (.*)$", re.MULTILINE)
_PORT = re.compile(r"^ +(\S+) \d+/(\d+):", re.MULTILINE)


@pytest.fixture(scope="module")
def control() -> Iterator[Unixctl]:
    with (
        tempfile.TemporaryDirectory(prefix="ovs-", dir="/tmp") as path,
        private_ovs(Path(path), "--enable-dummy=override") as switch,
    ):
        for bridge, made in MADE.items():
            command = ["add-br", bridge, "--", "set", "Bridge", bridge, "datapath_type=netdev", "protocols=OpenFlow15"]
            for name, number in made.ports.items():
                command += ["--", "add-port", bridge, name, "--", "set", "Interface", name, f"ofport_request={number}"]
            switch.vsctl(*command)
            lines = "\n".join(flow.text(made.ports) for flow in made.flows)
            switch.ofctl("--bundle", "replace-flows", bridge, "-", stdin=lines)
        connection = Unixctl(switch.directory)
        yield connection
        connection.close()


def sent(control: Unixctl, bridge: str, port: str, packet: str, state: str = "new") -> tuple[str, str, str] | None:
    """Port, source MAC and destination MAC of the packet that leaves the bridge; None when it is dropped."""
    number = MADE[bridge].ports[port]
    traced = control("ofproto/trace", bridge, f"in_port={number},{packet}", "--ct-next", f"trk,{state}")
    source, target = _FINAL.findall(traced)[-1]
    actions = _ACTIONS.findall(traced)[-1]
    ports = {number: name for name, number in _PORT.findall(control("dpif/show"))}
    return None if actions == "drop" else (ports[actions.rpartition(",")[2]], source, target)


def test_request_reaches_the_container(control: Unixctl) -> None:
    arriving = f"{REQUEST},dl_src={GATEWAY},dl_dst={ROUTER}"
    assert sent(control, "mesh", "ovs-nm-privacy", arriving) == ("to-socket", TO_SOCKET, FROM_MESH)
    crossed = f"{REQUEST},dl_src={TO_SOCKET},dl_dst={FROM_MESH}"
    assert sent(control, "vmbr0", "from-mesh", crossed) == ("veth102", ROUTER, XRAY)


def test_reply_goes_back_through_both_bridges(control: Unixctl) -> None:
    answer = f"{REPLY},dl_src={XRAY},dl_dst={ROUTER},ct_mark=0x26c32"
    assert sent(control, "vmbr0", "veth102", answer, "est,rpl") == ("from-mesh", FROM_MESH, TO_SOCKET)
    crossed = f"{REPLY},dl_src={FROM_MESH},dl_dst={TO_SOCKET}"
    assert sent(control, "mesh", "to-socket", crossed) == ("ovs-nm-privacy", ROUTER, GATEWAY)


@pytest.mark.parametrize(
    ("bridge", "port", "packet"),
    [
        ("mesh", "ovs-nm-privacy", f"{REPLY},dl_src={GATEWAY}"),
        ("mesh", "ovs-nm-privacy", f"{REQUEST},dl_src={XRAY}"),
        ("mesh", "ovs-nm-privacy", f"{REQUEST},dl_src={GATEWAY}".replace("10.0.0.102", "10.1.0.7")),
        ("mesh", "to-socket", f"{REQUEST},dl_src={FROM_MESH}"),
        ("mesh", "to-socket", f"{REPLY},dl_src={XRAY}"),
        ("mesh", "to-socket", f"{REPLY},dl_src={FROM_MESH}".replace("10.1.0.202", "203.0.113.9")),
        ("mesh", "to-socket", f"{REPLY},dl_src={FROM_MESH}".replace("10.1.0.202", "10.0.0.100")),
        ("vmbr0", "from-mesh", f"{REQUEST},dl_src={GATEWAY}"),
        ("vmbr0", "from-mesh", f"{REQUEST},dl_src={TO_SOCKET}".replace("tcp_dst=443", "tcp_dst=444")),
        ("vmbr0", "from-mesh", f"{REQUEST},dl_src={TO_SOCKET}".replace("10.1.0.202", "10.0.0.100")),
        ("vmbr0", "from-mesh", f"{REQUEST},dl_src={TO_SOCKET}".replace("10.0.0.102", "203.0.113.9")),
    ],
)
def test_liars_and_passers_through_are_dropped(control: Unixctl, bridge: str, port: str, packet: str) -> None:
    assert sent(control, bridge, port, packet) is None
