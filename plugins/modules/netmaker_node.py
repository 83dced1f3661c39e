#!/usr/bin/python
# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: netmaker_node
short_description: A host's membership of a Netmaker network
version_added: 0.1.0
author: op-dbus maintainers (@op-dbus)
description:
  - Manages what the server knows of a host in a network. Its own settings, its fixed address, whether it is a gateway
    or relayed through one, and the ranges behind it (egress).
  - A host has to be registered by C(netclient register) on the host itself. The module then finds it, waits for its
    node, and mends what a rejoin has undone, since a rejoin gives another node with another address and leaves the
    egress without a node.
  - Checks what the server does not. An address that another node has, a range that overlaps the overlay or another
    egress, several rows for one range.
  - Order of the steps. Host, join, address and connection, gateway, relay, egress. With O(state=absent) egress,
    gateway, node, host.
extends_documentation_fragment:
  - op_dbus.socket_network.netmaker
  - op_dbus.socket_network.attributes
  - op_dbus.socket_network.attributes.actiongroup
attributes:
  check_mode:
    support: full
    details: A network, host, node or gateway that is not there yet is taken for one that a task before would have made.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  network:
    description: Name of the network.
    type: str
    required: true
  host_id:
    description: The host by its id, C(id) in C(/etc/netclient/netclient.json). The best of the three ways.
    type: str
  public_key:
    description: The host by its WireGuard public key, in base64.
    type: str
  host_name:
    description: The host by its name. A name that several hosts have is an error.
    type: str
  state:
    description:
      - V(present) makes it a connected member as described.
      - V(disconnected) keeps the membership and takes it off the mesh.
      - V(absent) removes its egress ranges and its node.
    type: str
    choices: [present, disconnected, absent]
    default: present
  join:
    description:
      - Whether to let the server add the host when it is no member. The host must be registered.
      - Without it the module waits for the host to join by its enrollment key.
    type: bool
    default: false
  address:
    description: Fixed IPv4 address in the overlay, with or without a length.
    type: str
  address6:
    description: Fixed IPv6 address in the overlay.
    type: str
  fixed_addresses:
    description:
      - IPv4 addresses of all hosts of the play by host name. A node on O(address) whose own address is another one
        is moved there, or out of the way. Any other node on it is an error.
      - Needed where several hosts join at once, since the server gives addresses in the order of joining.
    type: dict
  host:
    description: Settings of the host. Each that is left out stays as it is.
    type: dict
    suboptions:
      name:
        description: Name of the host.
        type: str
      listen_port:
        description: UDP port of WireGuard.
        type: int
      static_port:
        description: Whether the port must not be changed by server and client.
        type: bool
      static_endpoint:
        description: Whether the endpoint must not be changed by the client.
        type: bool
      endpoint_ip:
        description: IPv4 address at which others reach the host.
        type: str
      endpoint_ip6:
        description: IPv6 address at which others reach the host.
        type: str
      mtu:
        description: MTU of the interface.
        type: int
      keepalive:
        description: Seconds between keepalives, 1 to 1000.
        type: int
      auto_update:
        description: Whether the client replaces itself when the server is newer.
        type: bool
      dns:
        description: Whether the client manages the resolver of the host.
        type: bool
      is_default:
        description: Whether the host joins every new network, as a gateway.
        type: bool
  gateway:
    description: Whether the node relays others. Left as it is when not given.
    type: bool
  relay_via:
    description:
      - Gateway through which the others reach this node. The name or id of its host, or the id of its node.
      - An empty string ends that. Left as it is when not given.
      - Hosts behind different NATs do not reach each other without.
      - The gateway is waited for. Configure it before the others, or in the same batch.
    type: str
  egress:
    description:
      - Ranges that are reached through this node. Others stay as they are unless O(egress_purge) is set.
      - With O(state=absent) rows of these ranges that have lost their node are removed as well.
    type: list
    elements: dict
    suboptions:
      range:
        description: The range. One of this and O(egress[].domain) is required.
        type: str
      domain:
        description: A domain whose addresses are reached through this node.
        type: str
      nat:
        description: Whether the node hides who sends.
        type: bool
        default: false
      metric:
        description: Metric of the route on the other nodes, 1 to 998.
        type: int
        default: 256
      name:
        description: Name of the row. A new one is called by host and range.
        type: str
      description:
        description: Description of the row.
        type: str
      enabled:
        description: Whether it is in use.
        type: bool
        default: true
  egress_purge:
    description: Whether to delete rows of this node alone that are not in O(egress).
    type: bool
    default: false
  purge_host:
    description: Whether O(state=absent) also deletes the host's record, once it is in no network.
    type: bool
    default: false
  wait:
    description: Whether to wait for the node and for the gateway in O(relay_via).
    type: bool
    default: true
  wait_online:
    description: Whether to wait until the server has heard of the node within the last minutes.
    type: bool
    default: false
  wait_timeout:
    description: Seconds to wait, for each of them and for the changes to be told back.
    type: int
    default: 60
  wait_interval:
    description: Seconds between looks at the server while waiting.
    type: int
    default: 2
seealso:
  - module: op_dbus.socket_network.netmaker_network
  - module: op_dbus.socket_network.netmaker_enrollment_key
"""

EXAMPLES = r"""
- name: Make the droplet the gateway of the mesh
  op_dbus.socket_network.netmaker_node:
    api_url: http://127.0.0.1:8081
    master_key: "{{ netmaker_master_key }}"
    network: privacy-mesh
    host_name: vps-gateway
    address: 10.100.0.1
    host:
      listen_port: 51821
      static_port: true
      endpoint_ip: 192.0.2.10
      static_endpoint: true
      auto_update: false
    gateway: true

- name: Relay a host behind NAT, and route its containers
  op_dbus.socket_network.netmaker_node:
    api_url: http://127.0.0.1:8081
    master_key: "{{ netmaker_master_key }}"
    network: privacy-mesh
    host_id: "{{ netclient.id }}"
    address: 10.100.0.2/16
    fixed_addresses: {vps-gateway: 10.100.0.1, oo1424oo: 10.100.0.2}
    relay_via: vps-gateway
    egress:
      - range: 10.0.0.0/24
    egress_purge: true
    wait_online: true
  delegate_to: vps-gateway

- name: Take a host out, with everything of it
  op_dbus.socket_network.netmaker_node:
    api_url: http://127.0.0.1:8081
    master_key: "{{ netmaker_master_key }}"
    network: privacy-mesh
    host_name: oo1424oo
    state: absent
    purge_host: true
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be done, in words.
  type: list
  elements: str
  returned: success
  sample: [set address of oo1424oo in privacy-mesh to 10.100.0.2/16, add egress 10.0.0.0/24 of oo1424oo]
network:
  description: Name of the network.
  type: str
  returned: success
  sample: privacy-mesh
host:
  description: The host as the server holds it, in check mode as it was found. None when there is none.
  type: dict
  returned: success
  sample:
    id: da18acad-0ab6-578c-9729-3bbae1a1c1e4
    name: oo1424oo
    public_key: +p9VqSQPxrEihzTD5lZ6rgsrHkJotw3tqSjWeMLHIP8=
    version: v1.4.0
    os: linux
    listen_port: 51821
    static_port: true
    static_endpoint: false
    endpoint_ip:
    endpoint_ip6:
    mtu: 1420
    keepalive: 20
    auto_update: false
    dns: false
    is_default: false
    nodes: [ba642e77-0573-40a1-8c31-a93bf8ea36a4]
node:
  description: The node as the server holds it, in check mode as it was found. None when there is none.
  type: dict
  returned: success
  sample:
    id: ba642e77-0573-40a1-8c31-a93bf8ea36a4
    host_id: da18acad-0ab6-578c-9729-3bbae1a1c1e4
    network: privacy-mesh
    connected: true
    status: online
    last_check_in: 1795331752
    address: 10.100.0.2
    address6:
    is_gateway: false
    relayed_by: 61463adf-f469-48ee-8253-1fae06832efe
    relays: []
    pending_delete: false
egress:
  description: Rows that lead to the node, with its metric.
  type: list
  elements: dict
  returned: success
  sample:
    - id: a3f7b54a-e012-4528-b53b-001f0e725fcf
      name: oo1424oo 10.0.0.0/24
      network: privacy-mesh
      description: ""
      range: 10.0.0.0/24
      domain:
      nat: false
      enabled: true
      nodes:
        ba642e77-0573-40a1-8c31-a93bf8ea36a4: 256
      metric: 256
server_version:
  description: Version of the server.
  type: str
  returned: success
  sample: v1.5.1
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import Request
from ansible_collections.op_dbus.socket_network.plugins.module_utils._module import from_environment, run_module
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker.node_service import run_node
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker.options import (
    CONNECTION_SPEC,
    CREDENTIALS,
    ENVIRONMENT,
)

HOST_SPEC: dict[str, Any] = {
    "name": {"type": "str"},
    "listen_port": {"type": "int"},
    "static_port": {"type": "bool"},
    "static_endpoint": {"type": "bool"},
    "endpoint_ip": {"type": "str"},
    "endpoint_ip6": {"type": "str"},
    "mtu": {"type": "int"},
    "keepalive": {"type": "int"},
    "auto_update": {"type": "bool"},
    "dns": {"type": "bool"},
    "is_default": {"type": "bool"},
}
EGRESS_SPEC: dict[str, Any] = {
    "range": {"type": "str"},
    "domain": {"type": "str"},
    "nat": {"type": "bool", "default": False},
    "metric": {"type": "int", "default": 256},
    "name": {"type": "str"},
    "description": {"type": "str"},
    "enabled": {"type": "bool", "default": True},
}
ARGUMENT_SPEC: dict[str, Any] = {
    **CONNECTION_SPEC,
    "network": {"type": "str", "required": True},
    "host_id": {"type": "str"},
    "public_key": {"type": "str", "no_log": False},
    "host_name": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "disconnected", "absent"], "default": "present"},
    "join": {"type": "bool", "default": False},
    "address": {"type": "str"},
    "address6": {"type": "str"},
    "fixed_addresses": {"type": "dict"},
    "host": {"type": "dict", "options": HOST_SPEC},
    "gateway": {"type": "bool"},
    "relay_via": {"type": "str"},
    "egress": {
        "type": "list",
        "elements": "dict",
        "options": EGRESS_SPEC,
        "mutually_exclusive": [("range", "domain")],
        "required_one_of": [("range", "domain")],
    },
    "egress_purge": {"type": "bool", "default": False},
    "purge_host": {"type": "bool", "default": False},
    "wait": {"type": "bool", "default": True},
    "wait_online": {"type": "bool", "default": False},
    "wait_timeout": {"type": "int", "default": 60},
    "wait_interval": {"type": "int", "default": 2},
}
HOST = ("host_id", "public_key", "host_name")


def main() -> None:
    module = AnsibleModule(
        argument_spec=from_environment(ARGUMENT_SPEC, ENVIRONMENT),
        mutually_exclusive=[CREDENTIALS, HOST],
        required_one_of=[CREDENTIALS, HOST],
        supports_check_mode=True,
    )
    run_module(module, lambda module: run_node(Request, module.params, module.check_mode))


if __name__ == "__main__":
    main()
