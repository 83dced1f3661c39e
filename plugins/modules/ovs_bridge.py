#!/usr/bin/python
# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ovs_bridge
short_description: An Open vSwitch bridge and the ports that belong to it
version_added: 0.1.0
author: op-dbus maintainers (@op-dbus)
description:
  - Creates, changes, reads or deletes one Open vSwitch bridge that forwards by OpenFlow rules alone.
    Its C(fail_mode) is always C(secure), its protocols include OpenFlow 1.5, and it has no controller.
  - Attaches ports with fixed OpenFlow port numbers, so that rules keep their meaning when a device is made anew.
  - Bridge, ports, numbers and marks change in one OVSDB transaction. Afterwards the module reads them back, and fails
    when Open vSwitch could not open a device or gave a port another number.
  - Marks what it makes with C(op-dbus-owner=socket_bridge) in C(external_ids) and removes only what has this mark.
    Ports of containers and of others are never touched.
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
  name:
    description: Name of the bridge, at most 15 characters.
    type: str
    required: true
  state:
    description:
      - V(present) makes the bridge and exactly the listed ports of ours.
      - V(absent) deletes the bridge with the ports of ours. It refuses while other ports are on it.
      - V(gathered) changes nothing and returns the bridge.
    type: str
    choices: [present, absent, gathered]
    default: present
  datapath_type:
    description:
      - V(system) is the kernel datapath, V(netdev) the userspace one.
      - V(auto) keeps what an existing bridge has.
        A new bridge gets V(system) where the kernel module is there or can be loaded, else V(netdev).
    type: str
    choices: [auto, system, netdev]
    default: auto
  ports:
    description: Ports to attach. Their devices must exist.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the network device.
        type: str
        required: true
      ofport:
        description: OpenFlow port number, 1 to 65279. Numbers from 32768 are never given out by Open vSwitch itself.
        type: int
        required: true
      external_ids:
        description: Keys to set in C(external_ids) of the interface. Other keys stay.
        type: dict
        default: {}
  adopt:
    description: Take over a bridge of this name that something else has made. Without it such a bridge is refused.
    type: bool
    default: false
seealso:
  - module: op_dbus.socket_network.ovs_bridge_flows
"""

EXAMPLES = r"""
- name: Create the bridge with the bridge ends of its uplinks
  op_dbus.socket_network.ovs_bridge:
    name: mesh
    ports:
      - name: ovs-warp0
        ofport: 53211
      - name: ovs-host
        ofport: 60411
        external_ids:
          uplink: host

- name: Read it
  op_dbus.socket_network.ovs_bridge:
    name: mesh
    state: gathered
  register: mesh_bridge

- name: Delete it
  op_dbus.socket_network.ovs_bridge:
    name: mesh
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be done, in words.
  type: list
  elements: str
  returned: always
  sample: [create bridge mesh with the netdev datapath, add port ovs-warp0 to bridge mesh as 53211]
datapath_type:
  description: Datapath of the bridge.
  type: str
  returned: when O(state=present)
  sample: netdev
bridge:
  description: The bridge as found; none when there is no such bridge.
  type: dict
  returned: when O(state=gathered)
  sample:
    name: mesh
    datapath_type: netdev
    fail_mode: secure
    protocols: [OpenFlow10, OpenFlow13, OpenFlow15]
    controllers: []
    external_ids: {op-dbus-owner: socket_bridge}
    error: ""
    ports:
      - name: ovs-warp0
        ofport: 53211
        ofport_request: 53211
        owner: socket_bridge
        error: ""
        external_ids: {op-dbus-owner: socket_bridge}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.op_dbus.socket_network.plugins.module_utils._module import run_module
from ansible_collections.op_dbus.socket_network.plugins.module_utils._ovs import bridge
from ansible_collections.op_dbus.socket_network.plugins.module_utils._ovs.bridge_plan import BridgeSpec, PortSpec
from ansible_collections.op_dbus.socket_network.plugins.module_utils._plan import Plan, result_of
from ansible_collections.op_dbus.socket_network.plugins.module_utils._runner import ModuleRunner

PORT_SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "ofport": {"type": "int", "required": True},
    "external_ids": {"type": "dict", "default": {}},
}
ARGUMENT_SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent", "gathered"], "default": "present"},
    "datapath_type": {"type": "str", "choices": ["auto", "system", "netdev"], "default": "auto"},
    "ports": {"type": "list", "elements": "dict", "default": [], "options": PORT_SPEC},
    "adopt": {"type": "bool", "default": False},
}


def body(module: AnsibleModule) -> dict[str, Any]:
    params, runner = module.params, ModuleRunner(module)
    name = params["name"]
    if params["state"] == "gathered":
        found = bridge.gathered(runner, name, module.check_mode)
        return {**result_of(Plan(), f"bridge {name}", module.check_mode), "bridge": found}
    if params["state"] == "absent":
        return result_of(bridge.absent(runner, name), f"bridge {name}", module.check_mode)
    ports = tuple(
        PortSpec(port["name"], port["ofport"], {key: str(value) for key, value in port["external_ids"].items()})
        for port in params["ports"]
    )
    spec = BridgeSpec(name, params["datapath_type"], ports, params["adopt"])
    plan, datapath = bridge.present(runner, spec, module.check_mode)
    return {**result_of(plan, f"bridge {name}", module.check_mode), "datapath_type": datapath}


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), body)


if __name__ == "__main__":
    main()
