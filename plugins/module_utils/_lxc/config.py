# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""LXC's configuration file, an ordered list of (key, value): keys repeat, order matters, comments carry our mark."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .spec import ContainerSpec, Source

ROOT = "/var/lib/lxc"
PORT_SCRIPT = "/usr/local/lib/op-dbus/lxc-port"
SHARE = "/usr/share/lxc/config"
MARK = "# op-dbus-owner=lxc_service"
_SOURCE = "# op-dbus-source="
FIRST_ID = 100000
IDS = 65536
"""Host ids that unprivileged containers use, as on Proxmox."""

DROPPED = "mac_admin mac_override sys_time sys_module sys_rawio"
"""Capabilities that common.conf drops and userns.conf gives back. They are void in a user namespace, but the guest's
units look at them, try what cannot work there (the debug file system, the clock) and fail.
"""

PERIOD = 100000
"""Microseconds of the cgroup's CPU period."""

LIMIT = "lxc.cgroup2."

Entry = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Limits:
    """What the kernel shall hold the container to, as file name in its cgroup and text; a file left out is no limit."""

    values: tuple[Entry, ...] = ()
    clear_devices: bool = False
    """Take back LXC's device rules of cgroup v1, which stop the start where that controller cannot be used."""


def directory(name: str) -> str:
    return f"{ROOT}/{name}"


def config_path(name: str) -> str:
    return f"{directory(name)}/config"


def rootfs_path(name: str) -> str:
    return f"{directory(name)}/rootfs"


def parse(text: str) -> list[Entry]:
    """All settings in their order. A line without ``=`` keeps an empty value, so that it shows as drift."""
    entries = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            key, _equals, value = stripped.partition("=")
            entries.append((key.strip(), value.strip()))
    return entries


def values(entries: Iterable[Entry], key: str) -> list[str]:
    return [value for name, value in entries if name == key]


def is_marked(text: str) -> bool:
    return MARK in text.splitlines()


def source_of(text: str) -> str | None:
    """Identity of what the root file system was made from, as told by our comment."""
    return next((line.removeprefix(_SOURCE) for line in text.splitlines() if line.startswith(_SOURCE)), None)


def wanted_limits(spec: ContainerSpec) -> tuple[Entry, ...]:
    """The cgroup v2 files and texts that ``spec`` asks for."""
    limits = []
    if spec.memory is not None:
        limits.append(("memory.max", str(spec.memory * 2**20)))
    if spec.swap is not None:
        limits.append(("memory.swap.max", str(spec.swap * 2**20)))
    if spec.cpus is not None:
        limits.append(("cpu.max", f"{round(spec.cpus * PERIOD)} {PERIOD}"))
    return tuple(limits)


def render(spec: ContainerSpec, limits: Limits, source: str) -> str:
    """The whole configuration file. ``source`` identifies what the root file system was made from."""
    entries = [
        *_includes(spec),
        *_identity(spec),
        *_network(spec),
        *((LIMIT + name, text) for name, text in limits.values),
    ]
    if limits.clear_devices:
        entries += [("lxc.cgroup.devices.deny", ""), ("lxc.cgroup.devices.allow", "")]
    header = ["# Written by op_dbus.socket_network; edits are replaced by its next run.", MARK, _SOURCE + source]
    return "\n".join([*header, *(f"{key} = {value}".rstrip() for key, value in entries)]) + "\n"


def _includes(spec: ContainerSpec) -> list[Entry]:
    names = ["common.conf"]
    if spec.unprivileged:
        names.append("userns.conf")
    if spec.nesting:
        names.append("nesting.conf")
    return [("lxc.include", f"{SHARE}/{name}") for name in names]


def _identity(spec: ContainerSpec) -> list[Entry]:
    entries = [
        ("lxc.uts.name", spec.name),
        ("lxc.rootfs.path", f"dir:{rootfs_path(spec.name)}"),
        ("lxc.apparmor.profile", "generated"),
        ("lxc.apparmor.allow_nesting", str(int(spec.nesting))),
    ]
    if spec.unprivileged:
        entries += [("lxc.idmap", f"{kind} 0 {FIRST_ID} {IDS}") for kind in ("u", "g")]
        entries.append(("lxc.cap.drop", DROPPED))
    return entries


def _network(spec: ContainerSpec) -> list[Entry]:
    """No ``link``: LXC would add the port by itself, and fail on what a power cut left in OVSDB.

    The broadcast address is told because LXC 5 gets it wrong by itself.
    """
    return [
        ("lxc.hook.version", "1"),
        ("lxc.net.0.type", "veth"),
        ("lxc.net.0.name", "eth0"),
        ("lxc.net.0.veth.pair", spec.veth),
        ("lxc.net.0.hwaddr", spec.mac),
        ("lxc.net.0.mtu", str(spec.mtu)),
        ("lxc.net.0.flags", "up"),
        ("lxc.net.0.ipv4.address", f"{spec.address.with_prefixlen} {spec.address.network.broadcast_address}"),
        ("lxc.net.0.ipv4.gateway", str(spec.gateway)),
        ("lxc.net.0.script.up", PORT_SCRIPT),
        ("lxc.net.0.script.down", PORT_SCRIPT),
    ]


def source_identity(spec: ContainerSpec, found: str | None) -> str:
    """What to note as the source: the wanted one, else what was noted before."""
    source: Source | None = spec.source
    return source.identity if source is not None else (found or "unknown")
