#!/usr/bin/python
# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: netmaker_client
short_description: netclient on a host, and its joining of a network of Netmaker
version_added: 0.1.0
author: op-dbus maintainers (@op-dbus)
description:
  - Runs netclient by a unit of this collection, lets it find and trust the server, and joins a network with a key.
  - Judges by what netclient wrote down, never by its exit codes, which are 0 also when nothing worked.
  - The key never stands in a list of processes, a log or a file. C(netclient) takes it as an argument only; it is put
    in the place of a mark in the program's memory after the program was started and before it runs.
  - netclient is not called before the host has to join, since its first call makes an identity.
  - What the server has to know of the host (address, relay, egress) is M(op_dbus.socket_network.netmaker_node)'s job.
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
    details: With O(token) it joins each time, which spends a use of the key.
options:
  state:
    description:
      - V(present) runs netclient, now and at boot.
      - V(absent) ends it and removes the program, its identity and all files of V(present).
        Remove the host from the server, too.
      - V(queried) changes nothing and returns what netclient wrote down.
    type: str
    choices: [present, absent, queried]
    default: present
  network:
    description: Name of the network.
    type: str
    required: true
  name:
    description: Name of the host in Netmaker. Required with O(state=present).
    type: str
  listen_port:
    description: UDP port of WireGuard, fixed when the host joins.
    type: int
    default: 51821
  endpoint:
    description: Public IPv4 address, fixed when the host joins. Leave it out behind NAT.
    type: str
  token:
    description:
      - Key with which the host joins now. Give it only while the host is no member, and set C(no_log) on the task.
    type: str
  ca_certificate:
    description:
      - Certificate in PEM of the CA that signed the server's, for the host's system store. Left alone when empty.
    type: str
  hosts:
    description: Names and the addresses that they have in C(/etc/hosts), for a server whose names do not resolve.
    type: dict
    default: {}
  refuse_lookups:
    description:
      - Whether the web sites that netclient asks for the host's public address (C(icanhazip.com), C(ifconfig.me) and
        C(myexternalip.com)) are refused, for everybody on the host, by entries in C(/etc/hosts).
      - A host with O(endpoint), or one that is relayed, does not need their answer.
    type: bool
    default: false
  wait_address:
    description: Overlay address to wait for.
    type: str
  wait_handshake:
    description: Whether to wait, with O(wait_address), until a peer has answered.
    type: bool
    default: false
  wait_timeout:
    description: Seconds that joining, and each wait, may take.
    type: int
    default: 60
seealso:
  - module: op_dbus.socket_network.netmaker_node
  - module: op_dbus.socket_network.netmaker_enrollment_key
"""

EXAMPLES = r"""
- name: Run netclient
  op_dbus.socket_network.netmaker_client:
    network: privacy-mesh
    name: oo1424oo

- name: Join
  op_dbus.socket_network.netmaker_client:
    network: privacy-mesh
    name: oo1424oo
    token: "{{ enrollment.token }}"
  no_log: true

- name: Read who the host is
  op_dbus.socket_network.netmaker_client:
    network: privacy-mesh
    state: queried
  register: client
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be done, in words.
  type: list
  elements: str
  returned: success
  sample: [create /etc/systemd/system/netclient.service, enable netclient.service, start netclient.service]
host_id:
  description: Id of the host in Netmaker; none before netclient has run.
  type: str
  returned: success
name:
  description: Name that netclient has for the host.
  type: str
  returned: success
  sample: oo1424oo
public_key:
  description: WireGuard's public key of the host.
  type: str
  returned: success
listen_port:
  description: UDP port of WireGuard.
  type: int
  returned: success
  sample: 51821
addresses:
  description: Overlay addresses by network.
  type: dict
  returned: success
  sample:
    privacy-mesh: 10.100.0.2
joined:
  description: Whether netclient is a member of O(network), as far as it knows.
  type: bool
  returned: success
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.op_dbus.socket_network.plugins.module_utils._module import run_module
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netclient.service import run_client
from ansible_collections.op_dbus.socket_network.plugins.module_utils._runner import ModuleRunner

ARGUMENT_SPEC: dict[str, Any] = {
    "state": {"type": "str", "choices": ["present", "absent", "queried"], "default": "present"},
    "network": {"type": "str", "required": True},
    "name": {"type": "str"},
    "listen_port": {"type": "int", "default": 51821},
    "endpoint": {"type": "str"},
    "token": {"type": "str", "no_log": True},
    "ca_certificate": {"type": "str"},
    "hosts": {"type": "dict", "default": {}},
    "refuse_lookups": {"type": "bool", "default": False},
    "wait_address": {"type": "str"},
    "wait_handshake": {"type": "bool", "default": False},
    "wait_timeout": {"type": "int", "default": 60},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC, supports_check_mode=True, required_if=[("state", "present", ["name"])]
    )
    run_module(module, lambda module: run_client(ModuleRunner(module), module.params, module.check_mode))


if __name__ == "__main__":
    main()
