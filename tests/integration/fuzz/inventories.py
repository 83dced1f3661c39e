# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random inventories: valid ones of every shape that the documentation allows, and ones with something wrong."""

from __future__ import annotations

import base64
import hashlib
from copy import deepcopy
from ipaddress import IPv4Network
from random import Random
from typing import Any

from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.identity import digest16, link_ofport
from hypothesis import strategies as st

Inventory = dict[str, Any]

_HOSTS = ("oo1424oo", "vps-gateway", "node-3", "a")
_NAMES = ("xray", "gateway", "db", "mcp-server", "a", "z9", "web-1", "100")
_SERVICES = ("vless", "dns", "api.v1", "x", "A-b_c.9")
_PORTS = (1, 22, 53, 443, 8443, 9573, 65535)
_SOURCES = ("local", "mesh", "host", "internet")
_PROTOCOLS = ("tcp", "udp")
_ENDS = ("to-socket", "from-mesh", "ovs-host")
_BRIDGES = ("mesh", "vmbr0", "sock", "other", "transit")
_DERIVED = {digest16(name) for name in (*_BRIDGES, *_ENDS, "host")} | {
    digest16(f"{word}{number}") for word in ("warp", "host", "nm-") for number in range(300)
}
_OUTSIDE = ("192.168.0.0/16", "172.16.9.0/24", "198.51.100.7/32", "203.0.113.128/25")


def valid() -> st.SearchStrategy[Inventory]:
    return st.randoms(use_true_random=False).map(lambda rng: _Maker(rng).fleet())


class _Maker:
    """One inventory. What has to be unique is counted up; everything else is drawn."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._count = 0
        self._ports = {link_ofport(name) for name in _ENDS}

    def _next(self) -> int:
        self._count += 1
        return self._count

    def _number(self) -> int:
        """A number that follows from no name here."""
        while (number := self._next()) in _DERIVED:
            pass
        return number

    def _link(self, word: str) -> str:
        """A name for an uplink, whose OpenFlow port no other one has."""
        while link_ofport(f"ovs-{word}{self._next()}") in self._ports:
            pass
        self._ports.add(link_ofport(f"ovs-{word}{self._count}"))
        return f"{word}{self._count}"

    def _maybe(self, chance: float = 0.5) -> bool:
        return self._rng.random() < chance

    def fleet(self) -> Inventory:
        hosts = self._rng.sample(_HOSTS, self._rng.randint(1, 3))
        mesh = self._rng.choice(("wireguard", "netmaker", None))
        network = self._rng.choice(("privacy-mesh", "lab_2"))
        return {host: self._host(place, len(hosts), mesh, network) for place, host in enumerate(hosts)}

    def _host(self, place: int, hosts: int, mesh: str | None, network: str) -> dict[str, Any]:
        variables: dict[str, Any] = {}
        bridges = [self._bridge(self._rng.choice(("mesh", "vmbr0", "sock")))]
        uplinks: list[dict[str, Any]] = []
        served = bridges[0]
        if mesh and (place == 0 or self._maybe(0.9)):
            entry = served["name"]
            if self._maybe():
                entry = "transit"
                bridges.append({"name": "transit"})
                ends = {"name": "to-socket", "bridge": "transit"}, {"name": "from-mesh", "bridge": served["name"]}
                first, second = self._rng.sample(ends, 2)
                variables["socket_bridge_veth_pairs"] = [{"peer1": first, "peer2": second}]
            uplinks.append(self._mesh(mesh, network, entry, place, hosts))
        if self._maybe(0.3):
            bridges.append(self._bridge("other"))
        for bridge in bridges:
            if "subnet" in bridge:
                self._exits(bridge["name"], uplinks)
        if len([bridge for bridge in bridges if "subnet" in bridge]) > 1 or self._maybe(0.3):
            for bridge in bridges:
                if "subnet" in bridge:
                    uplinks.append({"name": self._link("host"), "kind": "host", "bridge": bridge["name"]})
        public: set[tuple[str, int]] = {("udp", uplink.get("listen_port", 51821)) for uplink in uplinks}
        containers = [
            container
            for bridge in bridges
            if "subnet" in bridge
            for container in self._containers(bridge, uplinks, public)
        ]
        variables["socket_bridge_bridges"] = bridges
        if uplinks or self._maybe():
            variables["socket_bridge_uplinks"] = uplinks
        if containers or self._maybe():
            variables["lxc_service_containers"] = containers
        return variables

    def _bridge(self, name: str) -> dict[str, Any]:
        length = self._rng.randint(18, 29)
        network = IPv4Network((0x0A000000 + (self._next() << 16), length))
        bridge: dict[str, Any] = {"name": name, "subnet": str(network)}
        if self._maybe(0.3):
            bridge["gateway"] = str(network[self._rng.randrange(1, network.num_addresses - 1)])
        if self._maybe(0.3):
            bridge["ct_zone"] = self._number()
        return bridge

    def _mesh(self, kind: str, network: str, bridge: str, place: int, hosts: int) -> dict[str, Any]:
        uplink: dict[str, Any] = {"name": self._link("nm-"), "kind": kind, "bridge": bridge, "network": network}
        uplink["address"] = f"10.200.{place}.{self._rng.randint(1, 254)}/16"
        if kind == "wireguard":
            digest = hashlib.sha256(str(self._next()).encode()).digest()
            uplink |= {"public_key": base64.b64encode(digest).decode(), "listen_port": 51000 + place}
        if place == 0:
            uplink |= {"endpoint": "192.0.2.1:51000" if kind == "wireguard" else "192.0.2.1", "relay": True}
        elif hosts > 1 and self._maybe(0.3):
            uplink["prefixes"] = self._rng.sample(_OUTSIDE, self._rng.randint(1, 3))
        if self._maybe(0.2):
            uplink["mtu"] = self._rng.choice((576, 1400, 9000))
        if self._maybe(0.2):
            uplink["number"] = self._number()
        return uplink

    def _exits(self, bridge: str, uplinks: list[dict[str, Any]]) -> None:
        for _exit in range(self._rng.choice((0, 1, 1, 2))):
            uplinks.append({"name": self._link("warp"), "kind": "warp", "bridge": bridge})

    def _containers(
        self, bridge: dict[str, Any], uplinks: list[dict[str, Any]], public: set[tuple[str, int]]
    ) -> list[dict[str, Any]]:
        network = IPv4Network(bridge["subnet"])
        gateway = bridge.get("gateway", str(network[1]))
        free = [number for number in sorted({2, 3, 4, 5, network.num_addresses - 2}) if str(network[number]) != gateway]
        exits = [
            uplink["name"] for uplink in uplinks if uplink["kind"] == "warp" and uplink["bridge"] == bridge["name"]
        ]
        made = []
        for number in self._rng.sample(sorted(free), self._rng.randint(0, min(4, len(free)))):
            serial = self._next()
            container: dict[str, Any] = {
                "id": str(100 + serial),
                "name": f"{self._rng.choice(_NAMES)}-{serial}",
                "veth": f"veth{100 + serial}",
                "bridge": bridge["name"],
                "ipv4_address": f"{network[number]}/{network.prefixlen}",
            }
            if exits and self._maybe(0.7):
                container["egress"] = self._rng.choice(exits)
            if self._maybe(0.8):
                container["services"] = self._services(public)
            made.append(container)
        return made

    def _services(self, public: set[tuple[str, int]]) -> list[dict[str, Any]]:
        ports = self._rng.sample(
            [(protocol, port) for protocol in _PROTOCOLS for port in _PORTS], self._rng.randint(0, 4)
        )
        made = []
        for (protocol, port), name in zip(ports, _SERVICES, strict=False):
            service: dict[str, Any] = {"name": name, "protocol": protocol, "port": port}
            if self._maybe(0.3):
                service["exposed"] = self._maybe()
            if service.get("exposed") is not False and self._maybe(0.7):
                service["exposed_to"] = self._rng.sample(_SOURCES, self._rng.randint(0, 4))
            if "internet" in service.get("exposed_to", ()):
                service["public_port"] = port
                while (protocol, service["public_port"]) in public:
                    service["public_port"] = 20000 + self._next()
                public.add((protocol, service["public_port"]))
            made.append(service)
        return made


_JUNK: tuple[Any, ...] = (
    None, "", " ", True, False, 0, -1, 1, 255, 65535, 65536, 10**30, 0.5, float("nan"), float("inf"), [], {}, [None],
    [[]], [{}], {"name": None}, {1: 2}, {None: None}, "mesh", "warp0", "host", "netmaker", "10.0.0.0/24", "10.0.0.1/24",
    "10.0.0.0/8", "0.0.0.0/0", "127.0.0.1/8", "224.0.0.1/24", "255.255.255.255", "10.0.0.256", "fd00::1/64", "x" * 16,
    "a\nb", "a,b", "in_port", "LOCAL", "local", "vpn", "mesh, internet", "443", "22-80", "192.0.2.1:0", "[::1]:51821",
    "192.0.2.1", "example.org:51821", "A" * 43 + "=", "{{ x }}", "\x00", "ä", "literal", ["actions=drop"],
    {"mesh": ["normal"]}, {"mesh": ["priority=1,actions=normal", "in_port=veth101,actions=output:warp0"]},
)  # fmt: skip


def spoiled() -> st.SearchStrategy[Inventory]:
    """A valid inventory with one to three places changed into something that need not make sense."""
    return st.tuples(valid(), st.randoms(use_true_random=False)).map(lambda drawn: _spoil(*drawn))


def _spoil(inventory: Inventory, rng: Random) -> Inventory:
    for _time in range(rng.randint(1, 3)):
        places = _places(inventory)
        if not places:
            break
        holder, key = rng.choice(places)
        change = rng.randrange(6)
        if change == 0:
            del holder[key]
        elif change == 1 and isinstance(holder, list):
            holder.append(deepcopy(holder[key]))
        elif change == 2 and isinstance(holder, dict):
            holder[rng.choice(("nam", "services", "prefixes", "peer1", 7, "socket_bridge_mode"))] = rng.choice(_JUNK)
        elif change == 3:
            other, name = rng.choice(places)
            holder[key] = deepcopy(other[name])
        else:
            holder[key] = deepcopy(rng.choice(_JUNK))
    return inventory


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every place of ``value`` as (what holds it, its key there); the value itself when it is empty."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    found = [(value, key) for key in keys]
    for key in keys:
        found += _places(value[key])
    return found


def shuffled(value: Any, rng: Random) -> Any:
    """``value`` with every list and every dictionary in another order."""
    if isinstance(value, dict):
        return {key: shuffled(value[key], rng) for key in rng.sample(list(value), len(value))}
    if isinstance(value, list):
        return [shuffled(item, rng) for item in rng.sample(value, len(value))]
    return value
