# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ovs_bridge_flows: bad calls touch nothing, and a switch that does not do as told is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._errors import (
    CommandError,
    RefusedError,
    SocketNetworkError,
)
from ansible_collections.op_dbus.socket_network.plugins.module_utils._ovs import flow_table
from ansible_collections.op_dbus.socket_network.plugins.module_utils._ovs.parameters import flows_spec
from ansible_collections.op_dbus.socket_network.plugins.module_utils._ovs.vsctl import NoSwitchError

from tests.unit.ovs.recorded import Recorded
from tests.unit.ovs.recordings import LIST, NORMALIZED

ARP = "OFPT_FLOW_MOD (OF1.5) (xid=0x1): ADD arp cookie:0x6f6f000092e9bae6 actions=drop\n"
IP = "OFPT_FLOW_MOD (OF1.5) (xid=0x2): ADD ip cookie:0x6f6f000092e9bae7 actions=drop\n"
FLOWS = ["cookie=0x6f6f000092e9bae6,arp,actions=drop", "cookie=0x6f6f000092e9bae7,ip,actions=drop"]
Answer = tuple[int, str, str]


def spec(tmp_path: Path, **params: Any) -> flow_table.FlowsSpec:
    defaults: dict[str, Any] = {
        "bridge": "mesh",
        "flows": FLOWS,
        "ports": {},
        "origins": {},
        "owner": 0x6F6F,
        "exclusive": False,
        "force": False,
        "flush_revoked": False,
        "ct_zone": None,
        "durable": str(tmp_path / "mesh.flows"),
        "on_finding": "fail",
        "given": [],
    }
    return flows_spec({**defaults, **params})


def failed(text: str) -> Answer:
    return (1, "", f"ovs-ofctl: {text}\n")


CASES: list[tuple[str, dict[str, Any], Answer, str]] = [
    ("bridge", {"bridge": "br 0"}, (0, ARP + IP, ""), "Bridge name 'br 0' is not valid."),
    ("empty flow", {"flows": ["  "]}, (0, "", ""), "Flow 1 ('  ') is not one line of flow text."),
    ("comment", {"flows": ["arp,actions=drop # why"]}, (0, ARP, ""), "is not one line of flow text."),
    ("two lines", {"flows": ["arp,actions=drop\nip,actions=drop"]}, (0, ARP + IP, ""), "is not one line of flow text."),
    ("joined lines", {"flows": ["arp,actions=drop\\"]}, (0, ARP, ""), "is not one line of flow text."),
    ("address", {"flows": ["ip,nw_src=10.0.256.1,actions=drop"]}, (0, IP, ""), "10.0.256.1 is not an IPv4 address"),
    (
        "unknown port",
        {"flows": ['in_port="a",actions=output:"b"']},
        (0, ARP, ""),
        "'a' (flow 1), 'b' (flow 1); known ports: none.",
    ),
    ("port name", {"ports": {"a b": 5}}, (0, ARP + IP, ""), "Port name 'a b' is not valid."),
    ("port number", {"ports": {"a": "0xffff"}}, (0, ARP + IP, ""), "OpenFlow port number 65535 is out of range."),
    (
        "port text",
        {"ports": {"a": "first"}},
        (0, ARP + IP, ""),
        "ports: number of a is 'first', which is not a number.",
    ),
    ("same number", {"ports": {"a": 9, "b": 9}}, (0, ARP + IP, ""), "Ports a and b of bridge mesh want the same"),
    ("origin", {"origins": {"x": "y"}}, (0, ARP + IP, ""), "origins: cookie is 'x', which is not a number."),
    ("owner", {"owner": 0x10000}, (0, ARP + IP, ""), "Cookie owner 0x10000 is out of range."),
    ("no zone", {"flush_revoked": True}, (0, ARP + IP, ""), "needs to know the conntrack zone"),
    ("zone", {"ct_zone": 65536}, (0, ARP + IP, ""), "Conntrack zone 65536 is out of range."),
    ("path", {"durable": "mesh.flows"}, (0, ARP + IP, ""), "Path 'mesh.flows' of the durable file is not absolute."),
    ("keyword", {}, failed("-:2: unknown keyword foo"), f"Flow 2 ({FLOWS[1]}) is not valid: unknown keyword foo."),
    ("placeless error", {"flows": FLOWS[:1]}, failed("no usable protocol"), "OpenFlow 1.5 cannot express it."),
    ("widened", {"flows": FLOWS[:1]}, (0, ARP, NORMALIZED), "Open vSwitch would drop the match on tp_dst=443"),
    (
        "same match",
        {},
        (0, ARP + ARP.replace("e6 ", "e7 "), ""),
        f"line 1 ({FLOWS[0]}): Has the match and priority of line 2 ({FLOWS[1]}) and does the same. Remove one",
    ),
    (
        "same cookie",
        {},
        (0, ARP + IP.replace("e7 ", "e6 "), ""),
        "Flows 1 and 2 have the same cookie 0x6f6f000092e9bae6",
    ),
    ("foreign cookie", {"owner": 0x1111}, (0, ARP + IP, ""), "which does not start with the owner 0x1111."),
    ("given", {"given": [{"line": 3, "text": "x"}]}, (0, ARP + IP, ""), "There are 2 flows, but 1 items in given."),
    ("no such bridge", {"bridge": "later"}, (0, ARP + IP, ""), "Bridge later does not exist."),
    ("controller", {"bridge": "theirs"}, (0, ARP + IP, ""), "Bridge theirs has the OpenFlow controller tcp:127.0.0.1"),
    ("renumbered", {"ports": {"veth102": 7}}, (0, ARP + IP, ""), "port veth102 has number 32870, but its flows use 7"),
    ("stranger", {"ports": {"veth7": 32870}}, (0, ARP + IP, ""), "has number 32870, which belongs to veth7"),
    (
        "collision",
        {},
        (0, ARP + IP, ""),
        "1 wanted flow(s) have the table, priority and match of another owner's flows",
    ),
]


@pytest.mark.parametrize(("params", "parsed", "message"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_refused_and_nothing_touched(params: dict[str, Any], parsed: Answer, message: str, tmp_path: Path) -> None:
    foreign = " cookie=0x77, ip actions=NORMAL\n"
    runner = Recorded({"parse-flows": parsed, "list": (0, LIST, ""), "dump-flows": (0, foreign, "")})
    with pytest.raises(RefusedError) as caught:
        flow_table.present(runner, spec(tmp_path, **params), False)
    assert message in str(caught.value)
    assert " Fix: " in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_offending_line_is_found_by_halving(tmp_path: Path) -> None:
    """ovs-ofctl does not say which of many flows it would widen."""

    class Picky(Recorded):
        def run(self, argv: Any, *, stdin: str | None = None, ok: Any = (0,), what: str = "") -> Any:
            self.answers["parse-flows"] = (0, "", NORMALIZED if stdin and "bad" in stdin else "")
            return super().run(argv, stdin=stdin, ok=ok, what=what)

    for bad in (1, 57, 100):
        flows = [f"{'bad' if number == bad else 'good'}{number}" for number in range(1, 101)]
        runner = Picky({})
        with pytest.raises(RefusedError, match=rf"^Flow {bad} \(bad{bad}\) is not valid"):
            flow_table.present(runner, spec(tmp_path, flows=flows), False)
        assert len(runner.calls) <= 9


def test_non_convergence_is_an_error(tmp_path: Path) -> None:
    """The switch takes the bundle and still shows something else: never a change on every run."""
    answers = {
        "parse-flows": (0, ARP + IP, ""),
        "list": (0, LIST, ""),
        "dump-flows": (0, "", ""),
        "bundle": (0, "", ""),
    }
    runner = Recorded(answers, writable=True)
    plan, _result = flow_table.present(runner, spec(tmp_path), False)
    with pytest.raises(SocketNetworkError, match=r"did not become what was sent \(add 2 left\)"):
        plan.apply()
    assert list(tmp_path.iterdir()) == []


def test_a_refused_bundle_leaves_the_durable_file(tmp_path: Path) -> None:
    answers = {"parse-flows": (0, ARP + IP, ""), "list": (0, LIST, ""), "dump-flows": (0, "", "")}
    runner = Recorded({**answers, "bundle": (1, "", "Error OFPBAC_BAD_OUT_GROUP")}, writable=True)
    plan, _result = flow_table.present(runner, spec(tmp_path), False)
    with pytest.raises(CommandError, match="OFPBAC_BAD_OUT_GROUP"):
        plan.apply()
    assert list(tmp_path.iterdir()) == []


def test_check_mode_without_open_vswitch(tmp_path: Path) -> None:
    plan, result = flow_table.present(Recorded({}), spec(tmp_path), True)
    assert plan.actions == ["change flows of bridge mesh: add 2", f"create {tmp_path / 'mesh.flows'}"]
    assert result["counts"]["added"] == 2
    with pytest.raises(NoSwitchError):
        flow_table.present(Recorded({}), spec(tmp_path), False)
    with pytest.raises(RefusedError, match="known ports: none"):
        flow_table.present(Recorded({}), spec(tmp_path, flows=['in_port="x",actions=drop']), True)
