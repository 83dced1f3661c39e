# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What the host can give a container: cgroup controllers to hold its limits, and user ids for its users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .._errors import RefusedError
from .._files import FileSpec
from .config import FIRST_ID, IDS, Limits, wanted_limits
from .spec import ContainerSpec

CGROUPS = "/sys/fs/cgroup"
SUBORDINATE_IDS = ("/etc/subuid", "/etc/subgid")


@dataclass(frozen=True, slots=True)
class Cgroups:
    """The host's cgroup tree. ``unified``: it is cgroup v2 alone; ``controllers`` are those of v2 that can be used."""

    unified: bool
    controllers: frozenset[str] = frozenset()


def cgroups(top: str = CGROUPS) -> Cgroups:
    try:
        words = Path(top, "cgroup.controllers").read_text(encoding="ascii").split()
    except OSError:
        return Cgroups(False)
    return Cgroups(True, frozenset(words))


def limits(spec: ContainerSpec, host: Cgroups, missing_controllers: str) -> tuple[Limits, tuple[str, ...]]:
    """The limits that ``host`` can hold, and a warning for each that is left out because it cannot.

    ``missing_controllers`` is `refuse` or `warn`.
    """
    wanted = wanted_limits(spec)
    held = tuple((name, text) for name, text in wanted if name.partition(".")[0] in host.controllers)
    lost = [f"{name} = {text}" for name, text in wanted if (name, text) not in held]
    devices = not host.unified and not spec.unprivileged
    problems = []
    if lost:
        tree = "its cgroup v2 tree lacks the controller" if host.unified else "its cgroup tree is not cgroup v2 alone"
        problems.append(f"Container {spec.name}: this host cannot hold {', '.join(lost)}: {tree}.")
    if devices:
        problems.append(f"Container {spec.name}: a privileged container cannot be denied devices on cgroup v1.")
    if problems and missing_controllers == "refuse":
        raise RefusedError(
            " ".join(problems),
            fix="boot the host with systemd.unified_cgroup_hierarchy=1, or set lxc_service_missing_controllers: warn "
            "to run the container without these limits.",
        )
    return Limits(held, clear_devices=devices), tuple(f"{problem} It runs without." for problem in problems)


def subordinate_ids(paths: Sequence[str] = SUBORDINATE_IDS) -> list[FileSpec]:
    """The id files with a range for root's unprivileged containers; newuidmap refuses to map without."""
    return [_with_range(path) for path in paths]


def _with_range(path: str) -> FileSpec:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        text = ""
    if any(_covers(line) for line in text.splitlines()):
        return FileSpec(path, text)
    separator = "" if not text or text.endswith("\n") else "\n"
    return FileSpec(path, f"{text}{separator}root:{FIRST_ID}:{IDS}\n")


def _covers(line: str) -> bool:
    owner, _colon, numbers = line.strip().partition(":")
    first, _separator, count = numbers.partition(":")
    if owner not in ("root", "0") or not first.isdigit() or not count.isdigit():
        return False
    return int(first) <= FIRST_ID and int(first) + int(count) >= FIRST_ID + IDS
