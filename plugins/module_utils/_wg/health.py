# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Health from what WireGuard itself reports. A file, a unit or a device that exists proves nothing about a tunnel."""

from __future__ import annotations

from dataclasses import dataclass

from .runtime import PeerState, Runtime

MAX_HANDSHAKE_AGE = 180
"""Seconds. WireGuard makes new keys every 120 s under traffic or keepalive and refuses those older than 180 s."""


@dataclass(frozen=True, slots=True)
class Health:
    """``state``: ok (a fresh handshake), degraded (an old one), never (none yet), down (no running device).

    ``age`` is that of the newest handshake in seconds, None without one. ``rx`` and ``tx`` are bytes of all peers.
    """

    state: str
    age: int | None = None
    rx: int = 0
    tx: int = 0

    @property
    def ok(self) -> bool:
        return self.state == "ok"


def age_of(peer: PeerState, now: float) -> int | None:
    """Seconds since the handshake of ``peer``, or None when there was none. A clock set back counts as now."""
    return max(0, int(now) - peer.handshake) if peer.handshake else None


def fresh(peer: PeerState, now: float, max_age: int = MAX_HANDSHAKE_AGE) -> bool:
    """True when ``peer`` answered lately."""
    age = age_of(peer, now)
    return age is not None and age <= max_age


def health(runtime: Runtime, now: float, max_age: int = MAX_HANDSHAKE_AGE) -> Health:
    """Judge ``runtime`` at ``now`` (seconds since 1970)."""
    device = runtime.device
    if device is None or runtime.link is None or not runtime.link.up or not runtime.unit.running:
        return Health("down")
    peers = device.peers.values()
    ages = [age for peer in peers if (age := age_of(peer, now)) is not None]
    received, sent = sum(peer.rx for peer in peers), sum(peer.tx for peer in peers)
    if not ages:
        return Health("never", None, received, sent)
    return Health("ok" if min(ages) <= max_age else "degraded", min(ages), received, sent)
