# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every fault is refused with host, variable, value, problem and fix, and all of them in one report."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core import identity
from ansible_collections.op_dbus.socket_network.plugins.module_utils._errors import InvalidFleetError

from tests.unit.core.samples import fleet, key, one_bridge, two_bridges

Inventory = dict[str, Any]
HOME, DROPLET = "oo1424oo", "vps-gateway"
BRIDGES, UPLINKS = "socket_bridge_bridges", "socket_bridge_uplinks"
PAIRS, CONTAINERS = "socket_bridge_veth_pairs", "lxc_service_containers"
MESH, WARP = "socket_bridge_uplinks[nm-privacy]", "socket_bridge_uplinks[warp0]"
XRAY = "lxc_service_containers[xray-client]"
VLESS = f"{XRAY}.services[xray-vless]"
NOT_A_BRIDGE = {"name": "x", "subnet": "10.9.0.0/24"}


@dataclass(frozen=True)
class Case:
    """``spoil`` makes one fault; ``says`` is its whole line: "host: variable = value: problem Fix: fix"."""

    name: str
    spoil: Callable[[Inventory], object]
    says: str
    inventory: Callable[[], Inventory] = one_bridge


def bridge(inventory: Inventory, host: str = HOME) -> Inventory:
    return inventory[host][BRIDGES][0]


def uplink(inventory: Inventory, index: int = 0, host: str = HOME) -> Inventory:
    return inventory[host][UPLINKS][index]


def container(inventory: Inventory, index: int = 1, host: str = HOME) -> Inventory:
    return inventory[host][CONTAINERS][index]


def service(inventory: Inventory, index: int = 0) -> Inventory:
    return container(inventory)["services"][index]


def set_in(find: Callable[..., Inventory], **values: Any) -> Callable[[Inventory], object]:
    return lambda inventory: find(inventory).update(values)


def without(find: Callable[..., Inventory], name: str) -> Callable[[Inventory], object]:
    return lambda inventory: find(inventory).pop(name)


def added(variable: str, item: Any, host: str = HOME) -> Callable[[Inventory], object]:
    return lambda inventory: inventory[host].setdefault(variable, []).append(item)


def extra_container(**values: Any) -> dict[str, Any]:
    base = {"id": "103", "name": "extra", "veth": "veth103", "bridge": "mesh", "ipv4_address": "10.0.0.103/24"}
    return {**base, **values}


def mesh_node(number: int, **values: Any) -> Inventory:
    """A third host, behind NAT like oo1424oo."""
    tunnel = {"name": "nm", "kind": "wireguard", "bridge": "mesh", "public_key": key(3)}
    return {
        BRIDGES: [{"name": "mesh", "subnet": f"10.{number}.0.0/24"}],
        UPLINKS: [{**tunnel, "address": f"10.100.0.{number}/16", **values}],
    }


def without_relay(inventory: Inventory) -> None:
    del uplink(inventory, 0, DROPLET)["relay"]
    inventory["third"] = mesh_node(3)


def second_mesh(inventory: Inventory) -> None:
    """Both hosts meet on a second mesh too."""
    for host, number in ((HOME, 2), (DROPLET, 1)):
        tunnel = {"name": "nm2", "kind": "netmaker", "bridge": "mesh", "network": "other"}
        inventory[host][UPLINKS].append({**tunnel, "address": f"10.101.0.{number}/16"})


def colliding_ofports() -> tuple[str, str]:
    """Two uplink names whose ports on the bridge would have the same OpenFlow number."""
    seen: dict[int, str] = {}
    for number in range(10000):
        name = f"nm{number}"
        port = identity.link_ofport(f"ovs-{name}")
        if port in seen and identity.digest16(seen[port]) != identity.digest16(name):
            return seen[port], name
        seen[port] = name
    raise RuntimeError("no two of 10,000 names collide")


FIRST, SECOND = colliding_ofports()


def netmaker(name: str, **values: Any) -> dict[str, Any]:
    return {"name": name, "kind": "netmaker", "bridge": "mesh", "device": f"dev-{name}", **values}


def same_ofport(inventory: Inventory) -> None:
    inventory[HOME][UPLINKS] += [netmaker(FIRST, network="one"), netmaker(SECOND, network="two")]


LETTERS = (
    "the name must start with a letter and hold only letters, digits, '-' and '_' (a number would be taken for an "
    "OpenFlow port)."
)
CASES = [
    # shape
    Case(
        "not a mapping",
        lambda i: i.update({HOME: []}),
        f"{HOME}: (host) = []: a list stands here. Fix: write a mapping.",
    ),
    Case(
        "a secret in the fleet",
        lambda i: i[HOME].update(warp_config={"private_key": "secret"}),
        f"{HOME}: warp_config = '(set)': this variable does not describe the fleet. Fix: use socket_bridge_bridges, "
        "socket_bridge_veth_pairs, socket_bridge_uplinks, lxc_service_containers.",
    ),
    Case(
        "bridges no list",
        lambda i: i[DROPLET].update({BRIDGES: {"name": "mesh"}}),
        f"{DROPLET}: {BRIDGES} = {{'name': 'mesh'}}: a mapping stands here. Fix: write a list.",
    ),
    Case(
        "item no mapping",
        added(CONTAINERS, "veth103"),
        f"{HOME}: {CONTAINERS} = 'veth103': item 3 is a string. Fix: write a mapping.",
    ),
    Case(
        "unknown key",
        set_in(container, egres="warp0"),
        f"{HOME}: {XRAY} = egres: a container has no such key. Fix: write egress.",
    ),
    Case(
        "unknown key of a service",
        set_in(service, colour="red"),
        f"{HOME}: {VLESS} = colour: a service has no such key. Fix: remove it; known are exposed, exposed_to, health, "
        "name, port, protocol, public_port.",
    ),
    Case(
        "key of another kind",
        set_in(lambda i: uplink(i, 1), public_key=key(3)),
        f"{HOME}: {WARP} = public_key: an uplink of kind warp has no such key. Fix: remove it; known are bridge, "
        "device, "
        "kind, mtu, name, number.",
    ),
    Case(
        "missing key",
        without(container, "veth"),
        f"{HOME}: {XRAY}.veth = (not set): a container needs it. Fix: set it.",
    ),
    Case(
        "no protocol",
        without(service, "protocol"),
        f"{HOME}: {VLESS}.protocol = (not set): a service needs it. Fix: set it.",
    ),
    Case(
        "no address",
        without(uplink, "address"),
        f"{HOME}: {MESH}.address = (not set): an uplink of kind wireguard needs it. Fix: set it.",
    ),
    Case(
        "no key",
        without(uplink, "public_key"),
        f"{HOME}: {MESH}.public_key = (not set): an uplink of kind wireguard needs it. Fix: set it.",
    ),
    Case(
        "id a number", set_in(container, id=102), f"{HOME}: {XRAY}.id = 102: a number stands here. Fix: write a string."
    ),
    Case(
        "id no number",
        set_in(container, id="xray"),
        f"{HOME}: {XRAY}.id = 'xray': an id is a number of at most 9 digits that does not start with 0. Fix: choose an "
        'id such as "102".',
    ),
    Case(
        "empty name",
        set_in(service, name=""),
        f"{HOME}: {XRAY}.services[#1].name = '': an empty string stands here. Fix: write a string.",
    ),
    Case(
        "port a string",
        set_in(service, port="443"),
        f"{HOME}: {VLESS}.port = '443': a string stands here. Fix: write a whole number without quotes.",
    ),
    Case(
        "port a boolean",
        set_in(service, port=True),
        f"{HOME}: {VLESS}.port = True: a boolean stands here. Fix: write a whole number without quotes.",
    ),
    Case(
        "bad port",
        set_in(service, port=65536),
        f"{HOME}: {VLESS}.port = 65536: the number is out of range. Fix: choose a number from 1 to 65535.",
    ),
    Case(
        "bad protocol",
        set_in(service, protocol="icmp"),
        f"{HOME}: {VLESS}.protocol = 'icmp': this is not one of the known values. Fix: choose one of tcp, udp.",
    ),
    Case(
        "flag a string",
        set_in(container, running="yes"),
        f"{HOME}: {XRAY}.running = 'yes': a string stands here. Fix: write true or false without quotes.",
    ),
    Case(
        "little memory",
        set_in(container, memory=1),
        f"{HOME}: {XRAY}.memory = 1: the number is out of range. Fix: choose a number from 16 to 16777216.",
    ),
    Case(
        "bad swap",
        set_in(container, swap="256M"),
        f"{HOME}: {XRAY}.swap = '256M': a string stands here. Fix: write a whole number without quotes.",
    ),
    Case(
        "no cpus",
        set_in(container, cpus=0),
        f"{HOME}: {XRAY}.cpus = 0: the number is out of range. Fix: choose a number above 0 and up to 1024.",
    ),
    Case(
        "cpus not a number",
        set_in(container, cpus=float("nan")),
        f"{HOME}: {XRAY}.cpus = nan: the number is out of range. Fix: choose a number above 0 and up to 1024.",
    ),
    Case(
        "bad mtu",
        set_in(lambda i: uplink(i, 1), mtu=100),
        f"{HOME}: {WARP}.mtu = 100: the number is out of range. Fix: choose a number from 576 to 9000.",
    ),
    Case(
        "unknown feature",
        set_in(container, features={"keyctl": True}),
        f"{HOME}: {XRAY}.features = keyctl: features has no such key. Fix: remove it; known are nesting.",
    ),
    Case(
        "image without sha256",
        set_in(container, image={"path": "/a.tar"}),
        f"{HOME}: {XRAY}.image.sha256 = (not set): an image needs it. Fix: set it.",
    ),
    Case(
        "bad sha256",
        set_in(container, image={"path": "/a.tar", "sha256": "REPLACE"}),
        f"{HOME}: {XRAY}.image.sha256 = 'REPLACE': a SHA-256 is 64 hexadecimal digits in lower case. Fix: take what "
        "sha256sum prints.",
    ),
    Case(
        "image and tree",
        set_in(container, tree="/srv/tree", image={"path": "/a.tar", "sha256": "0" * 64}),
        f"{HOME}: {XRAY}.tree = '/srv/tree': a container comes from an image or from a tree, not both. Fix: remove one "
        "of them.",
    ),
    Case(
        "relative tree",
        set_in(container, tree="srv/tree"),
        f"{HOME}: {XRAY}.tree = 'srv/tree': this is not an absolute path. Fix: write it like "
        "/var/lib/op-dbus/images/debian-13.tar.zst.",
    ),
    Case(
        "two kinds of health",
        set_in(service, health={"tcp": True, "http": "/"}),
        f"{HOME}: {VLESS}.health = ['http', 'tcp']: a health check is of exactly one kind. Fix: keep one of tcp, http "
        "and command.",
    ),
    Case(
        "bad health path",
        set_in(service, health={"http": "health"}),
        f"{HOME}: {VLESS}.health.http = 'health': the path of a URL starts with a slash. Fix: write it like /health.",
    ),
    Case(
        "bad kind",
        set_in(uplink, kind="vpn"),
        f"{HOME}: {MESH}.kind = 'vpn': this is not one of the known values. Fix: choose one of host, warp, wireguard, "
        "netmaker.",
    ),
    # names
    Case(
        "long veth",
        set_in(container, veth="veth102veth102ve"),
        f"{HOME}: {XRAY}.veth = 'veth102veth102ve': the name has 16 characters, 15 is the most. Fix: shorten it to 15 "
        "characters.",
    ),
    Case(
        "long uplink",
        set_in(uplink, name="nm-privacy-net"),
        f"{HOME}: {UPLINKS}[nm-privacy-net].name = 'nm-privacy-net': the name has 14 characters, 11 is the most. Fix: "
        "shorten it to 11 characters.",
    ),
    Case(
        "veth a number",
        set_in(container, veth="102"),
        f"{HOME}: {XRAY}.veth = '102': {LETTERS} Fix: choose a name such as veth102.",
    ),
    Case(
        "veth a keyword",
        set_in(container, veth="NORMAL"),
        f"{HOME}: {XRAY}.veth = 'NORMAL': the name is a keyword of OpenFlow. Fix: choose another name.",
    ),
    Case(
        "veth with slash",
        set_in(container, veth="a/b"),
        f"{HOME}: {XRAY}.veth = 'a/b': {LETTERS} Fix: choose a name such as veth102.",
    ),
    Case(
        "veth lo",
        set_in(container, veth="lo"),
        f"{HOME}: {XRAY}.veth = 'lo': the name belongs to the kernel or to Open vSwitch. Fix: choose another name.",
    ),
    Case(
        "uplink system",
        set_in(uplink, name="system"),
        f"{HOME}: {UPLINKS}[system].name = 'system': its bridge end would be ovs-system, which belongs to Open "
        "vSwitch. Fix: choose another name.",
    ),
    Case(
        "bridge br-",
        set_in(bridge, name="br-mesh"),
        f"{HOME}: {BRIDGES}[br-mesh].name = 'br-mesh': names that start with br- belong to container engines. Fix: "
        "choose a name such as mesh or vmbr0.",
    ),
    Case(
        "container name",
        set_in(container, name="Xray_1"),
        f"{HOME}: {CONTAINERS}[Xray_1].name = 'Xray_1': a container's name is its host name: lower case letters, "
        "digits and '-', 63 at most. Fix: choose a name such as xray-client.",
    ),
    Case(
        "service name",
        set_in(service, name="a b"),
        f"{HOME}: {XRAY}.services[a b].name = 'a b': a service's name holds letters, digits, '.', '_' and '-', 63 at "
        "most. Fix: choose a name such as xray-vless.",
    ),
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
    # meshes
    Case(
        "malformed key",
        set_in(uplink, public_key="REPLACE"),
        f"{HOME}: {MESH}.public_key = 'REPL…': a WireGuard key is 32 bytes in base64 (44 characters). Fix: take what "
        "`wg pubkey` prints.",
    ),
    Case(
        "same key",
        set_in(uplink, public_key=key(2)),
        f"{DROPLET}: {UPLINKS}[nm-server].public_key = {key(2)}: this public key is taken by {HOME}: "
        f"{MESH}.public_key. Fix: make a key pair for every node with `wg genkey`.",
    ),
    Case(
        "malformed endpoint",
        set_in(lambda i: uplink(i, 0, DROPLET), endpoint="192.0.2.10"),
        f"{DROPLET}: {UPLINKS}[nm-server].endpoint = '192.0.2.10': an endpoint is HOST:PORT. Fix: write it like "
        "192.0.2.10:51821.",
    ),
    Case(
        "endpoint port",
        set_in(lambda i: uplink(i, 0, DROPLET), endpoint="vps.example.org:70000"),
        f"{DROPLET}: {UPLINKS}[nm-server].endpoint = 'vps.example.org:70000': an endpoint is HOST:PORT. Fix: write it "
        "like 192.0.2.10:51821.",
    ),
    Case(
        "relay behind NAT",
        set_in(uplink, relay=True),
        f"{HOME}: {MESH}.relay = true: a relay must be reachable from outside, and this node has no endpoint. Fix: set "
        "endpoint, or make another node the relay.",
    ),
    Case(
        "two relays",
        set_in(uplink, relay=True, endpoint="192.0.2.20:51821"),
        f"{DROPLET}: {UPLINKS}[nm-server].relay = true: the relay of privacy-mesh is already {HOME}: {MESH}. Fix: keep "
        "one relay a network.",
    ),
    Case(
        "no relay",
        without_relay,
        f"third: {UPLINKS}[nm].endpoint = (not set): {HOME}, third cannot reach each other: none has an endpoint and "
        "privacy-mesh has no relay. Fix: set relay: true on a node with an endpoint.",
    ),
    Case(
        "same overlay address",
        set_in(uplink, address="10.100.0.1/16"),
        f"{DROPLET}: {UPLINKS}[nm-server].address = 10.100.0.1/16: this overlay address is taken by {HOME}: "
        f"{MESH}.address. Fix: give every node of a mesh its own address.",
    ),
    Case(
        "other overlay",
        set_in(uplink, address="10.101.0.2/16"),
        f"{DROPLET}: {UPLINKS}[nm-server].address = 10.100.0.1/16: its network is 10.100.0.0/16, that of {HOME}: "
        f"{MESH} is 10.101.0.0/16. Fix: use one overlay network for one mesh.",
    ),
    Case(
        "overlay network address",
        set_in(uplink, address="10.100.0.0/16"),
        f"{HOME}: {MESH}.address = 10.100.0.0/16: it is not a host address of 10.100.0.0/16. Fix: write it like "
        "10.100.0.2/16.",
    ),
    Case(
        "prefix is local",
        set_in(uplink, prefixes=["10.0.0.0/16"]),
        f"{HOME}: {MESH}.prefixes = 10.0.0.0/16: it overlaps 10.0.0.0/24, the subnet of bridge mesh on this node. Fix: "
        "remove it; local rules would win silently.",
    ),
    Case(
        "prefix is everything",
        set_in(uplink, prefixes=["0.0.0.0/0"]),
        f"{HOME}: {MESH}.prefixes = 0.0.0.0/0: a mesh is not an exit. Fix: use an uplink of kind warp as egress.",
    ),
    Case(
        "prefix never routed",
        set_in(uplink, prefixes=["169.254.1.0/24"]),
        f"{HOME}: {MESH}.prefixes = 169.254.1.0/24: it overlaps 169.254.0.0/16, which is never routed. Fix: remove it.",
    ),
    Case(
        "prefix of nobody",
        lambda i: (without_relay(i), uplink(i).update(prefixes=["10.50.0.0/16"], endpoint="192.0.2.20:1")),
        f"{HOME}: {MESH}.prefixes = 10.50.0.0/16: nothing says which peer these are behind: the network has neither a "
        "relay nor exactly two nodes. Fix: remove them.",
    ),
    Case(
        "one mesh twice",
        added(
            UPLINKS,
            {
                "name": "again",
                "kind": "wireguard",
                "bridge": "mesh",
                "address": "10.100.0.9/16",
                "public_key": key(3),
                "endpoint": "192.0.2.20:1",
            },
        ),
        f"{HOME}: {MESH}.network = privacy-mesh: {HOME}: {UPLINKS}[again] joins the same mesh for the same bridge. "
        "Fix: give a bridge one way to every destination.",
    ),
    Case(
        "two ways",
        second_mesh,
        f"{HOME}: {UPLINKS}[nm2].network = other: {DROPLET} can also be reached through {HOME}: {MESH}. Fix: give a "
        "bridge one way to every destination.",
    ),
    Case(
        "prefixes of two uplinks",
        lambda i: i[HOME][UPLINKS].append(netmaker("nm2", network="other", prefixes=["10.1.0.0/25"])),
        f"{HOME}: {UPLINKS}[nm2].prefixes = 10.1.0.0/25: it overlaps 10.1.0.0/24 of {HOME}: {MESH}. Fix: give a bridge "
        "one way to every destination.",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_fault_is_refused_and_explained(case: Case) -> None:
    inventory = case.inventory()
    fleet(inventory)
    case.spoil(inventory)
    spoiled = deepcopy(inventory)
    with pytest.raises(InvalidFleetError) as caught:
        fleet(inventory)
    assert case.says in [str(fault) for fault in caught.value.faults]
    assert repr(inventory) == repr(spoiled)


def test_there_are_enough_cases() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 60


def test_report_holds_the_faults_of_all_hosts_in_order() -> None:
    inventory = one_bridge()
    service(inventory).update(port=0)
    container(inventory, 0)["egress"] = "warp9"
    bridge(inventory, DROPLET)["subnet"] = "nonsense"
    with pytest.raises(InvalidFleetError) as caught:
        fleet(inventory)
    text = str(caught.value)
    assert text.startswith("The inventory has 3 faults; nothing was changed.\n  1. oo1424oo: lxc_service")
    assert [fault.host for fault in caught.value.faults] == sorted(fault.host for fault in caught.value.faults)


def test_values_of_unknown_keys_are_not_shown() -> None:
    inventory = one_bridge()
    uplink(inventory)["private_key"] = "c2VjcmV0"
    with pytest.raises(InvalidFleetError, match="private_key: an uplink of kind wireguard has no such key") as caught:
        fleet(inventory)
    assert "c2VjcmV0" not in str(caught.value)
