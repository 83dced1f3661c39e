# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Checks on one node as a whole: what no single item of its inventory can show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from ipaddress import IPv4Network

from .._errors import Fault
from .model import Bridge, Container, Node, Uplink, VethEnd, VethPair
from .report import Report

NEVER_ROUTED = tuple(IPv4Network(text) for text in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"))
"""Destinations that no uplink ever gets: this host, loopback, link-local, multicast and reserved."""

Bridges = Mapping[str, Bridge]


def check_node(node: Node, broken: Set[str], faults: list[Fault]) -> None:
    """Record what is wrong with ``node`` by itself.

    ``broken`` names bridges and uplinks that could not be read: they are there, so nobody is told that they are not.
    """
    report = Report(faults)
    bridges = {bridge.name: bridge for bridge in node.bridges}
    _check_names(node, report)
    _check_numbers(node, report)
    for bridge in node.bridges:
        if bridge.subnet is not None:
            _check_bridge(node, bridge, bridge.subnet, report)
        elif not broken:
            _check_transit(node, bridge, bridges, report)
    for uplink in node.uplinks:
        if uplink.bridge not in broken:
            _check_uplink(node, uplink, bridges, report)
    for pair in node.veth_pairs:
        if not broken & {pair.peer1.bridge, pair.peer2.bridge}:
            _check_pair(pair, bridges, report)
    for container in node.containers:
        if container.bridge not in broken:
            _check_container(container, bridges, report)
            _check_services(node, container, report)
            if container.egress is not None and container.egress not in broken:
                _check_egress(node, container, container.egress, report)
    _check_host_ports(node, report)


def _ends(node: Node) -> Iterator[tuple[VethEnd, str, str]]:
    for pair in node.veth_pairs:
        yield pair.peer1, pair.origin, "name"
        yield pair.peer2, pair.origin, "name"


def _check_names(node: Node, report: Report) -> None:
    interfaces = [(bridge.name, bridge.origin, "name", bridge.name) for bridge in node.bridges]
    interfaces += [(end.name, origin, key, end.name) for end, origin, key in _ends(node)]
    netmaker = [uplink for uplink in node.uplinks if uplink.kind == "netmaker"]
    for uplink in node.uplinks:
        interfaces.append((uplink.gateway_port, uplink.origin, "name", uplink.name))
        interfaces.append((uplink.bridge_port, uplink.origin, "name", uplink.name))
        if uplink.device is not None and uplink not in netmaker[1:]:
            interfaces.append((uplink.device, uplink.origin, "device", uplink.device))
    for extra in netmaker[1:]:
        problem = f"the host is in network {netmaker[0].network} already, and netclient has one interface for all."
        fix = "keep one uplink of kind netmaker a host."
        report.fault(extra.origin, "network", extra.network, problem, fix)
    containers = node.containers
    interfaces += [(container.veth, container.origin, "veth", container.veth) for container in containers]
    report.unique(interfaces, "this interface name", "give every bridge, port and veth of a node its own name.")
    names = [(container.name, container.origin, "name", container.name) for container in containers]
    report.unique(names, "this container name", "give every container of a node its own name.")
    ids = [(container.id, container.origin, "id", container.id) for container in containers]
    report.unique(ids, "this container id", "give every container of a node its own id.")
    addresses = [(container.ip, container.origin, "ipv4_address", container.address) for container in containers]
    report.unique(addresses, "this address", "give every container its own address.")


def _check_numbers(node: Node, report: Report) -> None:
    zones = [(bridge.ct_zone, bridge.origin, "ct_zone", bridge.ct_zone) for bridge in node.bridges]
    report.unique(zones, "this conntrack zone", "set ct_zone to a number that no other bridge of the node has.")
    links: list[tuple[int, str, str, object]]
    links = [(uplink.number, uplink.origin, "number", uplink.number) for uplink in node.uplinks]
    links += [(end.number, origin, key, f"{end.name} (number {end.number})") for end, origin, key in _ends(node)]
    report.unique(links, "this link number", "set number of the uplink to one that no other link of the node has.")
    ports = [(uplink.ofport, uplink.origin, "name", uplink.name) for uplink in node.uplinks]
    ports += [(end.ofport, origin, key, end.name) for end, origin, key in _ends(node)]
    report.unique(ports, "the OpenFlow port number that follows from this name", "choose another name.")


def _check_bridge(node: Node, bridge: Bridge, subnet: IPv4Network, report: Report) -> None:
    origin = bridge.origin
    if not 18 <= subnet.prefixlen <= 29:
        problem = "container ports and registers are numbered for subnets from /18 to /29."
        report.fault(origin, "subnet", subnet, problem, "choose a subnet from /18 to /29, such as 10.0.0.0/24.")
    taken = next((network for network in NEVER_ROUTED if network.overlaps(subnet)), None)
    if taken is not None:
        problem = f"it overlaps {taken}, which is never routed (and 0.0.0.1 would get the router's MAC address)."
        report.fault(origin, "subnet", subnet, problem, "choose a private subnet such as 10.0.0.0/24.")
    if bridge.gateway is not None and not _is_host_address(bridge.gateway, subnet):
        problem = f"it is not a host address of {subnet}."
        report.fault(origin, "gateway", bridge.gateway, problem, f"leave it out ({subnet.network_address + 1}).")
    hosts = [uplink for uplink in node.uplinks_of(bridge.name) if uplink.kind == "host"]
    for extra in hosts[1:]:
        problem = f"bridge {bridge.name} already has the host uplink {hosts[0].name}."
        report.fault(extra.origin, "kind", extra.kind, problem, "remove one of them.")


def _check_transit(node: Node, bridge: Bridge, bridges: Bridges, report: Report) -> None:
    uplinks, ends = node.uplinks_of(bridge.name), node.ends(bridge.name)
    names = ", ".join(uplink.name for uplink in uplinks) or "none"
    if len(uplinks) != 1 or not uplinks[0].is_mesh:
        problem = f"a bridge without a subnet passes one mesh uplink through; this one has: {names}."
        report.fault(bridge.origin, "", bridge.name, problem, "set subnet, or give it exactly one mesh uplink.")
    served = [far for _near, far in ends if far.bridge in bridges and bridges[far.bridge].subnet is not None]
    if len(served) != 1 or len(ends) != 1:
        problem = f"a bridge without a subnet needs one veth pair to a bridge with one; this one has {len(ends)}."
        report.fault(bridge.origin, "", bridge.name, problem, "set subnet, or join it in socket_bridge_veth_pairs.")


def _check_uplink(node: Node, uplink: Uplink, bridges: Bridges, report: Report) -> None:
    origin = uplink.origin
    if uplink.bridge not in bridges:
        report.fault(origin, "bridge", uplink.bridge, "this node has no such bridge.", _known(bridges))
        return
    if uplink.kind == "warp" and bridges[uplink.bridge].subnet is None:
        problem = "an exit needs a bridge with containers."
        report.fault(origin, "bridge", uplink.bridge, problem, "name a bridge with a subnet.")
    served = node.served_bridge(uplink)
    for prefix in uplink.prefixes:
        taken = next((network for network in NEVER_ROUTED if network.overlaps(prefix)), None)
        if prefix.prefixlen == 0:
            report.fault(origin, "prefixes", prefix, "a mesh is not an exit.", "use an uplink of kind warp as egress.")
        elif taken is not None:
            report.fault(origin, "prefixes", prefix, f"it overlaps {taken}, which is never routed.", "remove it.")
        elif served is not None and served.subnet is not None and prefix.overlaps(served.subnet):
            problem = f"it overlaps {served.subnet}, the subnet of bridge {served.name} on this node."
            report.fault(origin, "prefixes", prefix, problem, "remove it; local rules would win silently.")
    if uplink.address is not None and not _is_host_address(uplink.address.ip, uplink.address.network):
        problem = f"it is not a host address of {uplink.address.network}."
        report.fault(origin, "address", uplink.address, problem, "write it like 10.100.0.2/16.")
    if uplink.relay and uplink.endpoint is None:
        problem = "a relay must be reachable from outside, and this node has no endpoint."
        report.fault(origin, "relay", "true", problem, "set endpoint, or make another node the relay.")


def _check_pair(pair: VethPair, bridges: Bridges, report: Report) -> None:
    unknown = [end for end in (pair.peer1, pair.peer2) if end.bridge not in bridges]
    for end in unknown:
        report.fault(pair.origin, "bridge", end.bridge, "this node has no such bridge.", _known(bridges))
    if unknown:
        return
    first, second = bridges[pair.peer1.bridge], bridges[pair.peer2.bridge]
    if first is second:
        report.fault(pair.origin, "bridge", first.name, "both ends are on the same bridge.", "name two bridges.")
    elif first.subnet is not None and second.subnet is not None:
        problem = "both bridges have a subnet; a veth pair joins a bridge with one to a transit bridge without."
        report.fault(pair.origin, "bridge", f"{first.name}, {second.name}", problem, "remove subnet of one of them.")


def _check_container(container: Container, bridges: Bridges, report: Report) -> None:
    bridge = bridges.get(container.bridge)
    if bridge is None:
        report.fault(container.origin, "bridge", container.bridge, "this node has no such bridge.", _known(bridges))
        return
    subnet, address = bridge.subnet, container.address
    if subnet is None:
        problem = "this bridge has no subnet: it is a transit bridge and carries no containers."
        served = {name: other for name, other in bridges.items() if other.subnet is not None}
        report.fault(container.origin, "bridge", container.bridge, problem, _known(served))
    elif address.ip not in subnet:
        fix = f"choose an address of {subnet}."
        report.fault(container.origin, "ipv4_address", address, f"it is outside of {subnet} of {bridge.name}.", fix)
    elif address.network != subnet:
        fix = f"write {address.ip}/{subnet.prefixlen}."
        report.fault(container.origin, "ipv4_address", address, f"the prefix length is not that of {subnet}.", fix)
    elif not _is_host_address(address.ip, subnet):
        problem = f"it is the network or broadcast address of {subnet}."
        report.fault(container.origin, "ipv4_address", address, problem, "choose a host address.")
    elif address.ip == bridge.gateway:
        problem = f"it is the gateway of bridge {bridge.name}."
        report.fault(container.origin, "ipv4_address", address, problem, "choose another address.")


def _check_egress(node: Node, container: Container, egress: str, report: Report) -> None:
    exits = [uplink.name for uplink in node.uplinks_of(container.bridge) if uplink.is_exit]
    if egress in exits:
        return
    uplink = next((uplink for uplink in node.uplinks if uplink.name == egress), None)
    if uplink is None:
        problem = "this node has no such uplink."
    elif not uplink.is_exit:
        problem = f"an uplink of kind {uplink.kind} is not an exit."
    else:
        problem = f"this uplink is on bridge {uplink.bridge}, the container is on {container.bridge}."
    choice = f"choose one of {', '.join(exits)}" if exits else "add an uplink of kind warp to the bridge"
    report.fault(container.origin, "egress", egress, problem, f"{choice}, or leave egress out.")


def _check_services(node: Node, container: Container, report: Report) -> None:
    services = container.services
    if len(services) > 1:
        names = [(service.name, service.origin, "name", service.name) for service in services]
        report.unique(names, "this service name", "give every service of a container its own name.")
        ports = [
            ((service.protocol, service.port), service.origin, "port", f"{service.protocol}/{service.port}")
            for service in services
        ]
        report.unique(ports, "this port", "describe every port of a container once.")
    kinds = {uplink.kind for uplink in node.uplinks_of(container.bridge)}
    for service in services:
        for source in sorted(service.exposed_to & {"host", "internet"}):
            if "host" not in kinds:
                problem = f"bridge {container.bridge} has no host uplink."
                fix = "add {name: host, kind: host, bridge: " + container.bridge + "} to socket_bridge_uplinks."
                report.fault(service.origin, "exposed_to", source, problem, fix)
        if "vpn" in service.exposed_to:
            problem = f"bridge {container.bridge} has no vpn uplink."
            report.fault(service.origin, "exposed_to", "vpn", problem, "remove vpn from exposed_to.")


def _check_host_ports(node: Node, report: Report) -> None:
    """Ports of the host itself: what it publishes, and where its tunnels listen."""
    ports: list[tuple[tuple[str, int], str, str, object]] = [
        (("udp", uplink.listen_port), uplink.origin, "listen_port", uplink.listen_port)
        for uplink in node.uplinks
        if uplink.listen_port is not None
    ]
    ports += [
        ((service.protocol, service.public_port), service.origin, "public_port", service.public_port)
        for container in node.containers
        for service in container.services
        if service.public_port is not None
    ]
    report.unique(ports, "this public port", "publish every (protocol, port) of a node once.")


def _is_host_address(address: object, network: IPv4Network) -> bool:
    inside = network.network_address, network.broadcast_address
    return address not in inside and address in network


def _known(bridges: Bridges) -> str:
    return f"choose one of {', '.join(sorted(bridges))}." if bridges else "add it to socket_bridge_bridges."
