# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with one item by itself: its shape and its names."""

from __future__ import annotations

from tests.unit.core.samples import key
from tests.unit.core.spoiling import (
    BRIDGES,
    CONTAINERS,
    DROPLET,
    HOME,
    LETTERS,
    MESH,
    UPLINKS,
    VLESS,
    WARP,
    XRAY,
    Case,
    added,
    bridge,
    container,
    service,
    set_in,
    uplink,
    without,
)

ITEMS = [
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
        "socket_bridge_veth_pairs, socket_bridge_uplinks, lxc_service_containers, socket_bridge_mode, "
        "socket_bridge_literal_flows.",
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
]
