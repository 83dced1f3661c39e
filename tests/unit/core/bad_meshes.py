# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with meshes and between nodes."""

from __future__ import annotations

from tests.unit.core.samples import key
from tests.unit.core.spoiling import (
    BRIDGES,
    DROPLET,
    HOME,
    MESH,
    UPLINKS,
    Case,
    added,
    bridge,
    netmaker,
    second_mesh,
    second_netmaker,
    set_in,
    tunnel,
    uplink,
    without,
    without_relay,
)

MESHES = [
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
        lambda i: i[HOME][UPLINKS].append(tunnel("nm2", 1, prefixes=["10.1.0.0/25"])),
        f"{HOME}: {UPLINKS}[nm2].prefixes = 10.1.0.0/25: it overlaps 10.1.0.0/24 of {HOME}: {MESH}. Fix: give a bridge "
        "one way to every destination.",
    ),
    # Netmaker
    Case(
        "no fixed address",
        without(uplink, "address"),
        f"{HOME}: {MESH}.address = (not set): an uplink of kind netmaker needs it. Fix: set it.",
        netmaker,
    ),
    Case(
        "same address in Netmaker",
        set_in(uplink, address="10.100.0.1/16"),
        f"{DROPLET}: {UPLINKS}[nm-server].address = 10.100.0.1/16: this overlay address is taken by {HOME}: "
        f"{MESH}.address. Fix: give every node of a mesh its own address.",
        netmaker,
    ),
    Case(
        "other range in Netmaker",
        set_in(uplink, address="10.101.0.2/16"),
        f"{DROPLET}: {UPLINKS}[nm-server].address = 10.100.0.1/16: its network is 10.100.0.0/16, that of {HOME}: "
        f"{MESH} is 10.101.0.0/16. Fix: use one overlay network for one mesh.",
        netmaker,
    ),
    Case(
        "nobody relays in Netmaker",
        lambda i: uplink(i, 0, DROPLET).pop("relay"),
        f"third: {UPLINKS}[nm].endpoint = (not set): {HOME}, third cannot reach each other: none has an endpoint and "
        "privacy-mesh has no relay. Fix: set relay: true on a node with an endpoint.",
        netmaker,
    ),
    Case(
        "two relays in Netmaker",
        set_in(uplink, relay=True, endpoint="192.0.2.20"),
        f"{DROPLET}: {UPLINKS}[nm-server].relay = true: the relay of privacy-mesh is already {HOME}: {MESH}. Fix: keep "
        "one relay a network.",
        netmaker,
    ),
    Case(
        "relay behind NAT in Netmaker",
        set_in(uplink, relay=True),
        f"{HOME}: {MESH}.relay = true: a relay must be reachable from outside, and this node has no endpoint. Fix: set "
        "endpoint, or make another node the relay.",
        netmaker,
    ),
    Case(
        "endpoint with a port in Netmaker",
        set_in(lambda i: uplink(i, 0, DROPLET), endpoint="192.0.2.10:51821"),
        f"{DROPLET}: {UPLINKS}[nm-server].endpoint = '192.0.2.10:51821': the endpoint of a Netmaker host is an IPv4 "
        "address. Fix: write it like 192.0.2.10; the port is listen_port.",
        netmaker,
    ),
    Case(
        "two networks of Netmaker",
        second_netmaker,
        f"{HOME}: {UPLINKS}[nm2].network = other: the host is in network privacy-mesh already, and netclient has one "
        "interface for all. Fix: keep one uplink of kind netmaker a host.",
        netmaker,
    ),
    Case(
        "other device in Netmaker",
        set_in(uplink, device="nm0"),
        f"{HOME}: {MESH} = device: an uplink of kind netmaker has no such key. Fix: remove it; known are address, "
        "bridge, endpoint, kind, listen_port, mtu, name, network, number, prefixes, relay.",
        netmaker,
    ),
    Case(
        "name of a network of Netmaker",
        set_in(uplink, network="Privacy Mesh"),
        f"{HOME}: {MESH}.network = 'Privacy Mesh': a network's name holds lower case letters, digits, '-' and "
        "'_', 32 at most. Fix: choose a name such as privacy-mesh.",
        netmaker,
    ),
    Case(
        "bridge of Docker",
        set_in(bridge, name="docker7"),
        f"{HOME}: {BRIDGES}[docker7].name = 'docker7': names that start with docker belong to container engines. Fix: "
        "choose a name such as mesh or vmbr0.",
        netmaker,
    ),
]
