# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of a container: as Proxmox reads it and, always in the same order, writes it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import re
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .failure import Failure

NODE = "pve"
CONFIGS = Path("/etc/pve/lxc")
GUESTS = Path("/etc/pve/.vmlist")
LOCKS = Path("/run/lock/lxc")
LOCK_SECONDS = 10.0
KEPT = "".join(map(chr, range(0x20, 0x7F))).replace(":", "").replace("%", "")


@dataclass
class Section:
    """The container itself, what is pending for it, or a snapshot."""

    values: dict[str, str] = field(default_factory=dict)
    raw: list[tuple[str, str]] = field(default_factory=list)
    description: str = ""

    def text(self) -> str:
        lines = ["#" + urllib.parse.quote(line, safe=KEPT) for line in self.description.splitlines()]
        lines += [f"{key}: {self.values[key]}" for key in sorted(self.values)]
        lines += [f"{key}: {value}" for key, value in self.raw]
        return "".join(line + "\n" for line in lines)


@dataclass
class Config:
    current: Section = field(default_factory=Section)
    pending: Section = field(default_factory=Section)
    snapshots: dict[str, Section] = field(default_factory=dict)

    def text(self) -> str:
        text = self.current.text()
        if self.pending.values or self.pending.description:
            text += "\n[pve:pending]\n" + self.pending.text()
        return text + "".join(f"\n[{name}]\n{self.snapshots[name].text()}" for name in sorted(self.snapshots))

    def check_lock(self) -> None:
        if "lock" in self.current.values:
            raise Failure(f"CT is locked ({self.current.values['lock']})")


def path(vmid: str) -> Path:
    return CONFIGS / f"{vmid}.conf"


def load(vmid: str) -> Config:
    if not path(vmid).exists():
        raise Failure(f"Configuration file 'nodes/{NODE}/lxc/{vmid}.conf' does not exist", status=2)
    config = Config()
    section = config.current
    for line in path(vmid).read_text(encoding="utf-8").splitlines():
        if line.lower().strip() == "[pve:pending]":
            section = config.pending
        elif header := re.fullmatch(r"\[([A-Za-z][\w-]+)\]\s*", line):
            section = config.snapshots[header[1]] = Section()
        elif line.startswith("#"):
            section.description += urllib.parse.unquote(line[1:]) + "\n"
        elif raw := re.fullmatch(r"(lxc\.[a-z0-9_.-]+)(:|\s*=)\s*(.*?)\s*", line):
            section.raw.append((raw[1], raw[3]))
        elif option := re.fullmatch(r"([a-z][a-z_]*\d*):\s*(.+?)\s*", line):
            section.values[option[1]] = option[2]
    return config


def save(vmid: str, config: Config) -> None:
    CONFIGS.mkdir(parents=True, exist_ok=True)
    path(vmid).write_text(config.text(), encoding="utf-8")
    _list_guests()


def remove(vmid: str) -> None:
    path(vmid).unlink()
    _list_guests()


def vmids() -> list[str]:
    return sorted((file.stem for file in CONFIGS.glob("*.conf")), key=int)


def check_unused(vmid: str) -> None:
    guest = _guests().get(vmid)
    if guest:
        kind = "VM" if guest["type"] == "qemu" else "CT"
        raise Failure(f"{kind} {vmid} already exists on node '{guest['node']}'")


@contextlib.contextmanager
def locked(vmid: str) -> Iterator[None]:
    LOCKS.mkdir(parents=True, exist_ok=True)
    name = LOCKS / f"pve-config-{vmid}.lock"
    deadline = time.monotonic() + LOCK_SECONDS
    with name.open("a") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Failure(f"trying to acquire lock...\ncan't lock file '{name}' - got timeout") from None
                time.sleep(0.05)
        yield


def _guests() -> dict[str, dict[str, str]]:
    return json.loads(GUESTS.read_text())["ids"] if GUESTS.exists() else {}


def _list_guests() -> None:
    """The cluster's list: containers of this node as they are, everything else as it was."""
    others = {vmid: guest for vmid, guest in _guests().items() if (guest["node"], guest["type"]) != (NODE, "lxc")}
    own = {vmid: {"node": NODE, "type": "lxc", "version": 1} for vmid in vmids()}
    GUESTS.write_text(json.dumps({"version": 1, "ids": {**others, **own}}, indent=0))
