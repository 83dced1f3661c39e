#!/usr/bin/python
# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: wireguard_uplink
short_description: This host's end of a WireGuard mesh whose peers come from the inventory
version_added: 0.1.0
author: op-dbus maintainers (@op-dbus)
description:
  - Configures, removes or reads a WireGuard device, run by the unit C(wg-quick@NAME.service) as the package
    C(wireguard-tools) ships it.
  - Peers and keys are changed on the running device, so that the sessions of the other peers live on. A new address or
    MTU restarts it.
  - Compares the running device too. A peer added or removed by hand is noticed although the file is unchanged.
  - Always writes C(Table = off). Routes and rules belong to the link layer of role
    P(op_dbus.socket_network.socket_bridge#role), which uses this module for uplinks of kind C(wireguard).
  - IPv4 only, because the socket network drops IPv6. Endpoints may be IPv6 addresses.
extends_documentation_fragment:
  - op_dbus.socket_network.attributes
  - op_dbus.socket_network.attributes.actiongroup
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Keys are shown as digests.
  idempotent:
    support: full
options:
  name:
    description: Name of the network device.
    type: str
    required: true
  state:
    description:
      - V(present) writes the configuration, starts the device at boot and runs it now.
      - V(absent) stops it and removes the configuration. One that this collection did not write is left alone.
      - V(queried) changes nothing and returns the state.
    type: str
    choices: [present, absent, queried]
    default: present
  private_key:
    description: Private key of this host. Required with O(state=present).
    type: str
  public_key:
    description: Public key that the other hosts were told. When given, a private key that does not match is refused.
    type: str
  address:
    description: IPv4 address in the mesh, with the length of its network. Required with O(state=present).
    type: str
  listen_port:
    description: UDP port to listen on. Without one the kernel picks it.
    type: int
  mtu:
    description: MTU of the device.
    type: int
    default: 1420
  peers:
    description: All peers. A peer of the device that is not listed is removed.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name, written as a comment.
        type: str
        required: true
      public_key:
        description: Public key of the peer.
        type: str
        required: true
      preshared_key:
        description: Preshared key.
        type: str
      endpoint:
        description: Where it listens, as C(host:port) or C([IPv6]:port). A peer without one calls us.
        type: str
      allowed_ips:
        description: IPv4 networks behind it.
        type: list
        elements: str
        required: true
      keepalive:
        description: Seconds between keepalives, which hold NAT mappings open. V(0) turns them off.
        type: int
        default: 0
seealso:
  - module: op_dbus.socket_network.warp_tunnel
"""

EXAMPLES = r"""
- name: Join the mesh
  op_dbus.socket_network.wireguard_uplink:
    name: nm-privacy
    private_key: "{{ vault_mesh_private_key }}"
    address: 10.100.0.2/16
    listen_port: 51821
    peers:
      - name: vps-gateway
        public_key: bmXOC+F1FxEMF9dyiK2H5/1SUtzH0JuVo51h2wPfgyo=
        endpoint: 192.0.2.10:51821
        allowed_ips: [10.100.0.1/32, 10.0.1.0/24]
        keepalive: 25

- name: Leave it
  op_dbus.socket_network.wireguard_uplink:
    name: nm-privacy
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be done, in words.
  type: list
  elements: str
  returned: always
  sample: ["synchronise nm-privacy: add peer vps-gateway", update /etc/wireguard/nm-privacy.conf]
device:
  description: Name of the network device.
  type: str
  returned: always
  sample: nm-privacy
config_path:
  description: The file that wg-quick reads.
  type: str
  returned: always
  sample: /etc/wireguard/nm-privacy.conf
running:
  description: Whether the unit is active and the device is up.
  type: bool
  returned: always
enabled:
  description: Whether the device starts at boot.
  type: bool
  returned: always
health:
  description:
    - V(ok) when any peer has had a handshake in the last 180 seconds, V(degraded) when the newest is older, V(never)
      before the first, V(down) without a running device.
  type: str
  returned: always
  sample: ok
latest_handshake_age:
  description: Age of the newest handshake in seconds; none before the first.
  type: int
  returned: always
  sample: 42
rx_bytes:
  description: Bytes received from all peers since the device was made.
  type: int
  returned: always
tx_bytes:
  description: Bytes sent to all peers since the device was made.
  type: int
  returned: always
addresses:
  description: IPv4 addresses of the device.
  type: list
  elements: str
  returned: always
  sample: [10.100.0.2/16]
mtu:
  description: MTU of the device; none without one.
  type: int
  returned: always
  sample: 1420
public_key:
  description: Public key of this device; none without one.
  type: str
  returned: always
listen_port:
  description: UDP port of the device; none without one.
  type: int
  returned: always
  sample: 51821
peers:
  description: The peers as the device holds them, sorted by public key.
  type: list
  elements: dict
  returned: always
  sample:
    - public_key: bmXOC+F1FxEMF9dyiK2H5/1SUtzH0JuVo51h2wPfgyo=
      endpoint: 192.0.2.10:51821
      allowed_ips: [10.0.1.0/24, 10.100.0.1/32]
      keepalive: 25
      latest_handshake_age: 42
      rx_bytes: 1200
      tx_bytes: 3400
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.op_dbus.socket_network.plugins.module_utils._module import run_module
from ansible_collections.op_dbus.socket_network.plugins.module_utils._runner import ModuleRunner
from ansible_collections.op_dbus.socket_network.plugins.module_utils._wg.service import run_mesh

PEER_SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "public_key": {"type": "str", "required": True, "no_log": False},
    "preshared_key": {"type": "str", "no_log": True},
    "endpoint": {"type": "str"},
    "allowed_ips": {"type": "list", "elements": "str", "required": True},
    "keepalive": {"type": "int", "default": 0},
}
ARGUMENT_SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent", "queried"], "default": "present"},
    "private_key": {"type": "str", "no_log": True},
    "public_key": {"type": "str", "no_log": False},
    "address": {"type": "str"},
    "listen_port": {"type": "int"},
    "mtu": {"type": "int", "default": 1420},
    "peers": {"type": "list", "elements": "dict", "default": [], "options": PEER_SPEC},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC,
        supports_check_mode=True,
        required_if=[("state", "present", ("private_key", "address"))],
    )
    run_module(module, lambda module: run_mesh(ModuleRunner(module), module.params, module.check_mode))


if __name__ == "__main__":
    main()
