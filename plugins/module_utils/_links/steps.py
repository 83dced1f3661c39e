# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""The single changes that plans of the link layer are made of."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from .._files import FileSpec, write_atomic
from .._files import found as found_file
from .._plan import Plan, Step
from .._runner import Runner
from .drift import Drift
from .found import Found, Unit, list_table, read_setting
from .runtime import MAIN_TABLE, Route, Rule
from .settings import TABLE, Paths


def rule_words(rule: Rule) -> list[str]:
    """The rule as `ip rule` takes it."""
    return ["priority", str(rule.priority), "iif", rule.iif, "lookup", str(rule.table)]


def route_words(route: Route) -> list[str]:
    """The route as `ip route` takes it."""
    words = route.how.split()
    kind = [words.pop(0)] if words and words[0] not in ("via", "scope", "metric") else []
    by = [] if route.device is None else ["dev", route.device]
    table = "main" if route.table == MAIN_TABLE else str(route.table)
    return [*kind, str(route.destination), *by, *words, "table", table]


def removal(runner: Runner, drift: Drift) -> Plan:
    """Take away what is surplus: links first, so that nothing comes in any more when its rules go.

    Routes of a deleted link go with it, and systemd-networkd may be quicker with the rest: "not there" is no failure.
    """

    def delete(argv: Sequence[str]) -> None:
        runner.run(["ip", *argv], ok=(0, 1, 2), what="Removing what is no longer wanted")

    peers = {link.peer for link in drift.surplus_links}
    links = [link for link in drift.surplus_links if link.name not in peers or link.name < link.peer]
    deleted = {name for link in links for name in (link.name, link.peer)}
    commands = [(f"delete {link}", ["link", "delete", link.name]) for link in links]
    commands += [(f"delete {rule}", ["-4", "rule", "delete", *rule_words(rule)]) for rule in drift.surplus_rules]
    commands += [
        (f"delete {route}", ["-4", "route", "delete", *route_words(route)])
        for route in drift.surplus_routes
        if route.device not in deleted
    ]
    return Plan(tuple(Step(action, partial(delete, argv)) for action, argv in commands))


def _recorded(ruleset: str, listing: str) -> str:
    return f"# sha256 of the ruleset file: {hashlib.sha256(ruleset.encode()).hexdigest()}\n{listing}"


def load_table(runner: Runner, paths: Paths, found: Found, ruleset: FileSpec) -> Plan:
    """Load the table unless the kernel lists it word for word as it did after we had loaded this very file."""

    def load() -> None:
        runner.run(["nft", "-f", ruleset.path], what=f"Loading {ruleset.path}")
        write_atomic(paths.loaded, _recorded(ruleset.content, list_table(runner) or ""), 0o600)

    record = found_file(paths.loaded)
    if found.table is not None and record is not None and record.content == _recorded(ruleset.content, found.table):
        return Plan()
    before = found.table or ""
    return Plan((Step(f"load nftables table inet {TABLE}", load),), before, f"table inet {TABLE} from {ruleset.path}\n")


def delete_table(runner: Runner, found: Found) -> Plan:
    if found.table is None:
        return Plan()

    def delete() -> None:
        runner.run(["nft", "delete", "table", "inet", TABLE], what="Deleting the nftables table")

    return Plan((Step(f"delete nftables table inet {TABLE}", delete),), before=found.table)


def set_kernel(paths: Paths, wanted: dict[str, str], *, coming: frozenset[str] = frozenset()) -> Plan:
    """Write values below /proc/sys that differ. Those of a link that is not there count only if it is ``coming``."""
    steps, before, after = [], [], []

    def write(key: str, value: str) -> None:
        if read_setting(paths, key) != value:
            (Path(paths.proc_sys) / key).write_text(f"{value}\n", encoding="ascii")

    for key, value in sorted(wanted.items()):
        have = read_setting(paths, key)
        if have == value or (have is None and coming.isdisjoint(key.split("/"))):
            continue
        steps.append(Step(f"set {key} to {value}", partial(write, key, value)))
        after.append(f"{key} = {value}\n")
        if have is not None:
            before.append(f"{key} = {have}\n")
    return Plan(tuple(steps), "".join(before), "".join(after))


def reload_systemd(runner: Runner, changed: bool) -> Plan:
    if not changed:
        return Plan()

    def reload() -> None:
        runner.run(["systemctl", "daemon-reload"], what="Reloading systemd")

    return Plan((Step("reload systemd", reload),))


def start_unit(runner: Runner, found: Found, name: str) -> Plan:
    unit = found.units.get(name, Unit())
    if unit.active and unit.enabled:
        return Plan()

    def start() -> None:
        runner.run(["systemctl", "enable", "--now", name], what=f"Starting {name}")

    return Plan((Step(f"enable and start {name}", start),), after=f"unit {name} enabled and active\n")


def stop_unit(runner: Runner, found: Found, name: str) -> Plan:
    unit = found.units.get(name, Unit())
    if not unit.active and not unit.enabled:
        return Plan()

    def stop() -> None:
        runner.run(["systemctl", "disable", "--now", name], what=f"Stopping {name}")

    return Plan((Step(f"disable and stop {name}", stop),), before=f"unit {name} enabled or active\n")
