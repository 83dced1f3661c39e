# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""How the container differs from what is wanted, and what mending costs: nothing, a restart, or its data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .._errors import RefusedError
from . import config, nic, port
from .found import Found
from .spec import ContainerSpec

LIVE, RESTART, RECREATE = "live", "restart", "recreate"
LIVE_FILES = ("memory.max", "memory.swap.max", "cpu.max")
_UNLIMITED = {"memory.max": "max", "memory.swap.max": "max", "cpu.max": f"max {config.PERIOD}"}
_CONSENT = {
    RESTART: "set lxc_service_restart: if_needed to let the container be restarted.",
    RECREATE: "set lxc_service_recreate: true to have the container deleted WITH ITS DATA and made anew.",
}


@dataclass(frozen=True, slots=True)
class Drift:
    """One difference. ``part`` is what has to be touched: config, limits, port, nic or source."""

    kind: str
    part: str
    what: str

    def __str__(self) -> str:
        return f"{self.what} ({self.kind})"


class ConsentError(RefusedError):
    """The plan would interrupt or destroy what the operator has not given up."""

    def __init__(self, name: str, kind: str, drifts: Sequence[Drift]) -> None:
        self.pending = [str(drift) for drift in drifts]
        needs = "a restart" if kind == RESTART else "the container to be made anew"
        listed = "; ".join(drift.what for drift in drifts if drift.kind == kind)
        super().__init__(f"Container {name}: needs {needs}, and nothing was changed: {listed}.", fix=_CONSENT[kind])

    def result(self) -> dict[str, object]:
        return {"pending": self.pending}


def drifts(spec: ContainerSpec, found: Found, wanted_config: str, limits: config.Limits) -> list[Drift]:
    """Differences of an existing container of ours, those that cost most first."""
    all_drifts = [*_source(spec, found), *_config(found.config or "", wanted_config)]
    if found.status.is_running:
        all_drifts += _limits(found, limits)
        all_drifts += port_drifts(port.wanted(spec), found.switch, found.hears_ipv6)
        all_drifts += nic_drifts(spec, found.nic)
    return costly_first(all_drifts)


def wanted_files(limits: config.Limits) -> dict[str, str]:
    """Text of each cgroup file that we answer for; without a limit the kernel's own."""
    return {**_UNLIMITED, **dict(limits.values)}


def _source(spec: ContainerSpec, found: Found) -> list[Drift]:
    lines = []
    if spec.source is not None and spec.source.identity != found.source:
        lines.append(f"root file system {found.source or 'unknown'} -> {spec.source.identity}")
    if found.unprivileged is not spec.unprivileged:
        have = "no root file system" if found.unprivileged is None else f"unprivileged {found.unprivileged}"
        lines.append(f"{have} -> unprivileged {spec.unprivileged}")
    return [Drift(RECREATE, "source", line) for line in lines]


def _config(found: str, wanted: str) -> list[Drift]:
    """Compare the files as multimaps, key by key; then order and comments."""
    have, want = config.parse(found), config.parse(wanted)
    keys = sorted({key for key, _value in have + want})
    changed = [key for key in keys if config.values(have, key) != config.values(want, key)]
    if not changed and have != want:
        return [Drift(RESTART, "config", "order of the configuration's lines")]
    if not changed and found != wanted:
        return [Drift(LIVE, "config", "comments of the configuration")]
    return [
        Drift(_kind(key), "config", f"{key} {_shown(config.values(have, key))} -> {_shown(config.values(want, key))}")
        for key in changed
    ]


def _kind(key: str) -> str:
    return LIVE if key.removeprefix(config.LIMIT) in LIVE_FILES else RESTART


def _shown(values: Sequence[str]) -> str:
    return ", ".join(values) or "(none)"


def _limits(found: Found, limits: config.Limits) -> list[Drift]:
    wanted = wanted_files(limits)
    return [
        Drift(LIVE, "limits", f"live {name} {text} -> {wanted[name]}")
        for name, text in found.limits.items()
        if text != wanted[name]
    ]


def port_drifts(wanted: port.WantedPort, switch: port.Switch, hears_ipv6: bool) -> list[Drift]:
    """Differences of the port of a running container."""
    have, name = switch.port, wanted.name
    if have is None or have.bridge != wanted.bridge:
        return [Drift(LIVE, "plug", f"port {name} is not on bridge {wanted.bridge}")]
    if have.error:
        return [Drift(LIVE, "plug", f"port {name}: {have.error}")]
    lines: list[tuple[str, object, object]] = [("ofport_request", have.request, wanted.ofport)]
    lines += [] if wanted.mtu_request is None else [("mtu_request", have.mtu_request, wanted.mtu_request)]
    lines += [("ofport", have.ofport, wanted.ofport)] if have.request == wanted.ofport else []
    lines += [(f"external_ids:{key}", have.external_ids.get(key), text) for key, text in wanted.external_ids.items()]
    drifting = [
        Drift(LIVE, "port", f"port {name} {key} {old} -> {new}") for key, old, new in lines if str(old) != str(new)
    ]
    if hears_ipv6:
        drifting.append(Drift(LIVE, "plug", f"IPv6 is on at the host's end of {name}"))
    return drifting


def nic_drifts(spec: ContainerSpec, found: nic.Nic | None) -> list[Drift]:
    """Differences of the device of a running container."""
    wanted = nic.wanted(spec)
    if found is None:
        return [Drift(RESTART, "config", "the container has no eth0")]
    if found == wanted:
        return []
    return [Drift(LIVE, "nic", f"{found.text().strip()} -> {wanted.text().strip()}")]


def costly_first(all_drifts: Sequence[Drift]) -> list[Drift]:
    order = (RECREATE, RESTART, LIVE)
    return sorted(all_drifts, key=lambda drift: order.index(drift.kind))
