#!/usr/bin/python
# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxc_service
short_description: An LXC container that serves something on an Open vSwitch bridge
version_added: 0.1.0
author: op-dbus maintainers (@op-dbus)
description:
  - Creates, changes, starts, stops, reads or deletes one LXC container with its network device, its port on an
    Open vSwitch bridge, its limits and the description of its services, on a host with plain LXC or with Proxmox.
  - The whole configuration is rendered before the first start and replaced in one rename.
    The root file system comes from an archive whose digest is checked, or from a directory.
  - A script attaches the port in one OVSDB transaction with a fixed OpenFlow port number and C(external_ids), so that
    the container also starts again after a power cut that left its port behind.
    On a bridge with the userspace datapath it also keeps the host's own stack away from the container's frames.
  - The guest cannot lose its address. LXC sets it, the guest's own network programs are told to leave it alone,
    and a run gives it back when somebody inside has removed it. On Proxmox the guest's programs set it themselves,
    from the files that Proxmox writes for them.
  - Differences are of three kinds. I(Live) ones (limits, properties of the port, descriptions) are mended at once.
    Those that need a I(restart) or the container I(made anew) need consent, see O(restart) and O(recreate).
    Without it the module fails, names every difference and changes nothing.
  - Containers without the mark of this collection are refused, and never touched.
extends_documentation_fragment:
  - op_dbus.socket_network.attributes
  - op_dbus.socket_network.attributes.actiongroup
attributes:
  check_mode:
    support: full
    details: A missing image gives a warning instead of an error, because an earlier task may bring it.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description:
      - Name of the container, also its host name. Lower case letters, digits and hyphens.
      - Needed for every state but V(queried), which without it returns all containers that carry the mark.
    type: str
  state:
    description:
      - V(present) makes the container as described, running when O(running) says so.
      - V(started) and V(stopped) do the same and overrule O(running).
      - V(absent) deletes it with its data, its port and its description.
      - V(queried) changes nothing.
    type: str
    choices: [present, started, stopped, absent, queried]
    default: present
  id:
    description: Number of the container, unique on the host, on Proxmox in the cluster. Required to make a container.
    type: str
  veth:
    description: Host's end of the container's network device and its port on the bridge. Required to make a container.
    type: str
  bridge:
    description: Bridge with the container's port. It must exist. Required to make a container.
    type: str
  ipv4_address:
    description: Address with prefix length. Required to make a container.
    type: str
  gateway:
    description: Address of the default gateway. Required to make a container.
    type: str
  mac:
    description: MAC address of the container's device. Required to make a container.
    type: str
  ofport:
    description: OpenFlow port number. Required to make a container.
    type: int
  mtu:
    description: MTU of the container's device.
    type: int
    default: 1500
  memory:
    description: Limit of memory in MiB. Without it there is none.
    type: int
  swap:
    description: Limit of swap in MiB. Without it there is none.
    type: int
  cpus:
    description: Number of CPUs, such as 1.5. Without it there is no limit.
    type: float
  nesting:
    description: Whether the guest may run containers or unshare by itself.
    type: bool
    default: false
  running:
    description: Whether the container shall run.
    type: bool
    default: true
  autostart:
    description: Whether the container is started with the host, after the switch and its flows.
    type: bool
    default: true
  unprivileged:
    description: Whether root in the container is the harmless user 100000 of the host.
    type: bool
    default: true
  template:
    description: What is inside, as a note in the container's description.
    type: str
    default: ''
  image:
    description: Archive of the root file system. Excludes O(tree).
    type: dict
    suboptions:
      path:
        description: File on the host, ending in V(.tar), V(.tar.gz), V(.tar.xz) or V(.tar.zst).
        type: path
        required: true
      sha256:
        description: Its digest. Another digest means another root file system, so that the container is made anew.
        type: str
        required: true
  tree:
    description: Directory on the host with a root file system, as debootstrap makes it. Excludes O(image).
    type: path
  services:
    description: What the container serves.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the service.
        type: str
        required: true
      protocol:
        description: Transport protocol.
        type: str
        choices: [tcp, udp]
        required: true
      port:
        description: Port in the container.
        type: int
        required: true
      exposed_to:
        description: From where the flows let connections in, as a note in the container's description.
        type: list
        elements: str
        default: []
      public_port:
        description: Port on the host's public address, as a note in the container's description.
        type: int
      health:
        description: How to see that the service works. One of the suboptions. Tried until it succeeds.
        type: dict
        suboptions:
          tcp:
            description: The port accepts connections.
            type: bool
          http:
            description: Path that is answered with a status below 400.
            type: str
          command:
            description: Shell command that ends with 0 in the container.
            type: str
  restart:
    description:
      - Whether the container may be restarted to take a change.
      - With V(never), the default, such a change fails and names what would need it.
    type: str
    choices: [never, if_needed]
    default: never
  recreate:
    description: Whether the container may be deleted with its data and made anew, for another image or other user ids.
    type: bool
    default: false
  missing_controllers:
    description:
      - What to do when the host's cgroups cannot hold O(memory), O(swap) or O(cpus).
      - V(refuse) fails. V(warn) leaves the limit out and says so.
    type: str
    choices: [refuse, warn]
    default: refuse
  health_timeout:
    description: Seconds that the services may take to become healthy.
    type: int
    default: 60
  backend:
    description:
      - Container manager of the host. V(pct) is Proxmox with its own tool, V(lxc) plain LXC.
      - V(auto), the default, is V(pct) where C(/etc/pve) and the program C(pct) are, else V(lxc).
    type: str
    choices: [auto, lxc, pct]
    default: auto
  storage:
    description: With V(pct), Proxmox' storage for the root file system of a new container. Later changes are ignored.
    type: str
    default: local-lvm
  disk:
    description: With V(pct), size in GiB of the root file system of a new container. Later changes are ignored.
    type: int
    default: 8
notes:
  - With V(lxc) an unprivileged container needs user ids 100000 to 165535 for root in C(/etc/subuid) and C(/etc/subgid).
    The module adds the range when it is missing, and leaves it there.
  - With V(pct), O(id) is the VMID, so it is a number from 100, and only O(image) can be a container's origin.
    The port on the bridge is C(vethVMIDi0), and O(veth) a name for it in C(external_ids).
    Proxmox always limits memory and swap; without O(memory) or O(swap) the limit is 512 MiB.
    O(missing_controllers) has no meaning there. docs/proxmox.md tells what was only tested against a stand-in.
seealso:
  - module: op_dbus.socket_network.ovs_bridge
  - module: op_dbus.socket_network.ovs_bridge_flows
"""

EXAMPLES = r"""
- name: Create a container that serves VLESS
  op_dbus.socket_network.lxc_service:
    id: "102"
    name: xray-client
    veth: veth102
    bridge: mesh
    ipv4_address: 10.0.0.102/24
    gateway: 10.0.0.1
    mac: 02:00:0a:00:00:66
    ofport: 32870
    mtu: 1280
    memory: 512
    image:
      path: /var/lib/op-dbus/images/debian-13.tar.zst
      sha256: 9f2e1b7c0a4d5e6f8b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a
    services:
      - name: xray-vless
        protocol: tcp
        port: 443
        exposed_to: [local, mesh]
        health:
          tcp: true

- name: Create the same container on Proxmox
  op_dbus.socket_network.lxc_service:
    backend: pct
    storage: local-zfs
    disk: 16
    id: "102"
    name: xray-client
    veth: veth102
    bridge: mesh
    ipv4_address: 10.0.0.102/24
    gateway: 10.0.0.1
    mac: 02:00:0a:00:00:66
    ofport: 32870
    mtu: 1280
    nesting: true
    image:
      path: /var/lib/vz/template/cache/debian-13-standard_13.1-2_amd64.tar.zst
      sha256: 9f2e1b7c0a4d5e6f8b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a

- name: List the containers of this collection
  op_dbus.socket_network.lxc_service:
    state: queried
  register: service_containers

- name: Delete a container with its data
  op_dbus.socket_network.lxc_service:
    name: xray-client
    state: absent
"""

RETURN = r"""
backend:
  description: Container manager that was used.
  type: str
  returned: always
  sample: pct
actions:
  description: What was done, or in check mode would be done, in words.
  type: list
  elements: str
  returned: always
  sample: [stop container xray-client, start container xray-client]
container:
  description: The container as found at the end.
  type: dict
  returned: when O(name) is given
  sample:
    name: xray-client
    state: RUNNING
    pid: 677
    cgroup: /sys/fs/cgroup/lxc.payload.xray-client
    ofport: 32870
    source: sha256:9f2e1b7c0a4d5e6f8b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a
    veth: veth102
    port: veth102
    bridge: mesh
    mac: 02:00:0a:00:00:66
    ip: 10.0.0.102
    autostart: true
containers:
  description: All containers of this collection, each with its C(services) and whether it C(is_ours).
  type: list
  elements: dict
  returned: when O(state=queried)
health:
  description: Outcome for each service that has a health check.
  type: dict
  returned: when the container runs
  sample: {xray-vless: {kind: tcp, healthy: true, detail: connected}}
pending:
  description: On failure, the differences that wait for consent, each with its kind. Else empty.
  type: list
  elements: str
  returned: always
  sample: ["lxc.net.0.mtu 1500 -> 1280 (restart)"]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.op_dbus.socket_network.plugins.module_utils._lxc import service
from ansible_collections.op_dbus.socket_network.plugins.module_utils._module import run_module
from ansible_collections.op_dbus.socket_network.plugins.module_utils._runner import ModuleRunner

HEALTH_SPEC: dict[str, Any] = {"tcp": {"type": "bool"}, "http": {"type": "str"}, "command": {"type": "str"}}
SERVICE_SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "protocol": {"type": "str", "choices": ["tcp", "udp"], "required": True},
    "port": {"type": "int", "required": True},
    "exposed_to": {"type": "list", "elements": "str", "default": []},
    "public_port": {"type": "int"},
    "health": {"type": "dict", "options": HEALTH_SPEC},
}
IMAGE_SPEC: dict[str, Any] = {
    "path": {"type": "path", "required": True},
    "sha256": {"type": "str", "required": True},
}
ARGUMENT_SPEC: dict[str, Any] = {
    "name": {"type": "str"},
    "state": {
        "type": "str",
        "choices": ["present", "started", "stopped", "absent", "queried"],
        "default": "present",
    },
    **{key: {"type": "str"} for key in ("id", "veth", "bridge", "ipv4_address", "gateway", "mac")},
    "ofport": {"type": "int"},
    "mtu": {"type": "int", "default": 1500},
    "memory": {"type": "int"},
    "swap": {"type": "int"},
    "cpus": {"type": "float"},
    "nesting": {"type": "bool", "default": False},
    **{key: {"type": "bool", "default": True} for key in ("running", "autostart", "unprivileged")},
    "template": {"type": "str", "default": ""},
    "image": {"type": "dict", "options": IMAGE_SPEC},
    "tree": {"type": "path"},
    "services": {"type": "list", "elements": "dict", "default": [], "options": SERVICE_SPEC},
    "restart": {"type": "str", "choices": ["never", "if_needed"], "default": "never"},
    "recreate": {"type": "bool", "default": False},
    "missing_controllers": {"type": "str", "choices": ["refuse", "warn"], "default": "refuse"},
    "health_timeout": {"type": "int", "default": 60},
    "backend": {"type": "str", "choices": ["auto", "lxc", "pct"], "default": "auto"},
    "storage": {"type": "str", "default": "local-lvm"},
    "disk": {"type": "int", "default": 8},
}


def body(module: AnsibleModule) -> dict[str, Any]:
    result = service.manage(module.params, module.check_mode, ModuleRunner(module))
    for warning in result.pop("warnings"):
        module.warn(warning)
    return result


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), body)


if __name__ == "__main__":
    main()
