# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role on a booted host with the lists of the design documents, and back to compiled rules."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from lab.host import Host
from lab.remote import PlaybookRun
from tests.lib.literal import droplet, home, text

ROLE = {"name": "Run the role", "ansible.builtin.include_role": {"name": "op_dbus.socket_network.socket_bridge"}}
PLAY = {"hosts": "all", "gather_facts": False, "tasks": [ROLE]}
STATE = (
    "ovs-vsctl --columns=name,ofport_request,external_ids list Interface 2>&1 | sort;"
    " ovs-ofctl -O OpenFlow15 --no-stats --no-names dump-flows mesh 2>&1 | sort;"
    " find /etc/systemd /etc/op-dbus /var/lib/op-dbus -xdev -printf '%p %m %s\\n' 2>/dev/null | sort"
)
DUMP = "ovs-ofctl -O OpenFlow15 --no-stats --names dump-flows mesh"
RULES = {"oo1424oo.txt": home(text("oo1424oo.txt")), "vps-gateway.nix": droplet(text("vps-gateway.nix"))}
TOLD = {
    "oo1424oo.txt": [
        "line 14 (priority=80,in_port=veth102,actions=output:nm-privacy): Never acts: every packet that it matches is "
        "taken by line 5 (priority=100,in_port=veth102,actions=output:warp0), of higher priority.",
        "line 15 (priority=80,in_port=warp0,actions=output:nm-privacy): Never acts",
    ],
    "vps-gateway.nix": [
        "line 6 (priority=100,in_port=veth202,actions=output:nm-server): Some packets match it and line 2 (",
        "line 17 (priority=80,in_port=veth202,actions=normal): Never acts",
    ],
}


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with Host("literal") as host:
        yield host


def play(host: Host, variables: dict[str, Any], *, check: bool = False) -> PlaybookRun:
    run = host.playbook([PLAY], check=check, diff=True, extra={**variables, "socket_bridge_fleet_group": "all"})
    assert run.returncode == 0, run.output
    return run


def words(run: PlaybookRun) -> str:
    """The output without the line breaks that Ansible puts into warnings."""
    return re.sub(r"\s+", " ", run.output)


def state(host: Host) -> str:
    return host.run(STATE, check=False).stdout


def rules(host: Host) -> list[str]:
    """Priority, match and actions on the bridge, with the names of the documents."""
    lines = host.run(DUMP).stdout.splitlines()
    found = [re.fullmatch(r" *cookie=0x6f6f\w+, (?:table=0, )?(.*)", line) for line in lines if "actions=" in line]
    texts = [re.sub(r'"?(?:ovs-)?([\w-]+)"?', r"\1", match[1]) for match in found if match]
    assert len(texts) == len(found)
    return sorted(texts)


def written(name: str) -> list[str]:
    lines = re.findall(r"priority=[^\"\n]*", text(name))
    return sorted(line.replace(",actions=", " actions=").replace("=normal", "=NORMAL") for line in lines)


def names_of(host: Host, lines: list[str]) -> list[str]:
    """``lines`` with the names of containers' ports, which are not on the bridge here, as numbers."""
    flows = host.run(["cat", "/var/lib/op-dbus/flows/mesh.flows"]).stdout
    assert flows.count("actions=") == len(lines)
    return sorted(
        re.sub(r"veth\d(\d\d)", lambda found: str(32768 + 100 * int(found[0][4]) + int(found[1])), line)
        for line in lines
    )


@pytest.mark.parametrize("name", RULES)
def test_the_list_is_loaded_as_it_is_and_what_is_wrong_is_told(host: Host, name: str) -> None:
    variables = RULES[name]
    before = state(host)
    checked = play(host, variables, check=True)
    assert state(host) == before
    for run in (checked, play(host, variables), play(host, variables)):
        assert [part for part in TOLD[name] if part not in words(run)] == []
    assert run.changed() == 0
    assert rules(host) == names_of(host, written(name))
    assert "(dead, see the findings)" in checked.output
    assert "socket_bridge_literal_flows[mesh] line" in checked.output


def test_findings_can_be_made_to_stop_the_run(host: Host) -> None:
    variables = {**RULES["oo1424oo.txt"], "socket_bridge_literal_on_finding": "fail"}
    before = host.run(DUMP).stdout
    extra = {**variables, "socket_bridge_fleet_group": "all"}
    run = host.playbook([PLAY], check=True, extra=extra)
    assert run.returncode != 0
    assert "Bridge mesh: 2 findings about its flows; nothing was changed." in run.output
    assert host.run(DUMP).stdout == before


def test_back_to_compiled_rules(host: Host) -> None:
    variables = {**RULES["vps-gateway.nix"], "socket_bridge_mode": "compiled"}
    play(host, variables)
    assert play(host, variables).changed() == 0
    flows = host.run(DUMP).stdout
    assert "NORMAL" not in flows
    assert "table=70" in flows
    assert "# Checked, and nothing was found (" in host.run(["cat", "/var/lib/op-dbus/flows/mesh.flows"]).stdout
