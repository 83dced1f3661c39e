# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What has to happen to a tunnel, decided from its configuration, its unit and its runtime state. Nothing is run here.

Peers and keys are changed in place (`wg syncconf`), which keeps the sessions of the others; only the address, the MTU
and a device that does not run need a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from .._errors import RefusedError
from .._files import FileSpec
from .config import Peer, Tunnel, split_endpoint
from .health import fresh
from .profile import MARKER, digest, masked, parse, render
from .runtime import Device, Link, PeerState, Runtime, Unit

Resolve = Callable[[str], frozenset[str]]
"""Addresses of a host name; empty when it cannot be told now."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to change. ``sync`` and ``restart`` hold the reasons in words; no reason, no change."""

    write: bool = False
    enable: bool = False
    leftover: bool = False
    sync: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()


def is_ours(text: str) -> bool:
    """True for a file that this collection wrote."""
    return text.startswith(MARKER)


def refuse_foreign(device: str, path: str, text: str | None) -> None:
    """Refuse to touch a configuration that somebody else made."""
    if text is not None and not is_ours(text):
        raise RefusedError(
            f"{path} exists and was not written by this collection; {device} is left as it is.",
            fix=f"move it to another path and pass that as `config_file`, or take another name than {device}.",
        )


def wanted_file(tunnel: Tunnel, path: str) -> FileSpec:
    """The file of ``tunnel``."""
    return FileSpec(path, render(tunnel), 0o600, secret=True)


def expected_peer(want: Peer, have: PeerState | None, now: float, resolve: Resolve | None) -> PeerState:
    """How ``want`` should look on the device, with what WireGuard itself changes taken from ``have``."""
    base = have or PeerState(want.public_key)
    return replace(
        base,
        endpoint=expected_endpoint(want, have, now, resolve),
        allowed_ips=frozenset(str(network) for network in want.allowed_ips),
        keepalive=want.keepalive,
        preshared_key=want.preshared_key,
    )


def expected_endpoint(want: Peer, have: PeerState | None, now: float, resolve: Resolve | None) -> str | None:
    """Endpoint that ``want`` may have: a peer that answers may have roamed, a silent one must be where we say.

    Without ``resolve`` host names count as right.
    """
    if have is None or have.endpoint is None or want.endpoint is None:
        return want.endpoint or (have.endpoint if have else None)
    if fresh(have, now) or have.endpoint == want.endpoint:
        return have.endpoint
    host, port, literal = split_endpoint(want.endpoint)
    if literal:
        return want.endpoint
    found = resolve(host) if resolve else frozenset[str]()
    address, found_port, _literal = split_endpoint(have.endpoint)
    return have.endpoint if found_port == port and (not found or address in found) else want.endpoint


def expected_device(want: Tunnel, have: Device | None, now: float, resolve: Resolve | None) -> Device:
    """How ``wg show dump`` should read."""
    peers = have.peers if have else {}
    return Device(
        private_key=want.private_key,
        public_key=have.public_key if have else None,
        listen_port=want.listen_port or (have.listen_port if have else 0),
        peers={peer.public_key: expected_peer(peer, peers.get(peer.public_key), now, resolve) for peer in want.peers},
    )


def device_reasons(want: Tunnel, have: Device, now: float, resolve: Resolve | None) -> list[str]:
    """Differences between the device and what it should be, in words, without secrets."""
    expected = expected_device(want, have, now, resolve)
    names = {peer.public_key: peer.name for peer in want.peers}
    reasons = ["private key"] if have.private_key != expected.private_key else []
    if have.listen_port != expected.listen_port:
        reasons.append(f"listen port {have.listen_port} to {expected.listen_port}")
    for key, peer in sorted(expected.peers.items(), key=lambda item: names[item[0]]):
        if key not in have.peers:
            reasons.append(f"add peer {names[key]}")
        elif have.peers[key] != peer:
            reasons.append(f"update peer {names[key]}")
    return reasons + [f"remove peer {key}" for key in sorted(set(have.peers) - set(expected.peers))]


def link_reasons(want: Tunnel, unit: Unit, link: Link | None) -> list[str]:
    """Why the device must be made anew, in words."""
    if not unit.running:
        return [f"unit is {unit.active}"]
    if link is None:
        return ["device is gone"]
    reasons = [] if link.up else ["device is down"]
    if link.mtu != want.mtu:
        reasons.append(f"mtu {link.mtu} to {want.mtu}")
    if link.addresses != frozenset(want.addresses):
        reasons.append(f"address {listed(link.addresses)} to {listed(want.addresses)}")
    return reasons


def runtime_reasons(want: Tunnel, runtime: Runtime, now: float, resolve: Resolve | None) -> tuple[list[str], list[str]]:
    """Why the device must be made anew, else why its peers or keys must be synchronised."""
    restart = link_reasons(want, runtime.unit, runtime.link)
    if restart:
        return restart, []
    if runtime.device is None:
        return ["device does not answer"], []
    return [], device_reasons(want, runtime.device, now, resolve)


def stored_peers(text: str | None, want: Tunnel) -> tuple[Peer, ...] | None:
    """Peers of the file found, None when it cannot be read as one of ours."""
    try:
        return parse(text or "", device=want.device, source="the file").tunnel.peers
    except RefusedError:
        return None


def decide(
    want: Tunnel, runtime: Runtime, *, file: FileSpec | None, path: str, now: float, resolve: Resolve | None
) -> Decision:
    """What makes ``want`` true: file, start at boot, and a running device. ``file`` is the one found at ``path``."""
    text = file.content if file else None
    refuse_foreign(want.device, path, text)
    refuse_other_kind(want.device, runtime)
    write = file != wanted_file(want, path)
    restart, sync = runtime_reasons(want, runtime, now, resolve)
    if write and not restart and not sync and calls_elsewhere(want, runtime, stored_peers(text, want)):
        sync = ["endpoints"]
    return Decision(
        write=write,
        enable=not runtime.unit.enabled,
        leftover=not runtime.unit.running and runtime.link is not None,
        sync=tuple(sync),
        restart=tuple(restart),
    )


def refuse_other_kind(device: str, runtime: Runtime) -> None:
    """Refuse a device of that name which is not WireGuard's."""
    if runtime.link is not None and runtime.device is None:
        raise RefusedError(
            f"The network device {device} exists and is not a WireGuard device; it is left as it is.",
            fix="remove it or take another name.",
        )


def calls_elsewhere(want: Tunnel, runtime: Runtime, stored: tuple[Peer, ...] | None) -> bool:
    """True when an endpoint was changed in the file, which the device alone does not tell: a peer may have roamed."""
    if stored is not None and endpoints(stored) == endpoints(want.peers):
        return False
    peers = runtime.device.peers if runtime.device else {}
    return any(peer.endpoint and peers[peer.public_key].endpoint != peer.endpoint for peer in want.peers)


def endpoints(peers: tuple[Peer, ...]) -> dict[str, str | None]:
    """Endpoint by public key."""
    return {peer.public_key: peer.endpoint for peer in peers}


def listed(values: Iterable[object]) -> str:
    """``values`` in order, as text."""
    return ", ".join(sorted(str(value) for value in values)) or "(none)"


def describe(path: str, text: str | None, mode: int, runtime: Runtime) -> str:
    """File, unit and device as lines of a diff, secrets masked."""
    lines: list[str] = []
    if text is not None:
        lines += [f"# {path} mode {mode:04o}", *masked(text).splitlines()]
    lines += [f"# unit: {runtime.unit.active}, {'enabled' if runtime.unit.enabled else 'disabled'}"]
    if runtime.link is not None:
        state = "up" if runtime.link.up else "down"
        lines.append(f"# device: {state}, mtu {runtime.link.mtu}, address {listed(runtime.link.addresses)}")
    if runtime.device is not None:
        port = runtime.device.listen_port or "any"
        lines.append(f"# runtime: private key {digest(runtime.device.private_key)}, listen port {port}")
        lines += [describe_peer(peer) for _key, peer in sorted(runtime.device.peers.items())]
    return "".join(f"{line}\n" for line in lines)


def describe_peer(peer: PeerState) -> str:
    """One peer of the device as a line of a diff."""
    return (
        f"# runtime: peer {peer.public_key}, endpoint {peer.endpoint or '(none)'}, "
        f"allowed {listed(peer.allowed_ips)}, keepalive {peer.keepalive}, "
        f"preshared key {digest(peer.preshared_key)}"
    )


def wanted_runtime(want: Tunnel, have: Runtime, now: float, resolve: Resolve) -> Runtime:
    """``have`` with everything that we decide set as it should be, for the diff."""
    return replace(
        have,
        unit=replace(have.unit, active="active", enabled=True),
        link=Link(mtu=want.mtu, addresses=frozenset(want.addresses), up=True),
        device=expected_device(want, have.device, now, resolve),
    )
