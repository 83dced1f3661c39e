# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""The file /etc/pve/lxc/VMID.conf: options, raw keys of LXC, notes, what waits for a restart, snapshots.

Shapes as in pve-container 6.1: `PVE::LXC::Config`, its reader and its writer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from .._lxc.config import Entry

_SECTION = re.compile(r"\[([A-Za-z][A-Za-z0-9_-]*)\]\s*")
_RAW = re.compile(r"(lxc\.[a-z0-9_.-]+)(?::|\s*=)\s*(.*?)\s*")
_OPTION = re.compile(r"([a-z][a-z_]*\d*):\s*(.+?)\s*")
_PENDING = "pve:pending"
_ENVIRONMENT = "lxc.environment"
_PLAIN = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) not in "%:")
_YES, _NO = ("1", "on", "yes", "true"), ("0", "off", "no", "false")


@dataclass(frozen=True, slots=True)
class Conf:
    """A container as Proxmox describes it. What `pending` and `deleted` name takes effect with the next start."""

    options: Mapping[str, str] = field(default_factory=dict)
    raw: tuple[Entry, ...] = ()
    notes: tuple[str, ...] = ()
    pending: Mapping[str, str] = field(default_factory=dict)
    deleted: frozenset[str] = frozenset()

    @property
    def lock(self) -> str:
        """Why Proxmox refuses changes at the moment, such as ``backup``; "" when it does not."""
        return self.options.get("lock", "")

    @property
    def is_unprivileged(self) -> bool:
        return boolean(self.options.get("unprivileged", "0")) == "1"

    @property
    def is_protected(self) -> bool:
        return boolean(self.options.get("protection", "0")) == "1"

    def value(self, key: str) -> str | None:
        """An option; ``description`` are the notes."""
        return "\n".join(self.notes) or None if key == "description" else self.options.get(key)


def parse(text: str) -> Conf:
    """Read the file. Lines that Proxmox would not take are left out, as it leaves them out."""
    options: dict[str, str] = {}
    pending: dict[str, str] = {}
    raw: list[Entry] = []
    notes: list[str] = []
    section = ""
    for line in text.splitlines():
        if (name := _section(line)) is not None:
            section = name
        elif section == "":
            _read_own(line, options, raw, notes)
        elif section == _PENDING and (found := _OPTION.fullmatch(line)):
            pending[found[1]] = found[2]
    deleted = frozenset(word.lstrip("!") for word in re.split(r"[,;\s]+", pending.pop("delete", "")) if word)
    return Conf(options, tuple(raw), tuple(notes), pending, deleted)


def with_raw(text: str, wanted: Mapping[str, str]) -> str:
    """The file with the raw keys ``wanted`` once each, last of the container's own; all else as it was."""
    lines = text.splitlines()
    end = next((number for number, line in enumerate(lines) if _section(line) is not None), len(lines))
    own = [line for line in lines[:end] if not _is_raw(line, wanted)]
    while own and not own[-1].strip():
        own.pop()
    own += [f"{key}: {value}" for key, value in wanted.items()]
    rest = ["", *lines[end:]] if end < len(lines) else []
    return "\n".join([*own, *rest]) + "\n"


def tokens(text: str | None) -> dict[str, str]:
    """The parts of an option such as ``name=eth0,bridge=mesh``."""
    parts = (part.partition("=") for part in (text or "").split(",") if part.strip())
    return {key.strip(): value for key, _equals, value in parts}


def joined(parts: Mapping[str, str], first: str = "") -> str:
    """Such an option as Proxmox writes it: the required part first, the others sorted."""
    order = sorted(parts, key=lambda key: (key != first, key))
    return ",".join(f"{key}={parts[key]}" for key in order)


def boolean(text: str) -> str:
    """1 or 0 for the words that Proxmox takes for them; anything else as it is."""
    word = text.lower()
    return "1" if word in _YES else "0" if word in _NO else text


def encoded(note: str) -> str:
    """A line of the notes as it stands behind the # of a comment."""
    return quote(note, safe=_PLAIN)


def lines(conf: Conf, note: str) -> list[str]:
    """The container's own part in Proxmox' order, for a diff. People keep passwords in their notes and in the guest's
    environment, so that of the notes only those are told that start with ``note``.
    """
    raw = (f"{key}: {'(not shown)' if key.startswith(_ENVIRONMENT) else value}" for key, value in conf.raw)
    options = (f"{key}: {value}" for key, value in sorted(conf.options.items()))
    return [*(f"#{encoded(one)}" for one in conf.notes if one.startswith(note)), *options, *raw]


def _section(line: str) -> str | None:
    if line.strip().lower() == f"[{_PENDING}]":
        return _PENDING
    found = _SECTION.fullmatch(line)
    return found[1] if found else None


def _is_raw(line: str, keys: Iterable[str]) -> bool:
    found = _RAW.fullmatch(line)
    return found is not None and found[1] in keys


def _read_own(line: str, options: dict[str, str], raw: list[Entry], notes: list[str]) -> None:
    if line.startswith("#"):
        notes.append(unquote(line[1:]))
    elif found := _RAW.fullmatch(line):
        raw.append((found[1], found[2]))
    elif found := _OPTION.fullmatch(line):
        if found[1] == "description":
            notes.append(unquote(found[2]))
        else:
            options[found[1]] = found[2]
