# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""From module parameters to a LinkLayer; everything that is wrong is told at once, before anything is touched."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from .._errors import RefusedError
from .._files import FileSpec
from .layer import HOST, Endpoint, LinkLayer, Uplink, VethPair

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
_RESERVED = frozenset({"all", "default", "lo"})
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_TABLES = range(0x10001, 0x20000)
_MTUS = range(576, 65536)
_PORTS = range(1, 65536)


class _Reader:
    """Reads values and collects what is wrong with them as ``problems``; a bad value becomes a harmless stand-in."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def refuse(self, where: str, value: object, problem: str, fix: str) -> None:
        self.problems.append(f"{where} = {value!r}: {problem} Fix: {fix}")

    def name(self, where: str, value: str) -> str:
        if not _NAME.fullmatch(value) or value in _RESERVED:
            self.refuse(where, value, "is not a usable interface name.", "1 to 15 letters, digits, '_', '.' or '-'.")
        return value

    def mac(self, where: str, value: str) -> str:
        if not _MAC.fullmatch(value) or int(value[:2], 16) & 1:
            self.refuse(where, value, "is not a unicast MAC address.", "lower case, as in 02:01:0a:0b:0c:0d.")
        return value

    def number(self, where: str, value: int, allowed: range) -> int:
        if value not in allowed:
            self.refuse(where, value, "is out of range.", f"{allowed.start} to {allowed.stop - 1}.")
        return value

    def network(self, where: str, value: str) -> IPv4Network | None:
        try:
            return IPv4Network(value)
        except ValueError as error:
            self.refuse(where, value, f"is not an IPv4 network ({error}).", "ADDRESS/LENGTH without host bits.")
            return None

    def address(self, where: str, value: str) -> IPv4Address:
        try:
            return IPv4Address(value)
        except ValueError as error:
            self.refuse(where, value, f"is not an IPv4 address ({error}).", "four numbers, as in 10.0.0.102.")
            return IPv4Address(0)

    def once(self, what: str, values: Sequence[object]) -> None:
        for value, count in Counter(values).items():
            if count > 1:
                self.refuse(what, value, f"is used {count} times.", "make it unique on this host.")


def _uplink(read: _Reader, where: str, given: Mapping[str, Any]) -> Uplink:
    device = given.get("device")
    if (given["kind"] == HOST) != (device is None):
        read.refuse(
            f"{where}.device", device, f"does not fit kind {given['kind']}.", "a device for every kind but host."
        )
    subnet = given.get("subnet")
    prefixes = [read.network(f"{where}.prefixes", prefix) for prefix in given.get("prefixes") or ()]
    return Uplink(
        name=read.name(f"{where}.name", given["name"]),
        kind=given["kind"],
        device=None if device is None else read.name(f"{where}.device", device),
        gateway_port=read.name(f"{where}.gateway_port", given["gateway_port"]),
        bridge_port=read.name(f"{where}.bridge_port", given["bridge_port"]),
        mac=read.mac(f"{where}.mac", given["mac"]),
        table=read.number(f"{where}.table", given["table"], _TABLES),
        mtu=read.number(f"{where}.mtu", given["mtu"], _MTUS),
        subnet=None if subnet is None else read.network(f"{where}.subnet", subnet),
        prefixes=tuple(sorted({prefix for prefix in prefixes if prefix is not None})),
        relay=bool(given.get("relay")),
        masquerade=bool(given.get("masquerade")),
    )


def _pair(read: _Reader, where: str, given: Mapping[str, Any]) -> VethPair:
    ends = [
        (read.name(f"{where}.{peer}.name", given[peer]["name"]), read.mac(f"{where}.{peer}.mac", given[peer]["mac"]))
        for peer in ("peer1", "peer2")
    ]
    return VethPair(peer1=ends[0], peer2=ends[1])


def _endpoint(read: _Reader, where: str, given: Mapping[str, Any]) -> Endpoint:
    if given["protocol"] not in ("tcp", "udp"):
        read.refuse(f"{where}.protocol", given["protocol"], "cannot be filtered by port.", "tcp or udp.")
    public_port = given.get("public_port")
    return Endpoint(
        protocol=given["protocol"],
        address=read.address(f"{where}.address", given["address"]),
        port=read.number(f"{where}.port", given["port"], _PORTS),
        gateway_port=given["gateway_port"],
        public_port=None if public_port is None else read.number(f"{where}.public_port", public_port, _PORTS),
    )


def _check_endpoint(read: _Reader, where: str, endpoint: Endpoint, uplinks: Sequence[Uplink]) -> None:
    gateway = next((uplink for uplink in uplinks if uplink.gateway_port == endpoint.gateway_port), None)
    if gateway is None or gateway.kind != HOST:
        names = ", ".join(uplink.gateway_port for uplink in uplinks if uplink.kind == HOST) or "none here"
        read.refuse(
            f"{where}.gateway_port", endpoint.gateway_port, "belongs to no uplink of kind host.", f"one of: {names}."
        )
    elif gateway.subnet is not None and endpoint.address not in gateway.subnet:
        read.refuse(
            f"{where}.address",
            str(endpoint.address),
            f"is not behind {gateway.gateway_port}.",
            f"one in {gateway.subnet}.",
        )


def parse_files(given: Sequence[Mapping[str, Any]]) -> list[FileSpec]:
    """Files from ``path``, ``content`` and ``mode`` (octal digits), or raise RefusedError."""
    for item in given:
        if not item["path"].startswith("/") or not re.fullmatch(r"0?[0-7]{3}", item["mode"]):
            raise RefusedError(
                f"files: {item['path']} with mode {item['mode']} cannot be written; nothing was changed.",
                fix="an absolute path and a mode in octal digits, as in '0644'.",
            )
    return [FileSpec(item["path"], item["content"], int(item["mode"], 8)) for item in given]


def parse(params: Mapping[str, Any]) -> LinkLayer:
    """Build the layer from ``uplinks``, ``veth_pairs``, ``published`` and ``host_services``, or raise RefusedError."""
    read = _Reader()
    uplinks = [_uplink(read, f"uplinks[{index}]", item) for index, item in enumerate(params.get("uplinks") or ())]
    pairs = [_pair(read, f"veth_pairs[{index}]", item) for index, item in enumerate(params.get("veth_pairs") or ())]
    endpoints: dict[str, list[Endpoint]] = {}
    for key in ("published", "host_services"):
        given = params.get(key) or ()
        endpoints[key] = [_endpoint(read, f"{key}[{index}]", item) for index, item in enumerate(given)]
        for index, endpoint in enumerate(endpoints[key]):
            _check_endpoint(read, f"{key}[{index}]", endpoint, uplinks)
    layer = LinkLayer(
        uplinks=tuple(sorted(uplinks, key=lambda uplink: uplink.name)),
        veth_pairs=tuple(sorted(pairs, key=lambda pair: pair.peer1)),
        published=tuple(sorted(endpoints["published"], key=lambda item: (item.protocol, item.public_port or 0))),
        host_services=tuple(sorted(set(endpoints["host_services"]))),
    )
    read.once("interface name", (*layer.bridge_ports, *layer.gateway_ports, *layer.devices))
    read.once("uplink table", [uplink.table for uplink in layer.uplinks])
    read.once("published port", [f"{item.protocol}/{item.public_port}" for item in layer.published])
    if read.problems:
        lines = "\n".join(f"  {number}. {problem}" for number, problem in enumerate(read.problems, 1))
        noun = "fault" if len(read.problems) == 1 else "faults"
        raise RefusedError(f"The link layer has {len(read.problems)} {noun}; nothing was changed.\n{lines}")
    return layer
