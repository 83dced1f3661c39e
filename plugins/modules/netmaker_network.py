#!/usr/bin/python
# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: netmaker_network
short_description: A network of a Netmaker server
version_added: 0.1.0
author: op-dbus maintainers (@op-dbus)
description:
  - Creates, changes or removes an overlay network.
  - The server answers a change of the ranges, the MTU or the keepalive with success and ignores it. The module refuses
    such a change instead.
  - With the network the server makes an enrollment key of the same name that never ends. It cannot be deleted.
extends_documentation_fragment:
  - op_dbus.socket_network.netmaker
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
  netid:
    description: Name of the network, up to 32 of a-z, 0-9, - and _.
    type: str
    required: true
    aliases: [name]
  state:
    description:
      - V(present) makes the network, or changes what the server can change.
      - V(absent) removes it, its egress ranges first.
    type: str
    choices: [present, absent]
    default: present
  addressrange:
    description:
      - IPv4 range of the overlay. A new network needs one of this and O(addressrange6).
      - A range that overlaps another network's is refused.
    type: str
    aliases: [range]
  addressrange6:
    description: IPv6 range of the overlay.
    type: str
    aliases: [range6]
  default_mtu:
    description: MTU that hosts get. A new network has 1280 unless told otherwise.
    type: int
    aliases: [mtu]
  default_keepalive:
    description: Seconds between keepalives, 1 to 1000. A new network has 20 unless told otherwise.
    type: int
    aliases: [keepalive]
  auto_remove:
    description: Whether the server removes nodes that it has not heard of for O(auto_remove_threshold).
    type: bool
  auto_remove_threshold:
    description: Minutes. A new network with O(auto_remove) has 60 unless told otherwise.
    type: int
  default_policy:
    description:
      - V(allow) lets all nodes of the network talk to each other, as a new network does. V(deny) lets only those whom
        other policies of the server allow.
    type: str
    choices: [allow, deny]
  on_immutable_change:
    description: What to do when the network has another range, MTU or keepalive than asked for.
    type: str
    choices: [fail, warn]
    default: fail
  force:
    description: Whether O(state=absent) may remove a network that still has nodes. All of them leave it.
    type: bool
    default: false
  wait_timeout:
    description: Seconds to wait until the server has finished, mostly with deleting.
    type: int
    default: 30
seealso:
  - module: op_dbus.socket_network.netmaker_node
  - module: op_dbus.socket_network.netmaker_enrollment_key
"""

EXAMPLES = r"""
- name: Make the network
  op_dbus.socket_network.netmaker_network:
    api_url: http://127.0.0.1:8081
    master_key: "{{ netmaker_master_key }}"
    netid: privacy-mesh
    addressrange: 10.100.0.0/16
    default_mtu: 1420

- name: Let only nodes talk that a policy allows
  op_dbus.socket_network.netmaker_network:
    api_url: https://api.nm.example.org
    api_token: "{{ netmaker_api_token }}"
    netid: privacy-mesh
    default_policy: deny

- name: Remove the network, with all its nodes
  op_dbus.socket_network.netmaker_network:
    api_url: http://127.0.0.1:8081
    master_key: "{{ netmaker_master_key }}"
    netid: privacy-mesh
    state: absent
    force: true
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be done, in words.
  type: list
  elements: str
  returned: success
  sample: [create network privacy-mesh]
network:
  description: The network as the server holds it, in check mode as it was found. None when there is none.
  type: dict
  returned: success
  sample:
    netid: privacy-mesh
    addressrange: 10.100.0.0/16
    addressrange6:
    default_mtu: 1420
    default_keepalive: 20
    auto_remove: false
    auto_remove_threshold: 0
    default_policy: allow
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
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker.network_service import run_network
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker.options import (
    CONNECTION_SPEC,
    CREDENTIALS,
    ENVIRONMENT,
)

ARGUMENT_SPEC: dict[str, Any] = {
    **CONNECTION_SPEC,
    "netid": {"type": "str", "required": True, "aliases": ["name"]},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "addressrange": {"type": "str", "aliases": ["range"]},
    "addressrange6": {"type": "str", "aliases": ["range6"]},
    "default_mtu": {"type": "int", "aliases": ["mtu"]},
    "default_keepalive": {"type": "int", "aliases": ["keepalive"]},
    "auto_remove": {"type": "bool"},
    "auto_remove_threshold": {"type": "int"},
    "default_policy": {"type": "str", "choices": ["allow", "deny"]},
    "on_immutable_change": {"type": "str", "choices": ["fail", "warn"], "default": "fail"},
    "force": {"type": "bool", "default": False},
    "wait_timeout": {"type": "int", "default": 30},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec=from_environment(ARGUMENT_SPEC, ENVIRONMENT),
        mutually_exclusive=[CREDENTIALS],
        required_one_of=[CREDENTIALS],
        supports_check_mode=True,
    )
    run_module(module, lambda module: run_network(Request, module.params, module.check_mode))


if __name__ == "__main__":
    main()
