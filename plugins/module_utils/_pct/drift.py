# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""How a container on Proxmox differs from what is wanted, and what mending costs."""

from __future__ import annotations

from collections.abc import Iterator

from .._lxc.drift import LIVE, RECREATE, RESTART, Drift, costly_first, nic_drifts, port_drifts
from .._lxc.spec import ContainerSpec
from . import port, wanted
from .conf import Conf
from .found import Found

NET_RESTART = ("gw", "hwaddr", "ip", "mtu", "name")
"""Parts of net0 that Proxmox takes over live not at all, or by making the device anew under the guest."""


def drifts(spec: ContainerSpec, found: Found) -> list[Drift]:
    """Differences of an existing container of ours, those that cost most first. ``part`` of an option is its key."""
    have = found.conf or Conf()
    differing = [*_source(spec, found, have), *_options(spec, found, have), *_raw(have), *_bridge(spec, found)]
    if found.status.is_running:
        differing += port_drifts(port.wanted(spec), found.switch, found.hears_ipv6)
        differing += nic_drifts(spec, found.nic)
    return costly_first(differing)


def bridge_drifts(spec: ContainerSpec, found: Found) -> list[Drift]:
    """What has to be done to the bridge before Proxmox takes the container."""
    return [*_bridge(spec, found)]


def _source(spec: ContainerSpec, found: Found, have: Conf) -> Iterator[Drift]:
    if spec.source is not None and spec.source.identity != found.source:
        yield Drift(RECREATE, "source", f"root file system {found.source or 'unknown'} -> {spec.source.identity}")
    if have.is_unprivileged is not spec.unprivileged:
        yield Drift(RECREATE, "source", f"unprivileged {have.is_unprivileged} -> unprivileged {spec.unprivileged}")


def _options(spec: ContainerSpec, found: Found, have: Conf) -> Iterator[Drift]:
    for key, text in wanted.options(spec, found.source or "unknown", have).items():
        want = wanted.normal(key, text)
        if wanted.normal(key, have.value(key)) != want:
            yield _option(key, have.value(key), text)
        elif key in have.deleted or (key in have.pending and wanted.normal(key, have.pending[key]) != want):
            waiting = "its removal" if key in have.deleted else f"{key} {have.pending[key]}"
            yield Drift(LIVE, f"pending {key}", f"{waiting} waits for the next start -> {key} {text}")


def _option(key: str, have: str | None, want: str | None) -> Drift:
    if key == "description":
        return Drift(LIVE, key, "our notes in the description")
    if key != "net0":
        return Drift(RESTART if key == "features" else LIVE, key, f"{key} {have or '(none)'} -> {want or '(none)'}")
    old, new = wanted.net_parts(have), wanted.net_parts(want)
    parts = [part for part in sorted({*old, *new}) if old.get(part) != new.get(part)]
    words = ", ".join(f"{part} {old.get(part) or '(none)'} -> {new.get(part) or '(none)'}" for part in parts)
    return Drift(RESTART if set(parts) & set(NET_RESTART) else LIVE, key, f"net0 {words}")


def _raw(have: Conf) -> Iterator[Drift]:
    for key, value in wanted.RAW.items():
        found = [text for name, text in have.raw if name == key]
        if found != [value]:
            yield Drift(LIVE, "raw", f"{key} {', '.join(found) or '(none)'} -> {value}")


def _bridge(spec: ContainerSpec, found: Found) -> Iterator[Drift]:
    if found.bridge_mtu is not None and found.bridge_mtu < spec.mtu:
        yield Drift(LIVE, "bridge", f"MTU of bridge {spec.bridge} {found.bridge_mtu} -> {spec.mtu}")
