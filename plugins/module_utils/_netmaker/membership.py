# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""A host's membership of a network: what was found, what is wanted, and the checks that the server does not make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .egress import Row, WantedRow, refuse_clashes, wanted_rows
from .errors import NetmakerRefusedError
from .network import KEEPALIVE, MTU, Network
from .values import Address, address_or_none
from .views import HOST_FIELDS, host_view

PORTS = range(1, 65536)
_ADDRESSES = frozenset({"endpoint_ip", "endpoint_ip6"})


@dataclass(frozen=True, slots=True)
class Selector:
    """How the host is named. One of the three is set."""

    host_id: str | None
    public_key: str | None
    host_name: str | None

    def __str__(self) -> str:
        return self.host_name or self.host_id or f"with the public key {self.public_key}"

    def matches(self, raw: Mapping[str, Any]) -> bool:
        if self.host_id is not None:
            return str(raw.get("id")).lower() == self.host_id.lower()
        if self.public_key is not None:
            return raw.get("publickey") == self.public_key
        return raw.get("name") == self.host_name


@dataclass(frozen=True, slots=True)
class Wanted:
    """A membership as it should be; None leaves a setting as it is. ``relay_via`` is a name, "" for nobody.

    ``fixed`` has the addresses of other hosts by host name: who stands on our address against it is moved.
    """

    who: Selector
    network: str
    connected: bool = True
    join: bool = False
    address: Address | None = None
    address6: Address | None = None
    fixed: Mapping[str, Address] = field(default_factory=dict)
    host: Mapping[str, Any] = field(default_factory=dict)
    gateway: bool | None = None
    relay_via: str | None = None
    egress: tuple[WantedRow, ...] | None = None
    purge: bool = False
    purge_host: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What the server holds. ``nodes`` are those of the network, external clients among them."""

    network: Network | None
    host: Mapping[str, Any] | None
    nodes: tuple[Mapping[str, Any], ...] = ()
    rows: tuple[Row, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    """Host name by host id."""

    @property
    def node(self) -> Mapping[str, Any] | None:
        """The membership itself: a node that is about to be deleted is none."""
        number = None if self.host is None else self.host.get("id")
        mine = [node for node in self.members if node.get("hostid") == number]
        return next((node for node in mine if not node.get("pendingdelete")), None)

    @property
    def node_id(self) -> str | None:
        return None if self.node is None else str(self.node["id"])

    @property
    def members(self) -> list[Mapping[str, Any]]:
        """Nodes of hosts."""
        return [node for node in self.nodes if not node.get("is_static")]

    @property
    def living(self) -> dict[str, str]:
        """Host name by node id."""
        return {str(node["id"]): self.name_of(node) for node in self.members}

    def name_of(self, node: Mapping[str, Any]) -> str:
        if node.get("is_static"):
            return f"external client {(node.get('static_node') or {}).get('clientid') or node.get('id')}"
        number = str(node.get("hostid"))
        return self.names.get(number, number)

    def named(self, wanted: str) -> Mapping[str, Any] | None:
        """The node of the host ``wanted``, by name, host id or node id; a gateway before others."""
        found = [node for node in self.members if wanted in {node["id"], node.get("hostid"), self.name_of(node)}]
        return min(found, key=lambda node: not node.get("is_gw"), default=None)


def find_host(who: Selector, hosts: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The host that ``who`` names, None for none; names are not unique on the server."""
    found = [raw for raw in hosts if who.matches(raw)]
    if len(found) > 1:
        numbers = ", ".join(sorted(str(raw.get("id")) for raw in found))
        raise NetmakerRefusedError(
            "host_ambiguous",
            f"The server knows {len(found)} hosts {who}: {numbers}.",
            fix="give host_id (`id` in /etc/netclient/netclient.json), and delete the records of hosts that are gone.",
        )
    return found[0] if found else None


def wanted_membership(params: Mapping[str, Any]) -> Wanted:
    """What the module's ``params`` ask for."""
    return Wanted(
        who=Selector(params["host_id"], params["public_key"], params["host_name"]),
        network=params["network"],
        connected=params["state"] != "disconnected",
        join=params["join"],
        address=_address(params["address"], "address", 4),
        address6=_address(params["address6"], "address6", 6),
        fixed={
            name: found
            for name, text in (params["fixed_addresses"] or {}).items()
            if (found := _address(str(text), f"fixed_addresses of {name}", 4)) is not None
        },
        host=wanted_host(params["host"] or {}),
        gateway=params["gateway"],
        relay_via=params["relay_via"],
        egress=wanted_rows(params["egress"]),
        purge=params["egress_purge"],
        purge_host=params["purge_host"],
    )


def _address(text: str | None, option: str, version: int) -> Address | None:
    if not text:
        return None
    found = address_or_none(text)
    if found is None or found.version != version:
        example = "10.100.0.2" if version == 4 else "fd00::2"
        raise _invalid(f"{option} {text} is no IPv{version} address", f"write it as {example}")
    return found


def _invalid(message: str, fix: str) -> NetmakerRefusedError:
    return NetmakerRefusedError("invalid_value", f"{message}.", fix=f"{fix}.")


def wanted_host(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``options`` that are given, checked: the server takes a zero or an empty text for "as it was"."""
    given = {name: value for name, value in options.items() if value is not None}
    for name, bounds in (("listen_port", PORTS), ("mtu", MTU), ("keepalive", KEEPALIVE)):
        if name in given and given[name] not in bounds:
            raise _invalid(f"host {name} {given[name]} is out of bounds", f"use {bounds.start} to {bounds.stop - 1}")
    for name in _ADDRESSES & set(given):
        version = 6 if name == "endpoint_ip6" else 4
        found = _address(given[name], f"host {name}", version)
        if found is None:
            raise _invalid(f"host {name} cannot be emptied", "leave it out, or set static_endpoint to false")
        given[name] = str(found)
    if given.get("name") == "":
        raise _invalid("host name cannot be emptied", "leave it out")
    if given.get("is_default") and given.get("static_port") is False:
        raise _invalid("a default host has a static port", "leave static_port out, or is_default")
    return given


def host_changes(want: Wanted, have: Found) -> dict[str, Any]:
    """Fields of the host that are different, by our names."""
    if have.host is None:
        return dict(want.host)
    found = host_view(have.host)
    for name in _ADDRESSES:
        address = address_or_none(found[name])
        found[name] = None if address is None else str(address)
    return {name: value for name, value in want.host.items() if value != found[name]}


def host_body(raw: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The whole host with ``changes``."""
    body = dict(raw)
    for name, value in changes.items():
        body[HOST_FIELDS[name]] = ("yes" if value else "no") if name == "dns" else value
    return body


def node_changes(want: Wanted, have: Found) -> dict[str, Any]:
    """Fields of the node that are different, by the server's names; addresses carry the length of the network."""
    node: Mapping[str, Any] = have.node or {}
    found: dict[str, Any] = {}
    ranges = {"address": have.network and have.network.range, "address6": have.network and have.network.range6}
    for name, address in (("address", want.address), ("address6", want.address6)):
        if address is not None and address_or_none(node.get(name)) != address:
            network = ranges[name]
            found[name] = f"{address}/{network.prefixlen if network else address.max_prefixlen}"
    connected = bool(node.get("connected", True))
    return found if connected == want.connected else {**found, "connected": want.connected}


def squatters(want: Wanted, have: Found) -> list[Mapping[str, Any]]:
    """Nodes on our address that belong elsewhere by ``want.fixed``; refuses any other node on it."""
    found: list[Mapping[str, Any]] = []
    for node in have.nodes:
        if have.node is not None and node.get("id") == have.node["id"] and not node.get("is_static"):
            continue
        held = {address_or_none(node.get(name)) for name in ("address", "address6")} - {None}
        taken = held & {want.address, want.address6}
        if not taken:
            continue
        name = have.name_of(node)
        address = max(taken, key=lambda one: one.version if one else 0)
        if want.address6 in taken or want.fixed.get(name) in {None, address}:
            raise NetmakerRefusedError(
                "address_in_use",
                f"{address} in {want.network} is the address of {name}; {want.who} cannot have it too.",
                fix=f"take another address, or let {name} leave or move. To let this module move it to the address "
                "that it should have, name that in fixed_addresses.",
            )
        found.append(node)
    return found


def refuge(node: Mapping[str, Any], want: Wanted, have: Found) -> Address:
    """A free address for a node that stands on ours: its own when that is free, else the highest that nobody has."""
    held = {address_or_none(other.get("address")) for other in have.nodes}
    own = want.fixed[have.name_of(node)]
    if own not in held:
        return own
    network = have.network.range if have.network else None
    avoided = held | set(want.fixed.values()) | {want.address}
    for offset in range(2, 0 if network is None else min(network.num_addresses - 1, 4096)):
        candidate = network[-offset] if network is not None else None
        if candidate is not None and candidate not in avoided:
            return candidate
    raise NetmakerRefusedError(
        "address_in_use", f"{want.network} has no free address.", fix="take a larger range, or remove nodes."
    )


def refuse_nonsense(want: Wanted, have: Found) -> None:
    """Refuse what the server would take and the mesh would suffer from."""
    network = have.network
    if network is None:
        return
    for address, mine in ((want.address, network.range), (want.address6, network.range6)):
        if address is None:
            continue
        inside = mine is not None and address in mine
        edges = (mine.network_address, mine.broadcast_address) if mine is not None and mine.version == 4 else ()
        if not inside or address in edges:
            raise NetmakerRefusedError(
                "out_of_range",
                f"{address} is no host's address in {mine or 'a network without such addresses'} of {want.network}.",
                fix="take an address within the range, not its first or last.",
            )
    if want.relay_via and have.node is not None and have.named(want.relay_via) == have.node:
        raise _invalid(f"{want.who} cannot be relayed through itself", "leave relay_via out on the gateway")
    if want.gateway and want.relay_via:
        raise _invalid("a gateway cannot be relayed", "leave relay_via or gateway out")
    refuse_clashes(
        want.egress or (),
        have.rows,
        node=have.node_id,
        names=have.living,
        overlay=(network.range, network.range6),
        purge=want.purge,
    )
