# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""The packet filter: one table of our own, replaced in one transaction; other tables are never touched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .._files import FileSpec
from .layer import LinkLayer, Uplink
from .settings import NOTICE, TABLE, Paths

BRIDGE_COUNTER = "dropped-from-bridge-ports"
_ICMP_ERRORS = "icmp type { destination-unreachable, time-exceeded, parameter-problem } accept"


def counter(uplink: Uplink, chain: str) -> str:
    """Name of the counter of what ``chain`` (`forward`, `input`, `output`) dropped on ``uplink``."""
    return f"{chain}-dropped-{uplink.name}"


def _set(names: Iterable[str]) -> str:
    return "{ " + ", ".join(f'"{name}"' for name in names) + " }"


def _bridge_rules(layer: LinkLayer) -> Iterator[str]:
    """The userspace datapath leaves a copy of each frame to the host; so does a port that is not on its bridge yet."""
    if layer.bridge_ports:
        yield f"iifname {_set(layer.bridge_ports)} counter name {BRIDGE_COUNTER} drop"


def _publish_rules(layer: LinkLayer) -> Iterator[str]:
    ours = _set((*layer.gateway_ports, *layer.devices))
    for item in layer.published:
        match = f"iifname != {ours} fib daddr type local {item.protocol} dport {item.public_port}"
        yield f"meta nfproto ipv4 {match} dnat ip to {item.address}:{item.port}"


def _clamp_rules(layer: LinkLayer) -> Iterator[str]:
    """Tunnels are narrower than containers' peers believe, and path MTU discovery is often filtered."""
    if layer.uplinks:
        ours = _set((*layer.gateway_ports, *layer.devices))
        for side in ("iifname", "oifname"):
            yield f"{side} {ours} tcp flags syn / syn,rst tcp option maxseg size set rt mtu"


def _uplink_pass_rules(uplink: Uplink, ours: str) -> Iterator[str]:
    """Legal ways of ``uplink``'s packets; the rest of them is dropped further down."""
    gateway, device = uplink.gateway_port, uplink.device
    if device is None:
        yield f'iifname != {ours} oifname "{gateway}" meta nfproto ipv4 ct state established,related accept'
        yield f'iifname != {ours} oifname "{gateway}" meta nfproto ipv4 ct status dnat accept'
        yield f'iifname "{gateway}" oifname != {ours} meta nfproto ipv4 ct state established,related accept'
        return
    answers_only = "ct state established,related " if uplink.masquerade else ""
    yield f'iifname "{gateway}" oifname "{device}" meta nfproto ipv4 accept'
    yield f'iifname "{device}" oifname "{gateway}" meta nfproto ipv4 {answers_only}accept'
    if uplink.relay:
        yield f'iifname "{device}" oifname "{device}" accept'


def _forward_rules(layer: LinkLayer) -> Iterator[str]:
    ours = _set((*layer.gateway_ports, *layer.devices))
    for uplink in layer.uplinks:
        yield from _uplink_pass_rules(uplink, ours)
    for uplink in layer.uplinks:
        for side in ("iifname", "oifname"):
            yield f"{side} {_set(uplink.ports)} counter name {counter(uplink, 'forward')} drop"


def _input_rules(layer: LinkLayer) -> Iterator[str]:
    """Containers and what lies behind an exit must not reach the host's own services."""
    guarded = {uplink: uplink.ports if uplink.masquerade else (uplink.gateway_port,) for uplink in layer.uplinks}
    if guarded:
        names = sorted(name for ports in guarded.values() for name in ports)
        yield f"iifname {_set(names)} ct state established,related accept"
    for uplink, ports in guarded.items():
        yield f"iifname {_set(ports)} counter name {counter(uplink, 'input')} drop"


def _output_rules(layer: LinkLayer) -> Iterator[str]:
    """The host may answer, tell errors and use the services that are exposed to it."""
    if layer.uplinks:
        gateways = f"oifname {_set(layer.gateway_ports)}"
        yield f"{gateways} ct state established,related accept"
        yield f"{gateways} {_ICMP_ERRORS}"
    for item in layer.host_services:
        yield f'oifname "{item.gateway_port}" ip daddr {item.address} {item.protocol} dport {item.port} accept'
    for uplink in layer.uplinks:
        yield f'oifname "{uplink.gateway_port}" counter name {counter(uplink, "output")} drop'


def _masquerade_rules(layer: LinkLayer) -> Iterator[str]:
    for uplink in layer.uplinks:
        if uplink.masquerade and uplink.subnet is not None:
            yield f'oifname "{uplink.device}" ip saddr {uplink.subnet} masquerade'


def _chain(name: str, hook: str, rules: Iterable[str]) -> list[str]:
    return [f"\tchain {name} {{", f"\t\ttype {hook}; policy accept;", *(f"\t\t{rule}" for rule in rules), "\t}"]


def ruleset(layer: LinkLayer) -> str:
    """Text for ``nft -f``: the table as a whole, old one out and new one in at once."""
    counters = [counter(uplink, chain) for uplink in layer.uplinks for chain in ("forward", "input", "output")]
    names = [BRIDGE_COUNTER, *counters] if layer.uplinks or layer.bridge_ports else []
    lines = [f"# {NOTICE}", f"add table inet {TABLE}", f"delete table inet {TABLE}", f"table inet {TABLE} {{"]
    lines += [f"\tcounter {name} {{ }}" for name in names]
    lines += _chain("bridge_ports", "filter hook prerouting priority raw", _bridge_rules(layer))
    lines += _chain("publish", "nat hook prerouting priority dstnat", _publish_rules(layer))
    lines += _chain("clamp", "filter hook forward priority mangle", _clamp_rules(layer))
    lines += _chain("forward", "filter hook forward priority filter", _forward_rules(layer))
    lines += _chain("input", "filter hook input priority filter", _input_rules(layer))
    lines += _chain("output", "filter hook output priority filter", _output_rules(layer))
    lines += _chain("exits", "nat hook postrouting priority srcnat", _masquerade_rules(layer))
    return "\n".join([*lines, "}", ""])


def ruleset_file(paths: Paths, layer: LinkLayer) -> FileSpec:
    return FileSpec(paths.ruleset, ruleset(layer))
