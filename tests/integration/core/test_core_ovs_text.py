# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our rules as Open vSwitch reads and prints them: accepted without a notice, and already in its own canonical form."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.compile import BridgeFlows

from tests.unit.core.samples import compiled, one_bridge, two_bridges

BRIDGES = [
    (one_bridge, "oo1424oo", "mesh"),
    (one_bridge, "vps-gateway", "mesh"),
    (two_bridges, "oo1424oo", "mesh"),
    (two_bridges, "oo1424oo", "vmbr0"),
]
_ADD = re.compile(r"^OFPT_FLOW_MOD \(OF1\.5\) \(xid=0x[0-9a-f]+\): ADD (.*)$", re.MULTILINE)


def parsed(lines: list[str]) -> tuple[list[str], str]:
    """What ``ovs-ofctl parse-flows`` makes of ``lines``, and what it complains about."""
    done = subprocess.run(
        ["ovs-ofctl", "-O", "OpenFlow15", "parse-flows", "-"],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return _ADD.findall(done.stdout), done.stderr


def canonical(line: str) -> str:
    """A line of ours in the notation of parse-flows, which leaves out table 0 and separates with spaces."""
    cookie, table, rest = line.split(",", 2)
    number = table.removeprefix("table=")
    match, actions = rest.split(",actions=")
    head = "" if number == "0" else f"table:{number} "
    return f"{head}{match} {cookie.replace('=', ':')} actions={actions}"


def numeric(made: BridgeFlows) -> list[str]:
    return [flow.text(made.ports) for flow in made.flows]


@pytest.mark.parametrize(("inventory", "host", "bridge"), BRIDGES)
def test_rules_are_canonical_openflow_15(inventory: Any, host: str, bridge: str) -> None:
    lines = numeric(compiled(inventory(), host, bridge))
    printed, complaints = parsed(lines)
    assert "normalization changed" not in complaints
    assert printed == [canonical(line) for line in lines]


def test_the_check_sees_a_rule_that_open_vswitch_would_widen() -> None:
    _printed, complaints = parsed(["table=0,priority=9,tp_dst=443,actions=drop"])
    assert "normalization changed" in complaints
