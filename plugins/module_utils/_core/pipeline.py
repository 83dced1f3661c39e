# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""The rules of a bridge with a subnet, table by table."""

from __future__ import annotations

from collections.abc import Iterator

from .flow import DROP, Flow, Term, bare, ct, field, flow, goto, move, output, set_field
from .identity import CLASS_MASK, CONTAINER_CLASS, ROUTER_MAC
from .model import Container, Service
from .tables import ARP_GUARD, ARP_REPLY, CLASSIFY, COMMIT, CT, L3, OUT, POLICY, SPOOF, STATE, STEER, Pipeline
from .validate import NEVER_ROUTED
from .view import Link, View

IP, ARP = bare("ip"), bare("arp")
ANY_CONTAINER = field("reg0", f"{CONTAINER_CLASS:#x}/{CLASS_MASK:#x}")


def socket_flows(view: View) -> Iterator[Flow]:
    """Every rule of ``view`` except the misses."""
    yield from drop_flows(view)
    for container in view.containers:
        yield from _container_flows(view, container)
    for link in view.links:
        yield from classify(link.port, link.register, ARP_REPLY, link.origin)
        yield from link_flows(view, link)
    yield arp_reply(view)
    yield from _connection_flows(view)
    policy = list(_policy_flows(view))
    yield from policy
    if any(L3 in rule.next_tables for rule in policy):
        yield _commit(view)
    yield from _routing_flows(view)


def miss_flows(view: View, tables: Pipeline) -> Iterator[Flow]:
    """What happens to a packet that no rule of a table matches."""
    for table in tables.values():
        actions = DROP if table.miss is None else (goto(table.miss),)
        yield flow(table.number, 0, (), actions, f"{view.bridge.origin} (miss of table {table.name})")


def drop_flows(view: View) -> Iterator[Flow]:
    """Rules of their own, so that their counters tell what was dropped."""
    origin = view.bridge.origin
    yield flow(CLASSIFY, 1000, (field("vlan_tci", "0x1000/0x1000"),), DROP, f"{origin} (no VLAN tags)")
    yield flow(CLASSIFY, 900, (bare("ipv6"),), DROP, f"{origin} (no IPv6)")


def classify(port: str, register: int, arp_table: int, origin: str) -> Iterator[Flow]:
    """Physical port to logical source."""
    source = set_field(f"{register:#x}", "reg0")
    yield flow(CLASSIFY, 200, (ARP, field("in_port", port)), (source, goto(arp_table)), origin)
    yield flow(CLASSIFY, 200, (IP, field("in_port", port)), (source, goto(SPOOF)), origin)


def arp_reply(view: View) -> Flow:
    """One rule answers for the whole subnet, in the way of RFC 826: swap the addresses, send it back."""
    match = (ARP, field("arp_tpa", view.subnet), field("arp_op", 1))
    actions = (
        move("NXM_OF_ETH_SRC", "NXM_OF_ETH_DST"),
        set_field(ROUTER_MAC, "eth_src"),
        set_field(2, "arp_op"),
        move("NXM_NX_ARP_SHA", "NXM_NX_ARP_THA"),
        move("NXM_OF_ARP_TPA", "NXM_NX_REG2"),
        move("NXM_OF_ARP_SPA", "NXM_OF_ARP_TPA"),
        move("NXM_NX_REG2", "NXM_OF_ARP_SPA"),
        set_field(ROUTER_MAC, "arp_sha"),
        bare("IN_PORT"),
    )
    return flow(ARP_REPLY, 100, match, actions, view.subnet_origin)


def send_to(register: int, mac: str, table: int) -> tuple[Term, ...]:
    """Decide the logical destination and the receiver's MAC."""
    return set_field(f"{register:#x}", "reg1"), set_field(mac, "eth_dst"), goto(table)


def deliver(register: int, source_mac: str, port: str, origin: str) -> Flow:
    """Logical destination to physical port."""
    actions = (set_field(source_mac, "eth_src"), bare("dec_ttl"), output(port))
    return flow(OUT, 100, (IP, field("reg1", f"{register:#x}")), actions, origin)


def _container_flows(view: View, container: Container) -> Iterator[Flow]:
    origin, mac, address = container.origin, container.mac, container.ip
    me = field("reg0", f"{container.register:#x}")
    yield from classify(container.veth, container.register, ARP_GUARD, origin)
    own = (ARP, me, field("dl_src", mac), field("arp_spa", address), field("arp_sha", mac))
    yield flow(ARP_GUARD, 100, own, (goto(ARP_REPLY),), origin)
    probe = (ARP, me, field("arp_tpa", address), field("arp_op", 1))
    yield flow(ARP_REPLY, 110, probe, DROP, f"{origin} (its own address stays unanswered)")
    yield flow(SPOOF, 100, (IP, me, field("dl_src", mac), field("nw_src", address)), (goto(CT),), origin)
    here = send_to(container.register, mac, COMMIT)
    yield flow(L3, 232, (IP, field("nw_dst", address)), here, f"{origin}.ipv4_address")
    yield deliver(container.register, ROUTER_MAC, container.veth, origin)
    if container.egress is not None:
        (way,) = (link for link in view.links if link.name == container.egress)
        egress = f"{origin}.egress"
        yield flow(POLICY, 100, (IP, me), (goto(L3),), egress)
        yield flow(L3, 100, (IP, me), send_to(way.register, way.far_mac, COMMIT), egress)


def link_flows(view: View, link: Link) -> Iterator[Flow]:
    """What every link of a socket bridge has: sender check, replies, delivery."""
    me, origin = field("reg0", f"{link.register:#x}"), link.origin
    yield flow(SPOOF, 100, (IP, me, field("nw_src", view.subnet)), DROP, f"{origin} (claims a local address)")
    yield flow(SPOOF, 90, (IP, me, field("dl_src", link.far_mac)), (goto(CT),), origin)
    reply = (field("ct_state", "-new+rpl+trk"), field("ct_mark", f"{link.register:#x}"), IP)
    back = send_to(link.register, link.far_mac, COMMIT)
    yield flow(STATE, 150, reply, back, f"{origin} (replies to connections from there)")
    yield deliver(link.register, link.source_mac, link.port, origin)


def _connection_flows(view: View) -> Iterator[Flow]:
    zone, origin = view.bridge.ct_zone, f"{view.bridge.origin} (connection tracking)"
    yield flow(CT, 100, (IP,), (ct(f"table={STATE},zone={zone}"),), origin)
    yield flow(STATE, 200, (field("ct_state", "+inv+trk"), IP), DROP, f"{view.bridge.origin} (invalid packets)")
    yield flow(STATE, 100, (field("ct_state", "-new+trk"), IP), (goto(L3),), origin)
    yield flow(STATE, 90, (field("ct_state", "+new+trk"), IP), (goto(STEER),), origin)


def _commit(view: View) -> Flow:
    """Remember who opened a connection. Where the policy lets none in, nothing new ever comes here."""
    origin = f"{view.bridge.origin} (connection tracking)"
    remember = ct(f"commit,zone={view.bridge.ct_zone},exec(move:NXM_NX_REG0[]->NXM_NX_CT_MARK[])")
    return flow(COMMIT, 100, (field("ct_state", "+new+trk"), IP), (remember, goto(OUT)), origin)


def _policy_flows(view: View) -> Iterator[Flow]:
    origin = view.bridge.origin
    for container in view.containers:
        for service in container.services:
            yield from _service_flows(view, container, service)
    stray = (bare("tcp"), field("tcp_flags", "-syn"))
    yield flow(POLICY, 190, stray, DROP, f"{origin} (a connection starts with SYN)")
    yield flow(POLICY, 150, (IP, field("nw_dst", view.subnet)), DROP, f"{view.subnet_origin} (isolation)")
    for link in view.links if view.containers else ():
        for route in link.routes:
            match = (IP, ANY_CONTAINER, field("nw_dst", route.prefix))
            yield flow(POLICY, 110, match, (goto(L3),), f"{route.origin} through {link.origin}")


def _service_flows(view: View, container: Container, service: Service) -> Iterator[Flow]:
    sources: dict[Term, list[str]] = {}
    if "local" in service.exposed_to:
        sources[ANY_CONTAINER] = ["local"]
    for link in view.links:
        words = [word for word in ("mesh",) if link.is_mesh and word in service.exposed_to]
        words += [word for word in ("host", "internet") if link.is_host and word in service.exposed_to]
        if words:
            sources[field("reg0", f"{link.register:#x}")] = words
    service_port = field("nw_dst", container.ip), field("tp_dst", service.port)
    for source, words in sources.items():
        match = (bare(service.protocol), source, *service_port)
        yield flow(POLICY, 200, match, (goto(L3),), f"{service.origin} from {', '.join(words)}")


def _routing_flows(view: View) -> Iterator[Flow]:
    yield flow(L3, 224, (IP, field("nw_dst", view.subnet)), DROP, f"{view.subnet_origin} (no such container)")
    for prefix in NEVER_ROUTED:
        yield flow(L3, 222, (IP, field("nw_dst", prefix)), DROP, f"{view.bridge.origin} (never routed)")
    for link in view.links:
        way = send_to(link.register, link.far_mac, COMMIT)
        for route in link.routes:
            match = (IP, field("nw_dst", route.prefix))
            yield flow(L3, 100 + route.prefix.prefixlen, match, way, f"{route.origin} through {link.origin}")
