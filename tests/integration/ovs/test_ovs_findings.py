# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the checker finds stops a run before a real Open vSwitch sees anything, or is loaded as it is with a warning."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._ovs import flow_table

from tests.integration.ovs.conftest import Apply, Module
from tests.integration.ovs.private_ovs import PrivateOvs

OUT = 'priority=100,in_port="veth102",actions=output:"veth100"'
DEAD = 'priority=80,in_port="veth102",actions=NORMAL'
ARP = "priority=200,arp,actions=load:1->NXM_NX_REG0[],NORMAL"
LATER = "priority=200,arp,actions=drop"


@pytest.mark.parametrize("check", [True, False])
def test_findings_stop_the_run(ovs: PrivateOvs, apply: Apply, durable: Path, check: bool) -> None:
    before = ovs.state()
    result = apply([OUT, DEAD, "table=3,actions=drop"], check=check, on_finding="fail")
    assert result["failed"]
    assert result["msg"].startswith("Bridge mesh: 2 findings about its flows; nothing was changed.")
    assert f"line 2 ({DEAD}): Never acts" in result["msg"]
    assert [finding["kind"] for finding in result["findings"]] == ["dead", "unreachable_table"]
    assert ovs.state() == before
    assert not durable.exists()


def test_findings_are_warnings_on_every_run(ovs: PrivateOvs, apply: Apply, durable: Path) -> None:
    """Rules are told in the switch's own words to the checker: load is set_field there."""
    for changed in (True, False, False):
        result = apply([OUT, DEAD, ARP, LATER])
        assert result["changed"] is changed
        assert [(finding["kind"], finding["line"]) for finding in result["findings"]] == [("dead", 2), ("duplicate", 3)]
        assert len(result["warnings"]) == 2
    assert sorted(line.partition(", ")[2] for line in ovs.flows("mesh")) == [
        "priority=100,in_port=32870 actions=output:32868",
        "priority=200,arp actions=drop",
        "priority=80,in_port=32870 actions=NORMAL",
    ]
    assert "Checked" not in durable.read_text()


def test_sound_rules_are_checked_once(apply: Apply, durable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert apply([OUT, ARP], on_finding="fail")["findings"] == []
    assert "# Checked, and nothing was found (" in durable.read_text()
    monkeypatch.setattr(flow_table, "checked", None)
    assert not apply([OUT, ARP], on_finding="fail")["changed"]
    assert not apply([ARP, OUT], on_finding="fail", check=True)["changed"]


def test_rendered_tells_findings_too(run: Module) -> None:
    arguments = {"bridge": "mesh", "flows": [OUT, DEAD], "ports": Apply.PORTS, "state": "rendered"}
    assert "line 2" in run("ovs_bridge_flows", **arguments)["msg"]
    result = run("ovs_bridge_flows", **arguments, on_finding="warn")
    assert (len(result["rendered"]), result["findings"][0]["kind"]) == (2, "dead")


def test_rules_that_the_checker_does_not_know_are_loaded_with_a_warning(ovs: PrivateOvs, apply: Apply) -> None:
    result = apply([OUT, "priority=300,tun_id=0x5,actions=drop"], on_finding="fail")
    assert (result["changed"], result["findings"]) == (True, [])
    assert "tun_id=0x5,actions=drop) is not checked" in str(result["warnings"])
    assert len(ovs.flows("mesh")) == 2
