#!/usr/bin/python
# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: netmaker_info
short_description: State of a Netmaker server, and the one login of a play
version_added: 0.1.0
author: op-dbus maintainers (@op-dbus)
description:
  - Reads networks, hosts, nodes, egress ranges and enrollment keys. No secret of the server is returned.
  - This is the only module that takes O(username) and O(password), so that a play logs in once and no more. Let it
    return the token and hand that to the other modules as O(api_token). A O(master_key) needs no login at all.
extends_documentation_fragment:
  - op_dbus.socket_network.netmaker
  - op_dbus.socket_network.attributes
  - op_dbus.socket_network.attributes.actiongroup
attributes:
  check_mode:
    support: full
    details: Only reads.
  diff_mode:
    support: N/A
    details: Changes nothing.
  idempotent:
    support: full
options:
  username:
    description:
      - User to log in as. The module logs in once.
      - If not set, the environment variable E(NETMAKER_USERNAME) is used.
    type: str
  password:
    description:
      - Password of O(username).
      - If not set, the environment variable E(NETMAKER_PASSWORD) is used.
    type: str
  return_token:
    description: Whether to return the token that the login gave. Set C(no_log) to V(true) on such a task.
    type: bool
    default: false
  gather:
    description: What to read. An empty list reads only RV(server), which needs no credential.
    type: list
    elements: str
    choices: [all, networks, hosts, nodes, egress, enrollment_keys]
    default: [networks, hosts, nodes, egress]
  network:
    description: Read only what concerns this network. Hosts are read all the same.
    type: str
seealso:
  - module: op_dbus.socket_network.netmaker_node
  - module: op_dbus.socket_network.netmaker_network
"""

EXAMPLES = r"""
- name: Read who is in the mesh
  op_dbus.socket_network.netmaker_info:
    api_url: http://127.0.0.1:8081
    master_key: "{{ netmaker_master_key }}"
    network: privacy-mesh
  register: mesh

- name: See whether the server answers
  op_dbus.socket_network.netmaker_info:
    api_url: https://api.nm.example.org
    gather: []
  register: server

- name: Log in once
  op_dbus.socket_network.netmaker_info:
    api_url: https://api.nm.example.org
    username: admin
    password: "{{ netmaker_admin_password }}"
    gather: []
    return_token: true
  no_log: true
  register: login

- name: Use that login
  op_dbus.socket_network.netmaker_network:
    api_url: https://api.nm.example.org
    api_token: "{{ login.api_token }}"
    netid: privacy-mesh
    addressrange: 10.100.0.0/16
"""

RETURN = r"""
actions:
  description: Always empty.
  type: list
  elements: str
  returned: success
server:
  description: The server itself.
  type: dict
  returned: success
  sample:
    version: v1.5.1
    broker_connected: true
    db_connected: true
    is_pro: false
server_version:
  description: Version of the server.
  type: str
  returned: success
  sample: v1.5.1
api_token:
  description: The token that the login gave, when O(return_token) is set. A secret.
  type: str
  returned: success
networks:
  description: The networks.
  type: list
  elements: dict
  returned: when gathered
  sample:
    - netid: privacy-mesh
      addressrange: 10.100.0.0/16
      addressrange6:
      default_mtu: 1420
      default_keepalive: 20
      auto_remove: false
      auto_remove_threshold: 0
      default_policy: allow
hosts:
  description: The hosts, sorted by name. C(nodes) has the ids of their nodes, one for each network.
  type: list
  elements: dict
  returned: when gathered
  sample:
    - id: a36dce50-880b-50ca-a404-705e85cb662d
      name: vps-gateway
      public_key: 2K0XC8zaINIGASVwJW9c5ui5UgEojnFp5au2xHLiixg=
      version: v1.4.0
      os: linux
      listen_port: 51821
      static_port: true
      static_endpoint: true
      endpoint_ip: 192.0.2.10
      endpoint_ip6:
      mtu: 1420
      keepalive: 20
      auto_update: false
      dns: false
      is_default: false
      nodes: [61463adf-f469-48ee-8253-1fae06832efe]
nodes:
  description: Memberships of hosts in networks, sorted by network and host.
  type: list
  elements: dict
  returned: when gathered
  sample:
    - id: 61463adf-f469-48ee-8253-1fae06832efe
      host_id: a36dce50-880b-50ca-a404-705e85cb662d
      host_name: vps-gateway
      network: privacy-mesh
      address: 10.100.0.1
      address6:
      connected: true
      status: online
      last_check_in: 1795331752
      is_gateway: true
      relayed_by:
      relays: [ba642e77-0573-40a1-8c31-a93bf8ea36a4]
      pending_delete: false
egress:
  description: Ranges that are reached through nodes. C(nodes) has the metric by node.
  type: list
  elements: dict
  returned: when gathered
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
enrollment_keys:
  description: The enrollment keys, without their values and tokens.
  type: list
  elements: dict
  returned: when gathered
  sample:
    - name: privacy-mesh
      networks: [privacy-mesh]
      unlimited: true
      uses_remaining: 0
      expires_at:
      groups: []
      relay:
      default: true
      state: valid
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import Request
from ansible_collections.op_dbus.socket_network.plugins.module_utils._module import from_environment, run_module
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker.info_service import run_info
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker.options import (
    CONNECTION_SPEC,
    ENVIRONMENT,
)

ARGUMENT_SPEC: dict[str, Any] = {
    **CONNECTION_SPEC,
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "return_token": {"type": "bool", "default": False},
    "gather": {
        "type": "list",
        "elements": "str",
        "choices": ["all", "networks", "hosts", "nodes", "egress", "enrollment_keys"],
        "default": ["networks", "hosts", "nodes", "egress"],
    },
    "network": {"type": "str"},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec=from_environment(ARGUMENT_SPEC, ENVIRONMENT),
        mutually_exclusive=[("master_key", "api_token", "username")],
        required_together=[("username", "password")],
        supports_check_mode=True,
    )
    run_module(module, lambda module: run_info(Request, module.params))


if __name__ == "__main__":
    main()
