# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Plans and applies the link layer of one host: files and runtime in one go."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from .._errors import SocketNetworkError
from .._files import FileSpec, plan_files
from .._plan import Plan, Step, combine
from .._runner import Runner
from . import drift as drifting
from . import steps
from .drift import Drift
from .found import Found, Unit, read, read_kernel
from .kernel import GLOBAL_SETTINGS, link_settings, sysctl_file
from .layer import LinkLayer
from .networkd import daemon_file, network_files
from .nftables import ruleset_file
from .settings import LINKS_UNIT, NETWORKD_UNIT, NFTABLES_UNIT, Paths
from .units import unit_files

PATIENCE = 8.0
"""Seconds that systemd-networkd gets: once, and once more after it has been told to configure the links again."""

_POLL = 0.1
_MADE = re.compile(r"op-dbus|\.(service|conf)\.d$")


@dataclass(frozen=True, slots=True)
class Driver:
    """Works on one host. ``predicting`` (check mode) takes a missing tool as "nothing is there yet"."""

    runner: Runner
    paths: Paths = field(default_factory=Paths)
    predicting: bool = False
    pause: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def present(self, layer: LinkLayer, files: Sequence[FileSpec] = ()) -> Plan:
        """Plan that makes the host's link layer exactly ``layer``, with ``files`` beside its own.

        The filter stands before the first link does.
        """
        found = read(self.runner, predicting=self.predicting)
        network = network_files(self.paths, layer)
        ruleset = ruleset_file(self.paths, layer)
        stale = drifting.remains(self.paths, [spec.path for spec in network])
        drift = drifting.compare(self.paths, layer, found.kernel, stale)
        networks = plan_files(network, stale.files)
        daemon = plan_files([daemon_file(self.paths)])
        units = plan_files([*unit_files(self.paths, layer), *files])
        coming = frozenset(link.name for link in drift.missing_links)
        return combine(
            [
                plan_files([ruleset, sysctl_file(self.paths, layer)]),
                steps.load_table(self.runner, self.paths, found, ruleset),
                steps.set_kernel(self.paths, GLOBAL_SETTINGS),
                units,
                steps.reload_systemd(self.runner, units.changed),
                steps.start_unit(self.runner, found, NFTABLES_UNIT),
                steps.removal(self.runner, drift),
                networks,
                daemon,
                self._bring_up(layer, drift, self._networkd_command(found, daemon.changed, networks.changed, coming)),
                steps.set_kernel(self.paths, link_settings(layer), coming=coming),
                steps.start_unit(self.runner, found, LINKS_UNIT),
            ]
        )

    def absent(self, files: Sequence[FileSpec] = ()) -> Plan:
        """Plan that removes what `present` makes. ``ip_forward`` stays as it is: others may have come to need it."""
        found = read(self.runner, predicting=self.predicting)
        stale = drifting.remains(self.paths, ())
        drift = drifting.compare(self.paths, LinkLayer(), found.kernel, stale)
        names = [self.paths.unit(name) for name in (NFTABLES_UNIT, LINKS_UNIT)]
        units = plan_files((), [*names, self.paths.flusher, *(spec.path for spec in files)])
        networks = plan_files((), stale.files)
        others = (self.paths.ruleset, self.paths.loaded, self.paths.sysctl, self.paths.daemon)
        reload = ["networkctl", "reload"] if networks.changed and self._networkd(found).active else []
        plan = combine(
            [
                *(steps.stop_unit(self.runner, found, name) for name in (LINKS_UNIT, NFTABLES_UNIT)),
                steps.removal(self.runner, drift),
                networks,
                self._bring_up(LinkLayer(), drift, reload),
                steps.delete_table(self.runner, found),
                units,
                steps.reload_systemd(self.runner, units.changed),
                plan_files((), others),
            ]
        )
        tidy = Step(
            "remove directories left empty",
            partial(_tidy, [*others, self.paths.flusher, *(spec.path for spec in files)], self.paths.flows),
        )
        return plan + Plan((tidy,)) if plan.changed else plan

    def gathered(self) -> dict[str, object]:
        """What is there of ours, in words: links, rules, routes, and the nftables table as text."""
        found = read(self.runner, predicting=self.predicting)
        ours = drifting.compare(self.paths, LinkLayer(), found.kernel, drifting.remains(self.paths, ()))
        return {
            "links": [str(link) for link in ours.surplus_links],
            "rules": [str(rule) for rule in ours.surplus_rules],
            "routes": [str(route) for route in ours.surplus_routes],
            "table": found.table,
        }

    def _networkd(self, found: Found) -> Unit:
        return found.units.get(NETWORKD_UNIT, Unit())

    def _networkd_command(
        self, found: Found, daemon_changed: bool, files_changed: bool, coming: frozenset[str]
    ) -> list[str]:
        """How systemd-networkd gets to know: its own settings are read at start only; reloading makes missing links."""
        if not self._networkd(found).active:
            return ["systemctl", "start", NETWORKD_UNIT]
        if daemon_changed:
            return ["systemctl", "restart", NETWORKD_UNIT]
        return ["networkctl", "reload"] if files_changed or coming else []

    def _bring_up(self, layer: LinkLayer, drift: Drift, command: Sequence[str]) -> Plan:
        """One step: tell systemd-networkd, then wait until links, rules and routes are there."""
        if not (command or drift.lacking):
            return Plan(before=_lines(drift.before))

        def bring_up() -> None:
            if command:
                self.runner.run(command, what="Telling systemd-networkd")
            else:
                self._reconfigure(layer, drift)
            left = self._wait(layer)
            if left.lacking:
                self._reconfigure(layer, left)
                left = self._wait(layer)
            _check(left)

        words = "; ".join(drift.lacking) or " ".join(command)
        step = Step(f"have systemd-networkd make {words}" if drift.lacking else words, bring_up)
        return Plan((step,), _lines(drift.before), _lines(drift.after))

    def _reconfigure(self, layer: LinkLayer, drift: Drift) -> None:
        names = drifting.concerned(layer, drift)
        if names:
            self.runner.run(["networkctl", "reconfigure", *names], what="Telling systemd-networkd")

    def _wait(self, layer: LinkLayer) -> Drift:
        """What still differs when everything is there or patience is over."""
        stale = drifting.remains(self.paths, [spec.path for spec in network_files(self.paths, layer)])
        deadline = self.clock() + PATIENCE
        while True:
            left = drifting.compare(self.paths, layer, read_kernel(self.runner), stale)
            if not (left.lacking or left.lingering) or self.clock() >= deadline:
                return left
            self.pause(_POLL)


def _tidy(paths: Sequence[str], flows: str) -> None:
    """Remove the directories that `present` may have made for ``paths``, deepest first, where nothing else is left."""
    directories = {parent for path in paths for parent in Path(path).parents if _MADE.search(str(parent))}
    directories.add(Path(flows))
    for directory in sorted(directories, key=lambda item: len(item.parts), reverse=True):
        with suppress(OSError):
            directory.rmdir()


def _lines(words: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in words)


def _check(left: Drift) -> None:
    if left.lacking:
        raise SocketNetworkError(
            f"systemd-networkd has not made: {'; '.join(left.lacking)}.",
            fix="see `networkctl status LINK` and `journalctl -u systemd-networkd`; a .network file that sorts before"
            " 50-op-dbus- may match the link.",
        )
    if left.lingering:
        raise SocketNetworkError(
            f"Still there, though no longer wanted: {'; '.join(left.lingering)}.",
            fix="find out who makes it again: `ip monitor`, `journalctl -u systemd-networkd`.",
        )
