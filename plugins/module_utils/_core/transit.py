# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""The rules of a transit bridge: a mesh uplink on one side, a socket bridge on the other."""

from __future__ import annotations

from collections.abc import Iterator

from .flow import DROP, Flow, field, flow, goto
from .pipeline import IP, arp_reply, classify, deliver, drop_flows, send_to
from .tables import ARP_REPLY, L3, OUT, SPOOF
from .validate import NEVER_ROUTED
from .view import View


def transit_flows(view: View) -> Iterator[Flow]:
    """Every rule of ``view`` except the misses."""
    (mesh,) = (link for link in view.links if not link.is_end)
    (inside,) = (link for link in view.links if link.is_end)
    yield from drop_flows(view)
    yield arp_reply(view)
    for link in (mesh, inside):
        yield from classify(link.port, link.register, ARP_REPLY, link.origin)
        yield deliver(link.register, link.source_mac, link.port, link.origin)
    outer, inner = field("reg0", f"{mesh.register:#x}"), field("reg0", f"{inside.register:#x}")
    subnet = field("nw_src", view.subnet)
    yield flow(SPOOF, 100, (IP, outer, subnet), DROP, f"{mesh.origin} (claims a local address)")
    yield flow(SPOOF, 90, (IP, outer, field("dl_src", mesh.far_mac)), (goto(L3),), mesh.origin)
    yield flow(SPOOF, 90, (IP, inner, field("dl_src", inside.far_mac), subnet), (goto(L3),), inside.origin)
    inward = send_to(inside.register, inside.far_mac, OUT)
    yield flow(L3, 224, (IP, outer, field("nw_dst", view.subnet)), inward, view.subnet_origin)
    for prefix in NEVER_ROUTED:
        yield flow(L3, 222, (IP, field("nw_dst", prefix)), DROP, f"{view.bridge.origin} (never routed)")
    outward = send_to(mesh.register, mesh.far_mac, OUT)
    for route in mesh.routes:
        match = (IP, inner, field("nw_dst", route.prefix))
        origin = f"{route.origin} through {mesh.origin}"
        yield flow(L3, 100 + route.prefix.prefixlen, match, outward, origin)
