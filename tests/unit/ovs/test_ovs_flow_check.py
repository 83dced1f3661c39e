# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ovs_bridge_flows and the checker: what it refuses, what it warns of, and when it need not ask again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.op_dbus.socket_network.plugins.filter.check_flows import check_flows
from ansible_collections.op_dbus.socket_network.plugins.filter.compile_flows import compile_flows
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core import checker
from ansible_collections.op_dbus.socket_network.plugins.module_utils._ovs import flow_check, flow_table
from ansible_collections.op_dbus.socket_network.plugins.module_utils._ovs.flow_check import FindingsError, Report
from ansible_collections.op_dbus.socket_network.plugins.module_utils._ovs.parameters import flows_spec

from tests.lib.fleets import FLEETS, HOSTS
from tests.unit.ovs.recorded import Recorded
from tests.unit.ovs.recordings import LIST

PORTS = {"veth102": 32870, "ovs-warp0": 53211, "ovs-nm": 53212}
WARP = 'priority=100,in_port="veth102",actions=output:"ovs-warp0"'
MESH = 'priority=80,in_port="veth102",actions=output:"ovs-nm"'
ARP = "priority=50,arp,actions=drop"
LEARN = "priority=9,actions=learn(table=1,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[]),NORMAL"
UNKNOWN = "priority=200,tun_id=0x5,actions=output:1"


def numbered(line: str) -> str:
    for name, number in PORTS.items():
        line = line.replace(f'"{name}"', str(number))
    return line


def checked(lines: list[str], origins: dict[int, str] | None = None, ports: dict[str, int] | None = None) -> Report:
    texts = [numbered(line) for line in lines]
    told = list(enumerate(lines, 1))
    return flow_check.checked("mesh", texts, told, ports=PORTS if ports is None else ports, origins=origins or {})


def printed(line: str) -> str:
    """``line`` as parse-flows prints it."""
    cookie, _comma, rest = line.partition(",") if line.startswith("cookie=") else ("", "", line)
    match, _separator, actions = numbered(rest).partition(",actions=")
    return f"{match} {cookie.replace('=', ':')} actions={actions}"


def outcome(lines: list[str], tmp_path: Path, *, check: bool = False, **params: Any) -> tuple[Any, dict[str, Any]]:
    """The plan and the result of the module for ``lines``, on a bridge without flows."""
    parsed = "".join(f"OFPT_FLOW_MOD (OF1.5) (xid=0x1): ADD {printed(line)}\n" for line in lines)
    runner = Recorded({"parse-flows": (0, parsed, ""), "list": (0, LIST, ""), "dump-flows": (0, "", "")})
    defaults: dict[str, Any] = {
        "bridge": "mesh",
        "flows": lines,
        "ports": PORTS,
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
    return flow_table.present(runner, flows_spec({**defaults, **params}), check)


@pytest.mark.parametrize("check", [False, True])
def test_findings_are_refused_all_at_once(tmp_path: Path, check: bool) -> None:
    with pytest.raises(FindingsError) as caught:
        outcome([WARP, MESH, ARP, ARP], tmp_path, check=check)
    text = str(caught.value)
    assert text.startswith("Bridge mesh: 2 findings about its flows; nothing was changed.\n")
    assert f"  1. line 2 ({MESH}): Never acts: every packet that it matches is taken by line 1 ({WARP})" in text
    assert f"  2. line 3 ({ARP}): Has the match and priority of line 4 ({ARP})" in text
    assert text.endswith("set on_finding: warn to load the flows as they are.")
    findings: Any = caught.value.result()["findings"]
    assert [(finding["kind"], finding["line"]) for finding in findings] == [("dead", 2), ("duplicate", 3)]
    assert list(tmp_path.iterdir()) == []


def test_findings_can_be_warnings(tmp_path: Path) -> None:
    other = ARP.replace("drop", "normal")
    plan, result = outcome([WARP, MESH, ARP, other], tmp_path, on_finding="warn")
    assert [finding["kind"] for finding in result["findings"]] == ["dead", "duplicate"]
    assert [text.partition(": ")[0] for text in result["warnings"]] == [
        f"Bridge mesh, line 2 ({MESH})",
        f"Bridge mesh, line 3 ({ARP})",
    ]
    assert result["counts"]["added"] == 3
    assert "arp actions=normal" in plan.after
    assert "arp actions=drop" not in plan.after


def test_what_could_not_be_decided_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checker, "PAIRS", 0)
    _plan, result = outcome([WARP, "priority=100,arp,actions=drop"], tmp_path)
    assert [finding["kind"] for finding in result["findings"]] == ["undecided"]
    assert "Too many rules overlap" in result["warnings"][0]


def test_without_open_vswitch_the_given_text_is_checked(tmp_path: Path) -> None:
    spec = flows_spec(
        {
            **dict.fromkeys(("exclusive", "force", "flush_revoked"), False),
            **{"bridge": "mesh", "flows": [WARP, MESH], "ports": PORTS, "origins": {}, "owner": 1, "ct_zone": None},
            **{"durable": str(tmp_path / "mesh.flows"), "on_finding": "fail", "given": []},
        }
    )
    with pytest.raises(FindingsError, match="1 finding about"):
        flow_table.present(Recorded({}), spec, True)


def test_a_finding_tells_where_the_rule_comes_from() -> None:
    cookie = "cookie=0x6f6f000000000005,"
    report = checked([WARP, cookie + MESH], {0x6F6F000000000005: "oo1424oo: line 7"})
    (finding,) = report.findings
    assert finding["origin"] == "oo1424oo: line 7"
    assert f"({cookie}{MESH}) from oo1424oo: line 7: Never acts" in report.warnings[0]


def test_a_rule_that_somebody_wrote_is_told_as_it_was_written(tmp_path: Path) -> None:
    """With the line and text of the list, and in a diff."""
    origins = {"0x6f6f000000000005": "oo1424oo: list line 14"}
    given = [{"line": 5, "text": "to warp"}, {"line": 14, "text": "to nm"}]
    cookie = f"cookie=0x6f6f000000000005,{MESH}"
    plan, result = outcome([WARP, cookie], tmp_path, on_finding="warn", given=given, origins=origins)
    assert result["warnings"][0].startswith(
        "Bridge mesh, oo1424oo: list line 14 (to nm): Never acts: every packet that it matches is taken by "
        "line 5 (to warp), of higher priority."
    )
    (finding,) = result["findings"]
    assert (finding["line"], finding["rule"]) == (14, "to nm")
    assert "# 0x6f6f000000000005 oo1424oo: list line 14 (dead, see the findings)\n" in plan.after


def test_numbers_of_ports_are_checked_where_ports_are_told() -> None:
    lines = ["priority=1,in_port=7,actions=output:LOCAL"]
    assert [finding["kind"] for finding in checked(lines).findings] == ["no_such_port"]
    assert checked(lines, ports={}).findings == ()


def test_what_is_not_understood_is_said_and_never_accused() -> None:
    report = checked([UNKNOWN, WARP, MESH])
    assert [finding["line"] for finding in report.findings] == [3]
    assert (
        f"line 1 ({UNKNOWN}) is not checked, as the checker says: the field 'tun_id' is unknown" in report.warnings[-1]
    )
    assert not report.sound


def test_what_is_not_understood_may_settle_other_rules() -> None:
    """It may take the packets of an ambiguous pair, and lead to a table that nothing else leads to."""
    one = "table=3,priority=5,in_port=32870,actions=drop"
    two = "table=3,priority=5,ip,actions=normal"
    lost = [one, two, "table=4,priority=5,actions=goto_table:9"]
    kinds = [finding["kind"] for finding in checked(lost).findings]
    assert kinds == ["unreachable_table", "ambiguous", "unreachable_table", "goto_nowhere"]
    assert checked([*lost, f"table=3,{UNKNOWN}"]).findings == ()
    assert [finding["kind"] for finding in checked([*lost, f"table=2,{UNKNOWN}"]).findings] == ["ambiguous"]
    low = UNKNOWN.replace("=200", "=5")
    assert [finding["kind"] for finding in checked([*lost, f"table=3,{low}"]).findings] == ["ambiguous"]


def test_only_so_many_findings_are_told() -> None:
    lines = [WARP] + [MESH.replace("=80", f"={priority}") for priority in range(1, 31)]
    report = checked(lines)
    assert len(report.findings) == 30
    assert len(report.warnings) == flow_check.LISTED + 1
    assert report.warnings[-1] == "Bridge mesh, and 10 more, in the returned findings."


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The bridges that the checker is asked about from here on."""
    asked: list[str] = []
    real = flow_check.checked

    def counted(bridge: str, *arguments: Any, **more: Any) -> Report:
        asked.append(bridge)
        return real(bridge, *arguments, **more)

    monkeypatch.setattr(flow_table, "checked", counted)
    return asked


def keep(tmp_path: Path, lines: list[str], **params: Any) -> None:
    """Have the durable file of ``lines`` written, as by a run that succeeded."""
    plan, _result = outcome(lines, tmp_path, **params)
    (step,) = [step for step in plan.steps if "mesh.flows" in step.action]
    step.apply()


def test_the_same_rules_are_not_checked_again(tmp_path: Path, questions: list[str]) -> None:
    keep(tmp_path, [WARP, ARP])
    assert questions == ["mesh"]
    assert "# Checked, and nothing was found (" in (tmp_path / "mesh.flows").read_text()
    _plan, result = outcome([WARP, ARP], tmp_path)
    assert (questions, result["findings"]) == (["mesh"], [])


CHANGES: list[dict[str, Any]] = [{"lines": [WARP]}, {"ports": {**PORTS, "veth7": 7}}, {"version": 99}]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_anything_else_is_checked_again(
    tmp_path: Path, questions: list[str], monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    keep(tmp_path, [WARP, ARP])
    if "version" in change:
        monkeypatch.setattr(flow_check, "VERSION", change["version"])
    more = {name: value for name, value in change.items() if name == "ports"}
    outcome(change.get("lines", [WARP, ARP]), tmp_path, **more)
    assert questions == ["mesh", "mesh"]


@pytest.mark.parametrize("lines", [[WARP, MESH], [WARP, UNKNOWN]], ids=["finding", "unread"])
def test_a_finding_is_told_on_every_run(tmp_path: Path, questions: list[str], lines: list[str]) -> None:
    keep(tmp_path, lines, on_finding="warn")
    plan, result = outcome(lines, tmp_path, on_finding="warn")
    assert len(result["warnings"]) == 1
    assert questions == ["mesh", "mesh"]
    assert not [step for step in plan.steps if "mesh.flows" in step.action]


@pytest.mark.parametrize(("fleet", "host"), HOSTS)
def test_compiled_rules_are_sound(fleet: str, host: str) -> None:
    for name, bridge in compile_flows(FLEETS[fleet], host).items():
        texts = bridge["flows"]
        for port, number in bridge["ports"].items():
            texts = [line.replace(f'"{port}"', str(number)) for line in texts]
        origins = {int(cookie, 0): origin for cookie, origin in bridge["origins"].items()}
        assert flow_check.checked(name, texts, list(enumerate(texts, 1)), ports=bridge["ports"], origins=origins).sound


def test_the_module_says_what_the_filter_says() -> None:
    lines = [line.replace('"', "") for line in (WARP, MESH, LEARN)]
    said = list(checked(lines, ports={}).findings)
    assert said == [{**finding, "bridge": "mesh"} for finding in check_flows(lines)]
    assert len(said) == 2
