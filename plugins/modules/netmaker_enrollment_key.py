#!/usr/bin/python
# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: netmaker_enrollment_key
short_description: A key with which hosts join networks of a Netmaker server
version_added: 0.1.0
author: op-dbus maintainers (@op-dbus)
description:
  - Creates, changes or removes an enrollment key. Keys are told apart by name, which is the key's first tag.
  - Networks and limit of a key cannot be changed. A difference is refused unless O(force_recreate) is set.
  - The number of uses that are left never counts as a difference.
  - Networks that do not exist are refused, and so is an O(expires_at) that has passed. The server takes the one and
    answers the other with an internal error.
  - Set C(no_log) to V(true) on every task that receives a token. It admits whoever has it.
extends_documentation_fragment:
  - op_dbus.socket_network.netmaker
  - op_dbus.socket_network.attributes
  - op_dbus.socket_network.attributes.actiongroup
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Shows neither value nor token of a key.
  idempotent:
    support: full
options:
  name:
    description: Name of the key, 3 to 32 characters.
    type: str
    required: true
  state:
    description: Whether the key should exist.
    type: str
    choices: [present, absent]
    default: present
  networks:
    description: Networks that the key leads into. Required with O(state=present).
    type: list
    elements: str
  unlimited:
    description: Whether any number of hosts may join for ever.
    type: bool
  uses:
    description: How many hosts may join.
    type: int
  expires_at:
    description:
      - Until when hosts may join, as V(2027-01-31T12:00:00Z) or in seconds since 1970.
      - The server keeps either this or O(uses), not both.
    type: str
  groups:
    description: Tags that hosts get which join with the key. Left as they are when not given.
    type: list
    elements: str
  relay:
    description:
      - Gateway that relays hosts which join with the key. The name of its host, or the id of its node.
      - An empty string takes it away. Left as it is when not given.
    type: str
  renew:
    description: Whether to make a key anew that is spent or expired.
    type: bool
    default: false
  force_recreate:
    description: Whether to make a key anew that has other networks or another limit. The old token ends.
    type: bool
    default: false
  return_token:
    description: Whether to return the token of a key that already exists, too.
    type: bool
    default: false
seealso:
  - module: op_dbus.socket_network.netmaker_network
"""

EXAMPLES = r"""
- name: Let one host join, and again whenever the key is spent
  op_dbus.socket_network.netmaker_enrollment_key:
    api_url: http://127.0.0.1:8081
    master_key: "{{ netmaker_master_key }}"
    name: socket-network-oo1424oo
    networks: [privacy-mesh]
    uses: 1
    renew: true
    return_token: true
  delegate_to: vps-gateway
  no_log: true
  register: enrollment

- name: Let hosts join until the end of January
  op_dbus.socket_network.netmaker_enrollment_key:
    api_url: https://api.nm.example.org
    api_token: "{{ netmaker_api_token }}"
    name: january
    networks: [privacy-mesh]
    expires_at: "2027-01-31T23:59:59Z"
  no_log: true

- name: Remove the key
  op_dbus.socket_network.netmaker_enrollment_key:
    api_url: http://127.0.0.1:8081
    master_key: "{{ netmaker_master_key }}"
    name: socket-network-oo1424oo
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be done, in words.
  type: list
  elements: str
  returned: success
  sample: [create enrollment key socket-network-oo1424oo]
key:
  description:
    - The key as the server holds it, in check mode as it was found, without its value. None when there is none.
    - C(state) is V(valid), V(spent) or V(expired).
  type: dict
  returned: success
  sample:
    name: socket-network-oo1424oo
    networks: [privacy-mesh]
    unlimited: false
    uses_remaining: 1
    expires_at:
    groups: []
    relay:
    default: false
    state: valid
token:
  description:
    - What C(netclient register -t) takes. A secret.
    - None in check mode, and for a key that existed before unless O(return_token) is set.
  type: str
  returned: success
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
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker.key_service import run_key
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker.options import (
    CONNECTION_SPEC,
    CREDENTIALS,
    ENVIRONMENT,
)

ARGUMENT_SPEC: dict[str, Any] = {
    **CONNECTION_SPEC,
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "networks": {"type": "list", "elements": "str"},
    "unlimited": {"type": "bool"},
    "uses": {"type": "int"},
    "expires_at": {"type": "str"},
    "groups": {"type": "list", "elements": "str"},
    "relay": {"type": "str"},
    "renew": {"type": "bool", "default": False},
    "force_recreate": {"type": "bool", "default": False},
    "return_token": {"type": "bool", "default": False},
}
LIMITS = ("unlimited", "uses", "expires_at")


def main() -> None:
    module = AnsibleModule(
        argument_spec=from_environment(ARGUMENT_SPEC, ENVIRONMENT),
        mutually_exclusive=[CREDENTIALS, LIMITS],
        required_one_of=[CREDENTIALS],
        required_if=[("state", "present", ("networks",)), ("state", "present", LIMITS, True)],
        supports_check_mode=True,
    )
    run_module(module, lambda module: run_key(Request, module.params, module.check_mode))


if __name__ == "__main__":
    main()
