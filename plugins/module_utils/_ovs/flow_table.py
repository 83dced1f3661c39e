# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Drives the flows of one bridge: validate, read, compare, apply one atomic bundle, read again."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from .._core.identity import COOKIE_OWNER
from .._errors import RefusedError, SocketNetworkError
from .._files import FileSpec, found, plan_files
from .._plan import Plan, Step
from .._runner import Runner
from . import conntrack
from .bridge import switch_or_nothing
from .bridge_plan import FAIL_MODE, REQUIRED_PROTOCOL, check_name, check_ofports, plan_properties, refuse_controller
from .flow_check import Report, checked, mark
from .flow_plan import Changes, bundle, compare, differing_keys, listing, refuse_collisions
from .flow_reach import Reachability, reachability
from .flows import (
    OFCTL,
    Flow,
    canonical,
    check_lines,
    owned,
    parse_dump,
    refuse_twins,
    split,
    with_names,
    with_numbers,
)
from .vsctl import Bridge, NoSwitchError, run_tool, transact

FLOWS_DIRECTORY = "/var/lib/op-dbus/flows"

_ANY_PROTOCOL = ",".join(f"OpenFlow1{minor}" for minor in range(6))


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowsSpec:
    """The flows wanted on a bridge. ``flows`` name ports in double quotes; ``ports`` pins their numbers.

    ``origins`` tells by cookie which line of the inventory asked for a flow. ``owner`` is the upper 16 bits of our
    cookies. ``durable`` is the file that the replay after a restart of ovs-vswitchd reads. ``on_finding`` is `fail`
    or `warn`: what to do when the checker finds something wrong. ``given`` tells line and text of each flow as
    somebody wrote it; without it flows count from 1. ``tell_reachability``: say what changed flows open and close.
    """

    bridge: str
    flows: tuple[str, ...] = ()
    ports: Mapping[str, int] = field(default_factory=dict)
    origins: Mapping[int, str] = field(default_factory=dict)
    owner: int = COOKIE_OWNER
    exclusive: bool = False
    force: bool = False
    flush_revoked: bool = False
    ct_zone: int | None = None
    durable: str = ""
    on_finding: str = "fail"
    given: tuple[tuple[int, str], ...] = ()
    tell_reachability: bool = False

    @property
    def told(self) -> tuple[tuple[int, str], ...]:
        """Line and text of each flow, as messages tell it."""
        return self.given or tuple(enumerate(self.flows, 1))

    @property
    def file(self) -> str:
        return self.durable or f"{FLOWS_DIRECTORY}/{self.bridge}.flows"

    @property
    def names(self) -> dict[int, str]:
        return {number: name for name, number in self.ports.items()}


Outcome = tuple[Plan, dict[str, Any]]
"""A plan, and what the module returns beside it; applying the plan completes the latter."""


def check_spec(spec: FlowsSpec) -> None:
    """Refuse a specification that is wrong by itself."""
    check_name(spec.bridge, "Bridge")
    check_ofports(sorted(spec.ports.items()), spec.bridge)
    check_lines(spec.flows)
    if not 1 <= spec.owner <= 0xFFFF:
        raise RefusedError(f"Cookie owner {spec.owner:#x} is out of range.", fix="use a number from 1 to 0xffff.")
    if spec.ct_zone is not None and not 1 <= spec.ct_zone <= 0xFFFF:
        raise RefusedError(
            f"Conntrack zone {spec.ct_zone} is out of range.", fix="use 1 to 65535; zone 0 is the host's own."
        )
    if spec.flush_revoked and spec.ct_zone is None:
        raise RefusedError("flush_revoked needs to know the conntrack zone of the bridge.", fix="set ct_zone.")
    if spec.given and len(spec.given) != len(spec.flows):
        raise RefusedError(
            f"There are {len(spec.flows)} flows, but {len(spec.given)} items in given.", fix="give one for each flow."
        )
    if not Path(spec.file).is_absolute():
        raise RefusedError(f"Path {spec.file!r} of the durable file is not absolute.", fix="start it with a slash.")


def validated(runner: Runner, spec: FlowsSpec, durable: str = "") -> tuple[list[Flow], Report]:
    """The wanted flows in canonical text and the checker's word on them. Needs no bridge.

    Refuses a bad line by its number, and findings unless they shall be warnings; then a flow that a later one replaces
    is left out. ``durable`` is the text of the file of the last run: what stands there unchanged, marked as checked,
    is not checked again, as nothing but flows and port numbers goes into a check.
    """
    lines = with_numbers(spec.flows, spec.ports)
    flows = owned(canonical(runner, lines), spec.flows, spec.owner)
    report = Report(spec.bridge)
    if not durable or durable != _durable_text(spec, flows, report):
        texts = [flow.text for flow in flows]
        report = checked(spec.bridge, texts, spec.told, ports=spec.ports, origins=spec.origins)
    if spec.on_finding == "fail":
        report.refuse()
    report = report.by_cookie(flow.cookie for flow in flows)
    replaced = report.replaced
    kept = [number for number in range(len(flows)) if number + 1 not in replaced]
    flows = [flows[number] for number in kept]
    refuse_twins(flows, [spec.flows[number] for number in kept])
    return flows, report


def rendered(runner: Runner, spec: FlowsSpec) -> dict[str, Any]:
    """The wanted flows as the switch would store them."""
    check_spec(spec)
    flows, report = validated(runner, spec)
    return {
        "rendered": [flow.text for flow in sorted(flows, key=lambda flow: flow.order)],
        "findings": list(report.findings),
        "reachability": Reachability().result(),
        "warnings": report.warnings,
    }


def gathered(runner: Runner, spec: FlowsSpec, check_mode: bool) -> dict[str, Any]:
    """Our flows as they are on the bridge, with port names, and the number of foreign ones."""
    check_spec(spec)
    have = switch_or_nothing(runner, check_mode).bridges.get(spec.bridge)
    ours, foreign = split(_dump(runner, have), spec.owner) if have else ([], [])
    names = {port.ofport: port.known_as for port in have.ports.values() if port.ofport} if have else {}
    texts = [with_names(flow.text, names) for flow in sorted(ours, key=lambda flow: flow.order)]
    return {"flows": texts, "counts": _counts(Changes(unchanged=len(ours)), foreign)}


def present(runner: Runner, spec: FlowsSpec, check_mode: bool) -> Outcome:
    """The plan that makes our flows on the bridge exactly ``spec.flows``."""
    check_spec(spec)
    durable = found(spec.file)
    try:
        want, report = validated(runner, spec, durable.content if durable else "")
    except NoSwitchError:
        if check_mode:
            return _unverified(spec)
        raise
    have = switch_or_nothing(runner, check_mode).bridges.get(spec.bridge)
    if have is None and not check_mode:
        raise RefusedError(f"Bridge {spec.bridge} does not exist.", fix="create it first with the module ovs_bridge.")
    warnings = _check_bridge(spec, have, check_mode) if have else []
    return _Run(runner, spec, want, None if have and have.error else have, report).outcome(warnings + report.warnings)


def absent(runner: Runner, spec: FlowsSpec) -> Outcome:
    """The plan that removes our flows and the durable file."""
    check_spec(spec)
    have = switch_or_nothing(runner, tolerant=True).bridges.get(spec.bridge)
    return _Run(runner, spec, None, have, Report(spec.bridge)).outcome([])


class _Run:
    """One comparison of the flows wanted (None: no flows and no file) with those of a bridge (None: not there)."""

    def __init__(
        self, runner: Runner, spec: FlowsSpec, want: list[Flow] | None, have: Bridge | None, report: Report
    ) -> None:
        self.runner, self.spec, self.have, self.report = runner, spec, have, report
        self.keep_file = want is not None
        self.want = want or []
        ours, foreign = split(self._found(), spec.owner)
        if spec.exclusive and self.keep_file:
            ours, foreign = ours + foreign, []
        elif not spec.force:
            refuse_collisions(self.want, foreign, spec.names)
        self.foreign = foreign
        self.changes = compare(ours, self.want, _differing(runner, ours, self.want))
        self.revoked = conntrack.revoked(self.changes, self._former(), self.want)
        told = bool(self.changes) and spec.tell_reachability
        self.reach = reachability(ours, self.want, spec.ports, spec.origins) if told else Reachability()
        self.result: dict[str, Any] = {}

    def _found(self) -> list[Flow]:
        """The flows on the bridge; none where we set fail_mode first, as Open vSwitch then drops all flows itself."""
        if self.have is None or (self.keep_file and self.have.fail_mode != FAIL_MODE):
            return []
        return _dump(self.runner, self.have)

    def _former(self) -> list[Flow]:
        """Our policy rules of the last complete run, which the durable file keeps."""
        durable = found(self.spec.file)
        return conntrack.policy_rules(durable.content, self.spec.owner) if durable else []

    def outcome(self, warnings: list[str]) -> Outcome:
        spec, changes = self.spec, self.changes
        told = self.report.origins(spec.origins)
        origins = {flow.cookie: spec.origins.get(flow.cookie, "") for flow in (*changes.after, *changes.before)}
        self.result = {
            "counts": _counts(changes, self.foreign),
            "revoked": [with_names(flow.text, spec.names) for flow in self.revoked],
            "flushed": 0,
            "origins": {f"{cookie:#018x}": text for cookie, text in sorted(origins.items()) if text},
            "datapath_type": self.have.datapath_type if self.have else None,
            "findings": list(self.report.findings),
            "reachability": self.reach.result(),
        }
        if warnings:
            self.result["warnings"] = warnings
        table = Plan(
            tuple(self._steps()),
            listing(changes.before, spec.names, spec.origins) + self.reach.before,
            listing(changes.after, spec.names, told) + self.reach.after,
        )
        return table + self._durable(), self.result

    def _steps(self) -> list[Step]:
        steps: list[Step] = []
        if self.have is not None and self.keep_file:
            for change in plan_properties(self.have):
                steps.append(Step(change.action, partial(transact, self.runner, change.commands, change.action)))
        if self.changes:
            steps.append(Step(f"change flows of bridge {self.spec.bridge}: {self.changes.words}", self._apply))
        if self.revoked and self.spec.flush_revoked:
            steps.append(Step(f"cut connections of {len(self.revoked)} revoked rule(s)", self._flush))
        return steps

    def _durable(self) -> Plan:
        """The file changes last: until then it tells an interrupted run's successor what to revoke."""
        path = self.spec.file
        if not self.keep_file:
            return _without_text(plan_files([], [path]))
        return _without_text(plan_files([FileSpec(path, _durable_text(self.spec, self.want, self.report))]))

    def _apply(self) -> None:
        """One bundle, all or nothing; then compare again, as anything but convergence is a bug to be seen."""
        spec, what = self.spec, f"Changing the flows of bridge {self.spec.bridge}"
        if spec.exclusive and self.keep_file:
            argv = [*OFCTL, "--bundle", "replace-flows", spec.bridge, "-"]
            lines = [flow.text for flow in self.want]
        else:
            argv = [*OFCTL, "bundle", spec.bridge, "-"]
            lines = bundle(self.changes, self.want, spec.owner)
        run_tool(self.runner, argv, what, stdin="\n".join([*lines, ""]) or "\n")
        self._verify()

    def _verify(self) -> None:
        flows = parse_dump(run_tool(self.runner, _dump_argv(self.spec.bridge, REQUIRED_PROTOCOL), "Verifying").stdout)
        ours = flows if self.spec.exclusive and self.keep_file else split(flows, self.spec.owner)[0]
        left = compare(ours, self.want, _differing(self.runner, ours, self.want))
        if left:
            text = listing(left.before + left.after, self.spec.names, self.spec.origins)
            raise SocketNetworkError(
                f"The flows of bridge {self.spec.bridge} did not become what was sent ({left.words} left):\n{text}",
                fix="see that nothing else writes our flows, then report this with the flows above.",
            )

    def _flush(self) -> None:
        zone = self.spec.ct_zone
        if zone is not None:
            self.result["flushed"] = conntrack.flush(self.runner, zone, self.revoked)


def _check_bridge(spec: FlowsSpec, have: Bridge, check_mode: bool) -> list[str]:
    """Refuse a controller and wrong port numbers; in check mode, where ovs_bridge has changed nothing, warn of them."""
    refuse_controller(have)
    wrong = [have.error] if have.error else []
    for port in have.ports.values():
        pinned, holder = spec.ports.get(port.known_as), spec.names.get(port.ofport or -1)
        if port.ofport in (None, -1):
            continue
        if pinned is not None and pinned != port.ofport:
            wrong.append(f"port {port.name} has number {port.ofport}, but its flows use {pinned}")
        elif pinned is None and holder is not None:
            wrong.append(f"port {port.name} has number {port.ofport}, which belongs to {holder}")
    message = f"Bridge {have.name}: {'; '.join(wrong)}."
    if wrong and not check_mode:
        raise RefusedError(message, fix="run the module ovs_bridge first, with these ports and numbers.")
    return [message] if wrong else []


def _dump_argv(bridge: str, protocol: str) -> list[str]:
    return [*OFCTL[:-1], protocol, "--no-names", "--no-stats", "dump-flows", bridge]


def _dump(runner: Runner, have: Bridge) -> list[Flow]:
    """All flows of the bridge, in whatever protocol it speaks before we set its protocols."""
    protocol = REQUIRED_PROTOCOL if REQUIRED_PROTOCOL in have.protocols else _ANY_PROTOCOL
    return parse_dump(run_tool(runner, _dump_argv(have.name, protocol), f"Reading the flows of {have.name}").stdout)


def _differing(runner: Runner, have: Sequence[Flow], want: Sequence[Flow]) -> set[tuple[int, str]]:
    """Keys of the flows that differ. Of two different texts ovs-ofctl knows whether they mean the same."""
    wanted = {flow.key: flow for flow in want}
    both = ((flow, wanted[flow.key]) for flow in have if flow.key in wanted)
    pairs = [(flow, ours) for flow, ours in both if flow.stored != ours.stored]
    if not pairs:
        return set()
    with tempfile.TemporaryDirectory(prefix="op-dbus-flows-") as directory:
        paths = [f"{directory}/found", f"{directory}/wanted"]
        for path, flows in zip(paths, zip(*pairs, strict=True), strict=True):
            Path(path).write_text("".join(f"{flow.text}\n" for flow in flows), encoding="utf-8")
        result = run_tool(runner, [*OFCTL, "diff-flows", *paths], "Comparing flows", ok=(0, 2))
    return differing_keys(result.stdout)


def _counts(changes: Changes, foreign: Sequence[Flow]) -> dict[str, int]:
    return {
        "added": len(changes.added),
        "removed": len(changes.removed),
        "modified": len(changes.modified),
        "unchanged": changes.unchanged,
        "foreign": len(foreign),
    }


def _durable_text(spec: FlowsSpec, flows: Sequence[Flow], report: Report) -> str:
    """The durable file. It is marked when nothing was found, so that the next run need not check the same again."""
    head = f"# Flows of bridge {spec.bridge}, replayed when ovs-vswitchd starts; written by ovs_bridge_flows.\n"
    lines = [f"{flow.text}\n" for flow in sorted(flows, key=lambda flow: flow.order)]
    return "".join([head, mark(spec.ports) if report.sound else "", *lines])


def _without_text(plan: Plan) -> Plan:
    """The durable file repeats the flows, so it is left out of the diff."""
    return Plan(plan.steps)


def _unverified(spec: FlowsSpec) -> Outcome:
    """Check mode before Open vSwitch is installed: everything would be added; ovs-ofctl will judge it later."""
    lines = with_numbers(spec.flows, spec.ports)
    report = checked(spec.bridge, lines, spec.told, ports=spec.ports, origins=spec.origins)
    if spec.on_finding == "fail":
        report.refuse()
    steps = (
        Step(f"change flows of bridge {spec.bridge}: add {len(spec.flows)}", lambda: None),
        Step(f"create {spec.file}", lambda: None),
    )
    result = {
        "counts": {**_counts(Changes(), []), "added": len(spec.flows)},
        "revoked": [],
        "flushed": 0,
        "origins": {},
        "datapath_type": None,
        "findings": list(report.findings),
        "reachability": Reachability().result(),
        "warnings": report.warnings,
    }
    return Plan(steps, "", "".join(f"{line}\n" for line in sorted(spec.flows))), result
