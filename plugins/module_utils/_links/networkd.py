# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""systemd-networkd files: what it makes of them survives reboots, and it leaves everybody else's links alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .._files import FileSpec
from .layer import LinkLayer, Uplink, VethPair
from .runtime import MAIN_TABLE, UNREACHABLE_METRIC, Route, Rule, uplink_routes, uplink_rules
from .settings import NOTICE, Paths

Section = tuple[str, tuple[tuple[str, object], ...]]

_QUIET = (("LinkLocalAddressing", "no"), ("IPv6AcceptRA", "no"))
_OFFLINE = ("RequiredForOnline", "no")


def _text(*sections: Section) -> str:
    blocks = ["\n".join([f"[{name}]", *(f"{key}={value}" for key, value in lines)]) for name, lines in sections]
    return f"# {NOTICE}\n\n" + "\n\n".join(blocks) + "\n"


def _link(mtu: int | None, mac: str | None, arp: bool) -> Section:
    lines: list[tuple[str, object]] = [] if mtu is None else [("MTUBytes", mtu)]
    if mac is not None:
        lines.append(("MACAddress", mac))
    if not arp:
        lines.append(("ARP", "no"))
    return ("Link", (*lines, _OFFLINE))


def _rule(rule: Rule) -> Section:
    lines = (("IncomingInterface", rule.iif), ("Table", rule.table), ("Priority", rule.priority))
    return ("RoutingPolicyRule", lines)


def _route(route: Route) -> Section:
    lines: list[tuple[str, object]] = [("Destination", route.destination)]
    if route.table != MAIN_TABLE:
        lines.append(("Table", route.table))
    if route.device is None:
        lines += [("Type", "unreachable"), ("Metric", UNREACHABLE_METRIC)]
    else:
        lines.append(("Scope", "link"))
    return ("Route", tuple(lines))


def _rules_of(uplink: Uplink, port: str) -> list[Section]:
    return [_rule(rule) for rule in uplink_rules(uplink) if rule.iif == port]


def _network(
    name: str,
    rules: Iterable[Section] = (),
    routes: Iterable[Route] = (),
    *,
    mtu: int | None,
    mac: str | None,
    arp: bool,
) -> str:
    """A veth end: configured without a carrier, so that rules and routes stand before the bridge does."""
    return _text(
        ("Match", (("Name", name),)),
        _link(mtu, mac, arp),
        ("Network", (*_QUIET, ("ConfigureWithoutCarrier", "yes"))),
        *rules,
        *map(_route, routes),
    )


def _veth(near: tuple[str, str], far: tuple[str, str | None]) -> str:
    peer: tuple[tuple[str, object], ...] = (("Name", far[0]),)
    if far[1] is not None:
        peer += (("MACAddress", far[1]),)
    return _text(("NetDev", (("Name", near[0]), ("Kind", "veth"), ("MACAddress", near[1]))), ("Peer", peer))


def _device(uplink: Uplink, device: str) -> str:
    """Rule and routes of the uplink's device; its addresses belong to the tool that makes it and are kept.

    The rule stands here and not with the gateway's: systemd 257 makes a rule only when its device is there, and takes
    the link in whose file it is for unfinished until then.

    netclient deletes the addresses that it finds before it sets its own, and gives up, with no key set, when networkd
    took the link-local one away meanwhile. So that is left to it.
    """
    quiet = _QUIET[1:] if uplink.kind == "netmaker" else _QUIET
    routes = [route for route in uplink_routes(uplink) if route.device == device]
    return _text(
        ("Match", (("Name", device),)),
        ("Link", (_OFFLINE,)),
        ("Network", (("KeepConfiguration", "yes"), *quiet)),
        *_rules_of(uplink, device),
        *map(_route, routes),
    )


def _uplink_files(paths: Paths, uplink: Uplink) -> Iterator[FileSpec]:
    gateway, end = uplink.gateway_port, uplink.bridge_port
    routes = [route for route in uplink_routes(uplink) if route.device in (gateway, None)]
    yield FileSpec(paths.netdev(gateway), _veth((gateway, uplink.mac), (end, None)))
    yield FileSpec(
        paths.network(gateway),
        _network(gateway, _rules_of(uplink, gateway), routes, mtu=uplink.mtu, mac=uplink.mac, arp=True),
    )
    yield FileSpec(paths.network(end), _network(end, mtu=uplink.mtu, mac=None, arp=False))
    if uplink.device is not None:
        yield FileSpec(paths.network(uplink.device), _device(uplink, uplink.device))


def _pair_files(paths: Paths, pair: VethPair) -> Iterator[FileSpec]:
    yield FileSpec(paths.netdev(pair.peer1[0]), _veth(pair.peer1, pair.peer2))
    for name, mac in (pair.peer1, pair.peer2):
        yield FileSpec(paths.network(name), _network(name, mtu=None, mac=mac, arp=False))


def network_files(paths: Paths, layer: LinkLayer) -> list[FileSpec]:
    """Every .netdev and .network file of ``layer``."""
    files = [spec for uplink in layer.uplinks for spec in _uplink_files(paths, uplink)]
    return files + [spec for pair in layer.veth_pairs for spec in _pair_files(paths, pair)]


def daemon_file(paths: Paths) -> FileSpec:
    """Without it networkd removes the rules and routes that wg-quick, netclient or Proxmox made."""
    lines = (("ManageForeignRoutes", "no"), ("ManageForeignRoutingPolicyRules", "no"))
    return FileSpec(paths.daemon, _text(("Network", lines)))
