# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong between the items of one node."""

from __future__ import annotations

from ansible_collections.op_dbus.socket_network.plugins.module_utils._core import identity

from tests.unit.core.samples import two_bridges
from tests.unit.core.spoiling import (
    BRIDGES,
    CONTAINERS,
    DROPLET,
    FIRST,
    HOME,
    MESH,
    NOT_A_BRIDGE,
    PAIRS,
    SECOND,
    UPLINKS,
    VLESS,
    WARP,
    XRAY,
    Case,
    added,
    bridge,
    container,
    extra_container,
    same_ofport,
    service,
    set_in,
    uplink,
)

NODES = [
    # taken
    Case(
        "same veth",
        set_in(container, veth="veth100"),
        f"{HOME}: {XRAY}.veth = veth100: this interface name is taken by {CONTAINERS}[gateway].veth. Fix: give every "
        "bridge, port and veth of a node its own name.",
    ),
    Case(
        "veth like a port",
        set_in(container, veth="ovs-warp0"),
        f"{HOME}: {XRAY}.veth = ovs-warp0: this interface name is taken by {WARP}.name. Fix: give every bridge, port "
        "and veth of a node its own name.",
    ),
    Case(
        "same device",
        set_in(uplink, device="warp0"),
        f"{HOME}: {WARP}.device = warp0: this interface name is taken by {MESH}.device. Fix: give every bridge, port "
        "and veth of a node its own name.",
    ),
    Case(
        "same container name",
        added(CONTAINERS, extra_container(name="gateway")),
        f"{HOME}: {CONTAINERS}[gateway].name = gateway: this container name is taken by {CONTAINERS}[gateway].name. "
        "Fix: give every container of a node its own name.",
    ),
    Case(
        "same id",
        set_in(container, id="100"),
        f"{HOME}: {XRAY}.id = 100: this container id is taken by {CONTAINERS}[gateway].id. Fix: give every container "
        "of a node its own id.",
    ),
    Case(
        "same address",
        set_in(container, ipv4_address="10.0.0.100/24"),
        f"{HOME}: {XRAY}.ipv4_address = 10.0.0.100/24: this address is taken by {CONTAINERS}[gateway].ipv4_address. "
        "Fix: give every container its own address.",
    ),
    Case(
        "same service name",
        set_in(lambda i: service(i, 1), name="xray-vless"),
        f"{HOME}: {VLESS}.name = xray-vless: this service name is taken by {VLESS}.name. Fix: give every service of a "
        "container its own name.",
    ),
    Case(
        "same port",
        set_in(lambda i: service(i, 1), port=443),
        f"{HOME}: {XRAY}.services[xray-vmess].port = tcp/443: this port is taken by {VLESS}.port. Fix: describe every "
        "port of a container once.",
    ),
    Case(
        "published twice",
        lambda i: [s.update(exposed_to=["internet"], exposed=True, public_port=8443) for s in container(i)["services"]],
        f"{HOME}: {XRAY}.services[xray-vmess].public_port = 8443: this public port is taken by {VLESS}.public_port. "
        "Fix: publish every (protocol, port) of a node once.",
    ),
    Case(
        "published over a tunnel",
        set_in(service, protocol="udp", exposed_to=["internet"], public_port=51821),
        f"{HOME}: {VLESS}.public_port = 51821: this public port is taken by {MESH}.listen_port. Fix: publish every "
        "(protocol, port) of a node once.",
    ),
    Case(
        "same number",
        set_in(uplink, number=identity.digest16("warp0")),
        f"{HOME}: {WARP}.number = 22916: this link number is taken by {MESH}.number. Fix: set number of the uplink to "
        "one that no other link of the node has.",
    ),
    Case(
        "same number as a veth end",
        set_in(uplink, number=identity.digest16("to-socket")),
        f"{HOME}: {PAIRS}[from-mesh, to-socket].name = to-socket (number {identity.digest16('to-socket')}): this link "
        f"number is taken by {MESH}.number. Fix: set number of the uplink to one that no other link of the node has.",
        two_bridges,
    ),
    Case(
        "number out of range",
        set_in(uplink, number=0),
        f"{HOME}: {MESH}.number = 0: the number is out of range. Fix: choose a number from 1 to 65535.",
    ),
    Case(
        "same ofport",
        same_ofport,
        f"{HOME}: {UPLINKS}[{max(FIRST, SECOND)}].name = {max(FIRST, SECOND)}: the OpenFlow port number that follows "
        f"from this name is taken by {UPLINKS}[{min(FIRST, SECOND)}].name. Fix: choose another name.",
    ),
    Case(
        "same zone",
        added(BRIDGES, {**NOT_A_BRIDGE, "ct_zone": 4242}),
        f"{HOME}: {BRIDGES}[x].ct_zone = 4242: this conntrack zone is taken by {BRIDGES}[mesh].ct_zone. Fix: set "
        "ct_zone to a number that no other bridge of the node has.",
    ),
    Case(
        "zone 0",
        set_in(bridge, ct_zone=0),
        f"{HOME}: {BRIDGES}[mesh].ct_zone = 0: the number is out of range. Fix: choose a number from 1 to 65535.",
    ),
    Case(
        "two host uplinks",
        lambda i: i[HOME][UPLINKS].extend({"name": n, "kind": "host", "bridge": "mesh"} for n in ("h1", "h2")),
        f"{HOME}: {UPLINKS}[h2].kind = host: bridge mesh already has the host uplink h1. Fix: remove one of them.",
    ),
    # addresses
    Case(
        "no network",
        set_in(bridge, subnet="10.0.0.0"),
        f"{HOME}: {BRIDGES}[mesh].subnet = '10.0.0.0': this is not an IPv4 network. Fix: write it like 10.0.0.0/24.",
    ),
    Case(
        "host bits",
        set_in(bridge, subnet="10.0.0.1/24"),
        f"{HOME}: {BRIDGES}[mesh].subnet = '10.0.0.1/24': the network has host bits set. Fix: write 10.0.0.0/24.",
    ),
    Case(
        "wide subnet",
        added(BRIDGES, {"name": "x", "subnet": "10.8.0.0/17"}),
        f"{HOME}: {BRIDGES}[x].subnet = 10.8.0.0/17: container ports and registers are numbered for subnets from /18 "
        "to /29. Fix: choose a subnet from /18 to /29, such as 10.0.0.0/24.",
    ),
    Case(
        "narrow subnet",
        added(BRIDGES, {"name": "x", "subnet": "10.8.0.0/30"}),
        f"{HOME}: {BRIDGES}[x].subnet = 10.8.0.0/30: container ports and registers are numbered for subnets from /18 "
        "to /29. Fix: choose a subnet from /18 to /29, such as 10.0.0.0/24.",
    ),
    Case(
        "subnet of the router",
        added(BRIDGES, {"name": "x", "subnet": "0.0.0.0/24"}),
        f"{HOME}: {BRIDGES}[x].subnet = 0.0.0.0/24: it overlaps 0.0.0.0/8, which is never routed (and 0.0.0.1 would "
        "get the router's MAC address). Fix: choose a private subnet such as 10.0.0.0/24.",
    ),
    Case(
        "gateway outside",
        set_in(bridge, gateway="10.9.0.1"),
        f"{HOME}: {BRIDGES}[mesh].gateway = 10.9.0.1: it is not a host address of 10.0.0.0/24. Fix: leave it out "
        "(10.0.0.1).",
    ),
    Case(
        "gateway no address",
        set_in(bridge, gateway="first"),
        f"{HOME}: {BRIDGES}[mesh].gateway = 'first': this is not an IPv4 address. Fix: write it like 10.0.0.1.",
    ),
    Case(
        "gateway without subnet",
        set_in(bridge, gateway="10.0.0.1"),
        f"{HOME}: {BRIDGES}[mesh].gateway = '10.0.0.1': a bridge without a subnet has no gateway. Fix: remove it or "
        "set subnet.",
        two_bridges,
    ),
    Case(
        "address without length",
        set_in(container, ipv4_address="10.0.0.102"),
        f"{HOME}: {XRAY}.ipv4_address = '10.0.0.102': this is not an IPv4 address with a prefix length. Fix: write it "
        "like 10.0.0.102/24.",
    ),
    Case(
        "address outside",
        set_in(container, ipv4_address="10.1.0.102/24"),
        f"{HOME}: {XRAY}.ipv4_address = 10.1.0.102/24: it is outside of 10.0.0.0/24 of mesh. Fix: choose an address of "
        "10.0.0.0/24.",
    ),
    Case(
        "other prefix length",
        set_in(container, ipv4_address="10.0.0.102/16"),
        f"{HOME}: {XRAY}.ipv4_address = 10.0.0.102/16: the prefix length is not that of 10.0.0.0/24. Fix: write "
        "10.0.0.102/24.",
    ),
    Case(
        "broadcast address",
        set_in(container, ipv4_address="10.0.0.255/24"),
        f"{HOME}: {XRAY}.ipv4_address = 10.0.0.255/24: it is the network or broadcast address of 10.0.0.0/24. Fix: "
        "choose a host address.",
    ),
    Case(
        "network address",
        set_in(container, ipv4_address="10.0.0.0/24"),
        f"{HOME}: {XRAY}.ipv4_address = 10.0.0.0/24: it is the network or broadcast address of 10.0.0.0/24. Fix: "
        "choose a host address.",
    ),
    Case(
        "gateway's address",
        set_in(container, ipv4_address="10.0.0.1/24"),
        f"{HOME}: {XRAY}.ipv4_address = 10.0.0.1/24: it is the gateway of bridge mesh. Fix: choose another address.",
    ),
    Case(
        "overlapping subnets",
        added(BRIDGES, {"name": "x", "subnet": "10.1.0.128/25"}),
        f"{HOME}: {BRIDGES}[x].subnet = 10.1.0.128/25: it overlaps 10.1.0.0/24 of {DROPLET}: {BRIDGES}[mesh].subnet. "
        "Fix: give every bridge and every overlay a network of its own.",
    ),
    Case(
        "subnet in overlay",
        added(BRIDGES, {"name": "x", "subnet": "10.100.7.0/24"}),
        f"{HOME}: {BRIDGES}[x].subnet = 10.100.7.0/24: it overlaps 10.100.0.0/16 of {HOME}: {MESH}.address. Fix: give "
        "every bridge and every overlay a network of its own.",
    ),
    # references
    Case(
        "unknown bridge",
        set_in(container, bridge="vmbr0"),
        f"{HOME}: {XRAY}.bridge = vmbr0: this node has no such bridge. Fix: choose one of mesh.",
    ),
    Case(
        "uplink on unknown bridge",
        set_in(uplink, bridge="vmbr0"),
        f"{HOME}: {MESH}.bridge = vmbr0: this node has no such bridge. Fix: choose one of mesh.",
    ),
    Case(
        "unknown egress",
        set_in(container, egress="warp1"),
        f"{HOME}: {XRAY}.egress = warp1: this node has no such uplink. Fix: choose one of warp0, or leave egress out.",
    ),
    Case(
        "egress is no exit",
        set_in(container, egress="nm-privacy"),
        f"{HOME}: {XRAY}.egress = nm-privacy: an uplink of kind wireguard is not an exit. Fix: choose one of warp0, or "
        "leave egress out.",
    ),
    Case(
        "unknown source",
        set_in(service, exposed_to=["lan"]),
        f"{HOME}: {VLESS}.exposed_to = 'lan': nobody knows this source. Fix: choose from local, mesh, vpn, host, "
        "internet.",
    ),
    Case(
        "exposed or not",
        set_in(service, exposed=False, exposed_to=["mesh"]),
        f"{HOME}: {VLESS}.exposed = False: exposed_to says the opposite. Fix: remove exposed or empty exposed_to.",
    ),
    Case(
        "vpn",
        set_in(service, exposed_to=["vpn"]),
        f"{HOME}: {VLESS}.exposed_to = vpn: bridge mesh has no vpn uplink. Fix: remove vpn from exposed_to.",
    ),
    Case(
        "internet without host uplink",
        lambda i: (i[HOME][BRIDGES].append(NOT_A_BRIDGE), service(i).update(exposed_to=["internet"])),
        f"{HOME}: {VLESS}.exposed_to = internet: bridge mesh has no host uplink. Fix: add "
        f"{{name: host, kind: host, bridge: mesh}} to socket_bridge_uplinks.",
    ),
    Case(
        "public port unpublished",
        set_in(service, public_port=443),
        f"{HOME}: {VLESS}.public_port = 443: the service is not published. Fix: add internet to exposed_to.",
    ),
    # veth pairs and transit bridges
    Case(
        "pair on one bridge",
        lambda i: i[HOME][PAIRS].append(
            {"peer1": {"name": "a", "bridge": "vmbr0"}, "peer2": {"name": "b", "bridge": "vmbr0"}}
        ),
        f"{HOME}: {PAIRS}[a, b].bridge = vmbr0: both ends are on the same bridge. Fix: name two bridges.",
        two_bridges,
    ),
    Case(
        "pair to unknown bridge",
        added(PAIRS, {"peer1": {"name": "a", "bridge": "mesh"}, "peer2": {"name": "b", "bridge": "lan"}}),
        f"{HOME}: {PAIRS}[a, b].bridge = lan: this node has no such bridge. Fix: choose one of mesh.",
    ),
    Case(
        "pair of socket bridges",
        lambda i: (
            i[HOME][BRIDGES].append(NOT_A_BRIDGE),
            i[HOME].update(
                {PAIRS: [{"peer1": {"name": "a", "bridge": "mesh"}, "peer2": {"name": "b", "bridge": "x"}}]}
            ),
        ),
        f"{HOME}: {PAIRS}[a, b].bridge = mesh, x: both bridges have a subnet; a veth pair joins a bridge with one to a "
        "transit bridge without. Fix: remove subnet of one of them.",
    ),
    Case(
        "half a pair",
        lambda i: i[HOME][PAIRS].append({"peer1": {"name": "a", "bridge": "mesh"}}),
        f"{HOME}: {PAIRS}[#2].peer2 = (not set): a veth pair needs it. Fix: set it.",
        two_bridges,
    ),
    Case(
        "container on transit",
        set_in(container, bridge="mesh", egress=None),
        f"{HOME}: {XRAY}.bridge = mesh: this bridge has no subnet: it is a transit bridge and carries no containers. "
        "Fix: choose one of vmbr0.",
        two_bridges,
    ),
    Case(
        "exit on transit",
        lambda i: i[HOME][UPLINKS].append({"name": "warp1", "kind": "warp", "bridge": "mesh"}),
        f"{HOME}: {BRIDGES}[mesh] = mesh: a bridge without a subnet passes one mesh uplink through; this one has: "
        "nm-privacy, warp1. Fix: set subnet, or give it exactly one mesh uplink.",
        two_bridges,
    ),
    Case(
        "lonely transit",
        added(BRIDGES, {"name": "x"}),
        f"{HOME}: {BRIDGES}[x] = x: a bridge without a subnet needs one veth pair to a bridge with one; this one has "
        "0. Fix: set subnet, or join it in socket_bridge_veth_pairs.",
    ),
]
