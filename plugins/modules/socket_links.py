#!/usr/bin/python
# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: socket_links
short_description: Uplinks and inter-bridge links of a host, with routing tables, kill switch and packet filter
version_added: 0.1.0
author: op-dbus maintainers (@op-dbus)
description:
  - Gives every uplink a veth pair between the kernel and its bridge, a routing table of its own and a route that makes
    packets unreachable when the uplink's device is down, so that they never leave by another way.
  - Writes files of C(systemd-networkd), which makes all of it again after a reboot, and makes that the host has it now.
    Links, addresses, rules and routes of others stay.
  - Loads the nftables table C(inet op_dbus), at boot by the unit C(op-dbus-nftables.service). Other tables stay.
  - Compares links, rules, routes, the table and kernel settings with what is wanted and repairs what differs.
    A device that is not there yet gets its routes when it appears.
  - Takes the values that the filter P(op_dbus.socket_network.link_layer#filter) returns.
extends_documentation_fragment:
  - op_dbus.socket_network.attributes
  - op_dbus.socket_network.attributes.actiongroup
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  state:
    description:
      - V(present) makes exactly the given links. Links that an earlier run made and that are no longer given go away.
      - V(absent) removes what V(present) makes. C(net.ipv4.ip_forward) keeps its value until the next boot.
      - V(gathered) changes nothing and returns what is there.
    type: str
    choices: [present, absent, gathered]
    default: present
  uplinks:
    description: Ways in and out of the host's bridges.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the uplink.
        type: str
        required: true
      kind:
        description:
          - V(host) joins the host itself, its main routing table and what it publishes.
          - The others have a device and a routing table of their own.
        type: str
        choices: [host, warp, wireguard, netmaker]
        required: true
      bridge:
        description: Bridge that the uplink is on.
        type: str
        required: true
      device:
        description: Kernel device of the tunnel. None for the kind V(host).
        type: str
      gateway_port:
        description: Name of the veth end in the kernel.
        type: str
        required: true
      bridge_port:
        description: Name of the veth end for the bridge.
        type: str
        required: true
      mac:
        description: MAC address of O(uplinks[].gateway_port).
        type: str
        required: true
      ofport:
        description: OpenFlow port number of O(uplinks[].bridge_port). Not used here, but for the bridge.
        type: int
      number:
        description: Number of the uplink on its host. Not used here.
        type: int
      table:
        description: Routing table of the uplink, 65537 to 131071.
        type: int
        required: true
      mtu:
        description: MTU of both veth ends, in bytes.
        type: int
        required: true
      subnet:
        description: Network of the containers that the uplink serves.
        type: str
      prefixes:
        description: Networks that are reached by O(uplinks[].device).
        type: list
        elements: str
        default: []
      relay:
        description: Let packets that came in by O(uplinks[].device) leave by it, between nodes that it joins.
        type: bool
        default: false
      masquerade:
        description:
          - Give what leaves by O(uplinks[].device) the address of the device.
            Nothing behind it may then open connections to containers or to the host.
        type: bool
        default: false
  veth_pairs:
    description: Pairs that join two bridges.
    type: list
    elements: dict
    default: []
    suboptions:
      peer1:
        description: One end.
        type: dict
        required: true
        suboptions: &end
          name:
            description: Name of the interface.
            type: str
            required: true
          bridge:
            description: Bridge that it is on.
            type: str
            required: true
          ofport:
            description: OpenFlow port number. Used by M(op_dbus.socket_network.ovs_bridge) only.
            type: int
          mac:
            description: MAC address.
            type: str
            required: true
      peer2:
        description: The other end.
        type: dict
        required: true
        suboptions: *end
  published:
    description: Services of containers that are reached at the host's own addresses.
    type: list
    elements: dict
    default: []
    suboptions:
      protocol:
        description: V(tcp) or V(udp).
        type: str
        required: true
      public_port:
        description: Port on the host's addresses.
        type: int
        required: true
      address:
        description: Address of the container.
        type: str
        required: true
      port:
        description: Port of the container.
        type: int
        required: true
      gateway_port:
        description: O(uplinks[].gateway_port) of the uplink of kind V(host) that leads to it.
        type: str
        required: true
  host_services:
    description: Services of containers that the host's own programs may connect to.
    type: list
    elements: dict
    default: []
    suboptions:
      protocol:
        description: V(tcp) or V(udp).
        type: str
        required: true
      address:
        description: Address of the container.
        type: str
        required: true
      port:
        description: Port of the container.
        type: int
        required: true
      gateway_port:
        description: O(uplinks[].gateway_port) of the uplink of kind V(host) that leads to it.
        type: str
        required: true
  files:
    description:
      - Further files of the link layer, written and removed with it. systemd is reloaded when one of them changes.
      - Missing directories are made. Directories that O(state=absent) leaves empty go away.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path on the host.
        type: str
        required: true
      content:
        description: The whole text.
        type: str
        required: true
      mode:
        description: Permissions in octal digits.
        type: str
        default: "0644"
requirements:
  - systemd 252 or later with systemd-networkd
  - iproute2
  - nftables
seealso:
  - module: op_dbus.socket_network.ovs_bridge
  - module: op_dbus.socket_network.wireguard_uplink
  - module: op_dbus.socket_network.warp_tunnel
"""

EXAMPLES = r"""
- name: Make the links of this host
  op_dbus.socket_network.socket_links:
    uplinks: "{{ layer.uplinks }}"
    veth_pairs: "{{ layer.veth_pairs }}"
    published: "{{ layer.published }}"
    host_services: "{{ layer.host_services }}"

- name: Make one exit
  op_dbus.socket_network.socket_links:
    uplinks:
      - name: warp0
        kind: warp
        bridge: mesh
        device: warp0
        gateway_port: gw-warp0
        bridge_port: ovs-warp0
        mac: 02:01:5e:7a:11:03
        table: 71042
        mtu: 1280
        subnet: 10.0.0.0/24
        prefixes: [0.0.0.0/0]
        masquerade: true

- name: Read what is there
  op_dbus.socket_network.socket_links:
    state: gathered
  register: socket_links_now

- name: Remove all of it
  op_dbus.socket_network.socket_links:
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be done, in words.
  type: list
  elements: str
  returned: always
  sample: [load nftables table inet op_dbus, set net/ipv4/ip_forward to 1]
gathered:
  description: What is there of ours.
  type: dict
  returned: when O(state=gathered)
  contains:
    links:
      description: Ends of veth pairs.
      type: list
      elements: str
      sample: ["link gw-warp0 veth peer ovs-warp0 address 02:01:5e:7a:11:03 mtu 1280 arp on up"]
    rules:
      description: Routing rules.
      type: list
      elements: str
      sample: [rule 1000 iif warp0 lookup 71042]
    routes:
      description: Routes in the uplinks' tables and by their gateway ports.
      type: list
      elements: str
      sample: [route table 71042 0.0.0.0/0 unreachable metric 4278198272]
    table:
      description: The nftables table without the values of its counters; none when it is not loaded.
      type: str
      sample: "table inet op_dbus {\n}"
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.op_dbus.socket_network.plugins.module_utils._links.driver import Driver
from ansible_collections.op_dbus.socket_network.plugins.module_utils._links.parse import parse, parse_files
from ansible_collections.op_dbus.socket_network.plugins.module_utils._module import run_module
from ansible_collections.op_dbus.socket_network.plugins.module_utils._plan import Plan, result_of
from ansible_collections.op_dbus.socket_network.plugins.module_utils._runner import ModuleRunner

WORD: dict[str, Any] = {"type": "str", "required": True}
NUMBER: dict[str, Any] = {"type": "int", "required": True}
END: dict[str, Any] = {"name": WORD, "bridge": WORD, "ofport": {"type": "int"}, "mac": WORD}
SERVICE: dict[str, Any] = {"protocol": WORD, "address": WORD, "port": NUMBER, "gateway_port": WORD}
UPLINK: dict[str, Any] = {
    "name": WORD,
    "kind": {"type": "str", "choices": ["host", "warp", "wireguard", "netmaker"], "required": True},
    "bridge": WORD,
    "device": {"type": "str"},
    "gateway_port": WORD,
    "bridge_port": WORD,
    "mac": WORD,
    "ofport": {"type": "int"},
    "number": {"type": "int"},
    "table": NUMBER,
    "mtu": NUMBER,
    "subnet": {"type": "str"},
    "prefixes": {"type": "list", "elements": "str", "default": []},
    "relay": {"type": "bool", "default": False},
    "masquerade": {"type": "bool", "default": False},
}
PAIR: dict[str, Any] = {peer: {"type": "dict", "required": True, "options": END} for peer in ("peer1", "peer2")}


def _items(options: dict[str, Any]) -> dict[str, Any]:
    return {"type": "list", "elements": "dict", "default": [], "options": options}


ARGUMENT_SPEC: dict[str, Any] = {
    "state": {"type": "str", "choices": ["present", "absent", "gathered"], "default": "present"},
    "uplinks": _items(UPLINK),
    "veth_pairs": _items(PAIR),
    "published": _items({**SERVICE, "public_port": NUMBER}),
    "host_services": _items(SERVICE),
    "files": _items({"path": WORD, "content": WORD, "mode": {"type": "str", "default": "0644"}}),
}


def body(module: AnsibleModule) -> dict[str, Any]:
    layer, files = parse(module.params), parse_files(module.params["files"])
    driver = Driver(ModuleRunner(module), predicting=module.check_mode)
    state = module.params["state"]
    if state == "gathered":
        return {**result_of(Plan(), "links", module.check_mode), "gathered": driver.gathered()}
    plan = driver.present(layer, files) if state == "present" else driver.absent(files)
    return result_of(plan, "links", module.check_mode)


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), body)


if __name__ == "__main__":
    main()
