#!/usr/bin/python
# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: warp_tunnel
short_description: The WireGuard tunnel to Cloudflare WARP that serves as an exit
version_added: 0.1.0
author: op-dbus maintainers (@op-dbus)
description:
  - Configures, starts, stops, removes or reads a WireGuard tunnel with one peer, run by the unit
    C(wg-quick@NAME.service) as the package C(wireguard-tools) ships it.
  - Bring your own configuration. The module does not register with Cloudflare.
  - Judges by what the device does, not by files. A device deleted by hand, a peer removed by hand and a tunnel without
    handshakes are noticed although the configuration file is unchanged.
  - Always writes C(Table = off) and never C(DNS). Routes, rules and the kill switch belong to the link layer of role
    P(op_dbus.socket_network.socket_bridge#role), where they stay while the tunnel is down.
  - IPv4 only, because the socket network drops IPv6. The endpoint may be an IPv6 address.
  - A change of the peer or the key is made on the running device. A new address or MTU restarts it.
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
    default: warp0
  state:
    description:
      - V(present) writes the configuration, starts the tunnel at boot and runs it now.
      - V(up) starts the tunnel, now and at boot, from the configuration that V(present) wrote earlier.
      - V(down) stops it, now and at boot, and keeps the configuration.
      - V(absent) stops it and removes the configuration. One that this collection did not write is left alone.
      - V(queried) changes nothing and returns the state.
    type: str
    choices: [present, up, down, absent, queried]
    default: present
  config:
    description:
      - The tunnel. Only read with O(state=present).
    type: dict
    suboptions:
      private_key:
        description: Private key of this device, as C(wg genkey) prints it.
        type: str
        required: true
      addresses:
        description: IPv4 addresses of the device. WARP gives V(172.16.0.2/32) to everybody.
        type: list
        elements: str
        required: true
      mtu:
        description: MTU of the device.
        type: int
        default: 1280
      peer:
        description: The WARP endpoint.
        type: dict
        required: true
        suboptions:
          public_key:
            description: Public key of the peer.
            type: str
            required: true
          preshared_key:
            description: Preshared key. WARP uses none.
            type: str
          endpoint:
            description:
              - Where it listens, as C(host:port) or C([IPv6]:port).
              - Prefer an address. A name has to be resolved before the tunnel can start at boot.
            type: str
            required: true
          allowed_ips:
            description: IPv4 networks that may be reached through it.
            type: list
            elements: str
            default: [0.0.0.0/0]
          keepalive:
            description: Seconds between keepalives, which hold NAT mappings open. V(0) turns them off.
            type: int
            default: 25
  config_file:
    description:
      - A profile on the managed host, as wgcf or wg-quick know it. Only read with O(state=present).
      - C(DNS) and all IPv6 in it are left out and listed in RV(ignored). Commands such as C(PostUp), a C(Table) other
        than V(off), reserved bytes and unknown settings are refused.
      - Where it does not say, the MTU is 1280 and the keepalive 25 seconds.
      - It must not be C(/etc/wireguard/NAME.conf), which the module writes itself.
    type: path
  max_handshake_age:
    description: Seconds after which a handshake counts as old. WireGuard makes one every 120 seconds under traffic.
    type: int
    default: 180
  wait_handshake:
    description:
      - Seconds to wait for a handshake with O(state=present) and O(state=up).
        The module fails when there is none by then.
      - V(0) does not wait.
    type: int
    default: 0
seealso:
  - module: op_dbus.socket_network.wireguard_uplink
"""

EXAMPLES = r"""
- name: Run the exit with a configuration of one's own
  op_dbus.socket_network.warp_tunnel:
    config:
      private_key: "{{ vault_warp_private_key }}"
      addresses: [172.16.0.2/32]
      peer:
        public_key: bmXOC+F1FxEMF9dyiK2H5/1SUtzH0JuVo51h2wPfgyo=
        endpoint: 162.159.192.1:2408
    wait_handshake: 20

- name: Run the exit with a profile that wgcf made
  op_dbus.socket_network.warp_tunnel:
    config_file: /etc/op-dbus/warp/profile.conf

- name: Read how it is
  op_dbus.socket_network.warp_tunnel:
    state: queried
  register: warp

- name: Remove the exit
  op_dbus.socket_network.warp_tunnel:
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be done, in words.
  type: list
  elements: str
  returned: always
  sample: [create /etc/wireguard/warp0.conf, enable wg-quick@warp0.service]
device:
  description: Name of the network device.
  type: str
  returned: always
  sample: warp0
config_path:
  description: The file that wg-quick reads.
  type: str
  returned: always
  sample: /etc/wireguard/warp0.conf
running:
  description: Whether the unit is active and the device is up.
  type: bool
  returned: always
enabled:
  description: Whether the tunnel starts at boot.
  type: bool
  returned: always
health:
  description:
    - V(ok) with a handshake younger than O(max_handshake_age), V(degraded) with an older one, V(never) before the
      first, V(down) without a running device.
  type: str
  returned: always
  sample: ok
latest_handshake_age:
  description: Age of the latest handshake in seconds; none before the first.
  type: int
  returned: always
  sample: 42
rx_bytes:
  description: Bytes received since the device was made.
  type: int
  returned: always
tx_bytes:
  description: Bytes sent since the device was made.
  type: int
  returned: always
addresses:
  description: IPv4 addresses of the device.
  type: list
  elements: str
  returned: always
  sample: [172.16.0.2/32]
mtu:
  description: MTU of the device; none without one.
  type: int
  returned: always
  sample: 1280
public_key:
  description: Public key of this device; none without one.
  type: str
  returned: always
listen_port:
  description: UDP port of the device; none without one.
  type: int
  returned: always
peer:
  description: The peer as the device holds it; none without one.
  type: dict
  returned: always
  sample:
    public_key: bmXOC+F1FxEMF9dyiK2H5/1SUtzH0JuVo51h2wPfgyo=
    endpoint: 162.159.192.1:2408
    allowed_ips: [0.0.0.0/0]
    keepalive: 25
    latest_handshake_age: 42
    rx_bytes: 1200
    tx_bytes: 3400
peers:
  description: All peers as the device holds them.
  type: list
  elements: dict
  returned: always
endpoint:
  description: Where the device sends to; none without a peer.
  type: str
  returned: always
  sample: 162.159.192.1:2408
ignored:
  description: Settings of O(config_file) that were left out, and why.
  type: list
  elements: str
  returned: always
  sample: ["DNS = 1.1.1.1: the tunnel does not change the host's resolver"]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.op_dbus.socket_network.plugins.module_utils._module import run_module
from ansible_collections.op_dbus.socket_network.plugins.module_utils._runner import ModuleRunner
from ansible_collections.op_dbus.socket_network.plugins.module_utils._wg.service import run_warp

PEER_SPEC: dict[str, Any] = {
    "public_key": {"type": "str", "required": True, "no_log": False},
    "preshared_key": {"type": "str", "no_log": True},
    "endpoint": {"type": "str", "required": True},
    "allowed_ips": {"type": "list", "elements": "str", "default": ["0.0.0.0/0"]},
    "keepalive": {"type": "int", "default": 25},
}
CONFIG_SPEC: dict[str, Any] = {
    "private_key": {"type": "str", "required": True, "no_log": True},
    "addresses": {"type": "list", "elements": "str", "required": True},
    "mtu": {"type": "int", "default": 1280},
    "peer": {"type": "dict", "required": True, "options": PEER_SPEC},
}
ARGUMENT_SPEC: dict[str, Any] = {
    "name": {"type": "str", "default": "warp0"},
    "state": {"type": "str", "choices": ["present", "up", "down", "absent", "queried"], "default": "present"},
    "config": {"type": "dict", "options": CONFIG_SPEC},
    "config_file": {"type": "path"},
    "max_handshake_age": {"type": "int", "default": 180},
    "wait_handshake": {"type": "int", "default": 0},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC,
        supports_check_mode=True,
        mutually_exclusive=[("config", "config_file")],
        required_if=[("state", "present", ("config", "config_file"), True)],
    )
    run_module(module, lambda module: run_warp(ModuleRunner(module), module.params, module.check_mode))


if __name__ == "__main__":
    main()
