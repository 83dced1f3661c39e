#!/usr/bin/python
# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: netmaker_server
short_description: A Netmaker server with its broker and its TLS front on this host
version_added: 0.1.0
author: op-dbus maintainers (@op-dbus)
description:
  - Configures and runs a Netmaker server from a program that is on the host, with SQLite, a broker (mosquitto) and a
    TLS front (caddy) from Debian, all as units of their own named C(netmaker*). Role
    P(op_dbus.socket_network.netmaker#role) brings the packages and the program.
  - The API listens behind a packet filter of its own until the superadmin exists; then the front opens. Nobody can make
    a superadmin through the front.
  - Settings that the server takes from its environment at its first start only are corrected through the API.
  - Downgrades and jumps over a minor version are refused before anything changes.
extends_documentation_fragment:
  - op_dbus.socket_network.attributes
  - op_dbus.socket_network.attributes.actiongroup
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Files with secrets are shown as digests.
  idempotent:
    support: full
    details: Bringing back a backup (O(restore)) is done each time.
options:
  state:
    description:
      - V(present) runs the server, now and at boot.
      - V(absent) removes it. Backups stay, and so do the database and the CA unless O(purge).
    type: str
    choices: [present, absent]
    default: present
  program:
    description: Path of the server's program. Programs beside it that are named C(netmaker-VERSION) are removed.
    type: path
  version:
    description: Version of the program.
    type: str
  domain:
    description: Domain of the server. Clients use C(api.DOMAIN) and C(broker.DOMAIN).
    type: str
  public_address:
    description: Public IPv4 address of the server.
    type: str
  api_port:
    description: TCP port of the front.
    type: int
    default: 443
  broker_port:
    description: TCP port where the broker takes clients.
    type: int
    default: 8883
  master_key:
    description: Key that may do everything in the API.
    type: str
  admin_username:
    description: Name of the superadmin.
    type: str
    default: admin
  admin_password:
    description: Password of the superadmin when it is made. It is not changed afterwards.
    type: str
  broker_password:
    description: Password that server and clients use at the broker.
    type: str
  certificate_file:
    description: Certificate with its chain. Without one, the server gets a CA of its own in C(/etc/netmaker/ca.crt).
    type: path
  key_file:
    description: Key of O(certificate_file).
    type: path
  settings:
    description: Settings of the server by their names in its API, over those that the module sets.
    type: dict
    default: {}
  backup_directory:
    description: Where the daily backups go.
    type: path
    default: /var/backups/netmaker
  backup_keep:
    description: How many backups stay.
    type: int
    default: 14
  restore:
    description: Backup on the host to bring back. The server stops for it.
    type: path
  purge:
    description: With O(state=absent), whether database, CA and the user go as well.
    type: bool
    default: false
  start_timeout:
    description: Seconds to wait until the server answers and has its broker.
    type: int
    default: 60
seealso:
  - module: op_dbus.socket_network.netmaker_network
"""

EXAMPLES = r"""
- name: Run the server
  op_dbus.socket_network.netmaker_server:
    program: /usr/local/lib/netmaker-1.5.1
    version: 1.5.1
    domain: nm.example.org
    public_address: 192.0.2.10
    master_key: "{{ vault_netmaker_master_key }}"
    admin_password: "{{ vault_netmaker_admin_password }}"
    broker_password: "{{ vault_netmaker_broker_password }}"

- name: Remove it and keep its data
  op_dbus.socket_network.netmaker_server:
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be done, in words.
  type: list
  elements: str
  returned: always
  sample: [create /etc/netmaker/netmaker.env, start netmaker.service, make superadmin admin]
answered:
  description: Whether the server answered before anything was done.
  type: bool
  returned: when O(state=present)
ca_path:
  description: Certificate of the server's own CA; none where the certificate was given.
  type: str
  returned: when O(state=present)
  sample: /etc/netmaker/ca.crt
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import Request
from ansible_collections.op_dbus.socket_network.plugins.module_utils._module import run_module
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker_server.driver import run_server
from ansible_collections.op_dbus.socket_network.plugins.module_utils._runner import ModuleRunner

ARGUMENT_SPEC: dict[str, Any] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "program": {"type": "path"},
    "version": {"type": "str"},
    "domain": {"type": "str"},
    "public_address": {"type": "str"},
    "api_port": {"type": "int", "default": 443},
    "broker_port": {"type": "int", "default": 8883},
    "master_key": {"type": "str", "no_log": True},
    "admin_username": {"type": "str", "default": "admin"},
    "admin_password": {"type": "str", "no_log": True},
    "broker_password": {"type": "str", "no_log": True},
    "certificate_file": {"type": "path"},
    "key_file": {"type": "path", "no_log": False},
    "settings": {"type": "dict", "default": {}},
    "backup_directory": {"type": "path", "default": "/var/backups/netmaker"},
    "backup_keep": {"type": "int", "default": 14},
    "restore": {"type": "path"},
    "purge": {"type": "bool", "default": False},
    "start_timeout": {"type": "int", "default": 60},
}
NEEDED = ["program", "version", "domain", "public_address", "master_key", "admin_password", "broker_password"]


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC,
        supports_check_mode=True,
        required_if=[("state", "present", NEEDED)],
        required_together=[("certificate_file", "key_file")],
    )
    run_module(module, lambda module: run_server(ModuleRunner(module), Request, module.params, module.check_mode))


if __name__ == "__main__":
    main()
