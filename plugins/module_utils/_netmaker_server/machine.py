# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""systemd units as they are on the host, and the steps that bring them to where they should be."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from .._errors import SocketNetworkError
from .._plan import Step
from .._runner import Runner

_PROPERTIES = "Id,LoadState,ActiveState,UnitFileState,NeedDaemonReload,ExecMainStartTimestamp"


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit as systemd knows it. ``started`` is the time at which its program started, in seconds since 1970."""

    name: str
    loaded: bool = False
    active: bool = False
    enabled: bool = False
    reload: bool = False
    started: float = 0.0

    def older_than(self, paths: Iterable[str]) -> bool:
        """Whether one of ``paths`` was written after the program had read it."""
        return any(os.stat(path).st_ctime > self.started for path in paths if Path(path).exists())


def read_units(runner: Runner, names: Sequence[str]) -> dict[str, Unit]:
    """The state of each of ``names``; a unit that systemd does not know is there, too, and not loaded."""
    argv = ["systemctl", "show", f"--property={_PROPERTIES}", "--timestamp=us+utc", *names]
    text = runner.run(argv, what="Reading the state of the units").stdout
    blocks = [dict(line.split("=", 1) for line in block.splitlines()) for block in text.split("\n\n") if block.strip()]
    units = {name: Unit(name) for name in names}
    for block in blocks:
        units[block["Id"]] = Unit(
            block["Id"],
            loaded=block["LoadState"] == "loaded",
            active=block["ActiveState"] == "active",
            enabled=block.get("UnitFileState") == "enabled",
            reload=block.get("NeedDaemonReload") == "yes",
            started=_seconds(block.get("ExecMainStartTimestamp", "")),
        )
    return units


def _seconds(stamp: str) -> float:
    """``Sun 2026-11-22 07:14:13.123456 UTC`` in seconds; 0 for a program that never ran."""
    words = stamp.split()
    if len(words) < 3:
        return 0.0
    form = "%Y-%m-%d %H:%M:%S.%f" if "." in words[2] else "%Y-%m-%d %H:%M:%S"
    return (datetime.strptime(f"{words[1]} {words[2]}", form) - datetime(1970, 1, 1)).total_seconds()


class Machine:
    """Steps over systemd. ``units`` is what was found."""

    def __init__(self, runner: Runner, units: dict[str, Unit]) -> None:
        self.runner = runner
        self.units = units

    def systemctl(self, *words: str) -> None:
        """What the unit said goes into the error: systemctl itself only tells where to look."""
        done = self.runner.run(["systemctl", *words], ok=range(256), what="Running systemctl")
        if done.rc:
            argv = ["journalctl", "--unit", words[-1], "--lines=6", "--output=cat", "--quiet"]
            said = self.runner.run(argv, ok=(0, 1), what="Reading the journal").stdout.strip()
            raise SocketNetworkError(
                f"`systemctl {' '.join(words)}` failed: {done.stderr.strip()} The unit said: {said or 'nothing'}",
                fix=f"mend what it complains about, see `journalctl -u {words[-1]}`, and run again.",
            )

    def run(self, name: str, *, again: bool, verb: str = "restart") -> list[Step]:
        """Enable and start ``name``; ``again`` restarts (or, by ``verb``, reloads) one that is active already."""
        unit = self.units[name]
        steps = []
        if not unit.enabled:
            steps.append(Step(f"enable {name}", lambda: self.systemctl("enable", "--quiet", name)))
        if not unit.active:
            steps.append(Step(f"start {name}", lambda: self.restart(name)))
        elif again:
            steps.append(Step(f"{verb} {name}", lambda: self.systemctl(verb, name)))
        return steps

    def restart(self, name: str) -> None:
        """Also a unit that failed too often, or that is trying to start."""
        self.runner.run(["systemctl", "reset-failed", name], ok=(0, 1), what=f"Resetting {name}")
        self.systemctl("restart", name)

    def end(self, names: Iterable[str]) -> list[Step]:
        """Stop and disable what runs or starts at boot."""
        return [
            Step(f"stop {name}", lambda name=name: self.systemctl("disable", "--quiet", "--now", name))  # type: ignore[misc]
            for name in names
            if self.units[name].active or self.units[name].enabled
        ]
