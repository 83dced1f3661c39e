#!/usr/bin/python
# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ovs_bridge_flows
short_description: The OpenFlow rules of an Open vSwitch bridge
version_added: 0.1.0
author: op-dbus maintainers (@op-dbus)
description:
  - Makes the rules that this collection owns on a bridge exactly the given ones, in one atomic bundle that holds the
    differences only. Unchanged rules keep their counters, and so do rules whose actions alone changed.
  - Ownership goes by the upper 16 bits of the cookie. Rules of others, and rules that C(learn) has made, stay.
  - Every rule is checked by C(ovs-ofctl parse-flows) before anything is sent. A match whose prerequisite is missing,
    which Open vSwitch would silently widen to match everything, is refused with its line.
  - Unchanged rules cost three processes, whatever their number.
  - Keeps the rules in a file with port numbers instead of names, which can be replayed when C(ovs-vswitchd) has been
    restarted and the containers are not there yet.
  - The bridge gets C(fail_mode) C(secure) and OpenFlow 1.5 if it has not; a bridge with a controller is refused.
    Open vSwitch itself drops all rules, also those of others, when C(fail_mode) changes.
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
  bridge:
    description: Name of the bridge.
    type: str
    required: true
  flows:
    description:
      - Rules in C(ovs-ofctl) syntax, one an item. Ports are named in double quotes.
      - A rule without a cookie gets one made of O(owner), its table and a digest of its table, priority and match.
    type: list
    elements: str
    default: []
  ports:
    description:
      - OpenFlow port number of every port that O(flows) name. The ports need not be on the bridge yet.
      - A port that is on the bridge under another number is an error.
    type: dict
    default: {}
  origins:
    description: Where rules come from, by cookie. Shown in the diff beside each rule.
    type: dict
    default: {}
  state:
    description:
      - V(present) makes our rules exactly O(flows).
      - V(absent) removes our rules and the durable file.
      - V(gathered) changes nothing and returns our rules.
      - V(rendered) needs no bridge and returns O(flows) as a switch would store them.
    type: str
    choices: [present, absent, gathered, rendered]
    default: present
  owner:
    description: Upper 16 bits of the cookies of our rules. The default is C(0x6f6f).
    type: int
    default: 28527
  exclusive:
    description: Remove all rules of others too.
    type: bool
    default: false
  force:
    description:
      - Take over a rule of others that has the table, priority and match of one of ours. Without it that is refused.
    type: bool
    default: false
  flush_revoked:
    description:
      - Cut live connections that a removed rule of table 40 (the policy) had let in. They would go on otherwise.
      - Connections are found by the rule's addresses, protocol and port, so that a source which still may connect to
        the same service has to connect again.
    type: bool
    default: false
  ct_zone:
    description: Conntrack zone of the bridge. Required with O(flush_revoked).
    type: int
  durable:
    description: The file that keeps the rules. The default is C(/var/lib/op-dbus/flows/BRIDGE.flows).
    type: path
  on_finding:
    description:
      - What to do when a rule cannot do what it says, for instance because rules of higher priority take all its
        packets. P(op_dbus.socket_network.check_flows#filter) tells all kinds of findings.
      - V(fail) changes nothing and names each such rule with its line, its origin, its cause and the remedy. What the
        checker could not decide is a warning.
      - V(warn) loads the rules as they are and gives a warning for each. Of rules with the same table, priority and
        match the last one is loaded then, as on a switch.
      - The rules are checked by themselves, in check mode too. Rules of others on the bridge are not looked at.
      - A rule with matches or actions that the checker does not know is never accused; a warning says that it was not
        checked. What such a rule might cause is not told of other rules either.
      - Rules that an earlier run has checked, and which still stand in O(durable) unchanged, are not checked again.
    type: str
    choices: [fail, warn]
    default: fail
  given:
    description:
      - How each of O(flows) was written by somebody, one item for each. Findings tell this instead of its position.
    type: list
    elements: dict
    default: []
    suboptions:
      line:
        description: Line in the text that it stands in.
        type: int
        required: true
      text:
        description: The rule as it stands there.
        type: str
        required: true
seealso:
  - module: op_dbus.socket_network.ovs_bridge
  - plugin: op_dbus.socket_network.check_flows
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Let two ports talk about ARP only
  op_dbus.socket_network.ovs_bridge_flows:
    bridge: mesh
    ports:
      veth100: 32868
      veth102: 32870
    flows:
      - table=0,priority=200,arp,in_port="veth100",actions=output:"veth102"
      - table=0,priority=200,arp,in_port="veth102",actions=output:"veth100"
      - table=0,priority=0,actions=drop

- name: Apply the rules compiled from the inventory
  op_dbus.socket_network.ovs_bridge_flows:
    bridge: mesh
    flows: "{{ compiled.mesh.flows }}"
    ports: "{{ compiled.mesh.ports }}"
    origins: "{{ compiled.mesh.origins }}"
    flush_revoked: true
    ct_zone: 4242

- name: Load rules as somebody wrote them, and warn of what is wrong in them
  op_dbus.socket_network.ovs_bridge_flows:
    bridge: mesh
    ports:
      veth102: 32870
      ovs-warp0: 53211
    flows:
      - priority=100,in_port="veth102",actions=output:"ovs-warp0"
      - priority=80,in_port="veth102",actions=normal
    on_finding: warn

- name: Read our rules
  op_dbus.socket_network.ovs_bridge_flows:
    bridge: mesh
    state: gathered
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be done, in words.
  type: list
  elements: str
  returned: always
  sample: ["change flows of bridge mesh: add 2, remove 1", update /var/lib/op-dbus/flows/mesh.flows]
counts:
  description: Number of rules of ours that were added, removed, modified and left alone, and of rules of others.
  type: dict
  returned: when O(state) is not V(rendered)
  sample: {added: 2, removed: 1, modified: 0, unchanged: 57, foreign: 0}
flows:
  description: Our rules on the bridge, with port names.
  type: list
  elements: str
  returned: when O(state=gathered)
rendered:
  description: O(flows) as a switch would store them, with port numbers.
  type: list
  elements: str
  returned: when O(state=rendered)
revoked:
  description: Rules of table 40 that let connections in before and do so no longer.
  type: list
  elements: str
  returned: when O(state) is V(present) or V(absent)
flushed:
  description: Number of commands that cut the connections of RV(revoked) rules.
  type: int
  returned: when O(state) is V(present) or V(absent)
findings:
  description:
    - What is wrong with O(flows), in the shape of P(op_dbus.socket_network.check_flows#filter).
    - The failed task returns it too.
  type: list
  elements: dict
  returned: when O(state) is V(present), V(absent) or V(rendered)
  contains:
    kind:
      description: Kind of the finding, such as V(dead) or V(ambiguous).
      type: str
    bridge:
      description: Name of the bridge.
      type: str
    line:
      description: Position of the rule in O(flows), from 1, or its line by O(given).
      type: int
    rule:
      description: The rule as it was given.
      type: str
    origin:
      description: Where the rule comes from, as far as O(origins) tells.
      type: str
    by:
      description: The rules that are the cause, each with C(line), C(rule) and C(origin).
      type: list
      elements: dict
    explanation:
      description: What is wrong.
      type: str
    remedy:
      description: What would make the rule live, or the rules clear.
      type: str
origins:
  description: Where the changed rules come from, by cookie, as far as O(origins) tells.
  type: dict
  returned: when O(state) is V(present) or V(absent)
reachability:
  description:
    - With C(--diff), the connections on this bridge that changed rules open and close, as far as our rules decide.
    - The same lines stand in the diff, on its two sides.
  type: dict
  returned: when O(state) is V(present) or V(absent)
  contains:
    opens:
      description: Who may now open what to whom, and could not before.
      type: list
      elements: str
      sample:
        - "gateway (veth100) -> xray-client (veth102) tcp/443  # services[xray-vless] from local"
    closes:
      description: Who could open what to whom, and may not any more.
      type: list
      elements: str
    note:
      description: Why the lists are empty or incomplete, for example because the exact answer would take too long.
      type: str
datapath_type:
  description: Datapath of the bridge; none in check mode while there is no bridge.
  type: str
  returned: when O(state) is V(present) or V(absent)
  sample: netdev
"""

from dataclasses import replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.op_dbus.socket_network.plugins.module_utils._module import run_module
from ansible_collections.op_dbus.socket_network.plugins.module_utils._ovs import flow_table
from ansible_collections.op_dbus.socket_network.plugins.module_utils._ovs.parameters import flows_spec
from ansible_collections.op_dbus.socket_network.plugins.module_utils._plan import Plan, result_of
from ansible_collections.op_dbus.socket_network.plugins.module_utils._runner import ModuleRunner

ARGUMENT_SPEC: dict[str, Any] = {
    "bridge": {"type": "str", "required": True},
    "flows": {"type": "list", "elements": "str", "default": []},
    "ports": {"type": "dict", "default": {}},
    "origins": {"type": "dict", "default": {}},
    "state": {"type": "str", "choices": ["present", "absent", "gathered", "rendered"], "default": "present"},
    "owner": {"type": "int", "default": 0x6F6F},
    "exclusive": {"type": "bool", "default": False},
    "force": {"type": "bool", "default": False},
    "flush_revoked": {"type": "bool", "default": False},
    "ct_zone": {"type": "int"},
    "durable": {"type": "path"},
    "on_finding": {"type": "str", "choices": ["fail", "warn"], "default": "fail"},
    "given": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"line": {"type": "int", "required": True}, "text": {"type": "str", "required": True}},
    },
}


def body(module: AnsibleModule) -> dict[str, Any]:
    runner, check_mode, state = ModuleRunner(module), module.check_mode, module.params["state"]
    spec = replace(flows_spec(module.params), tell_reachability=module._diff)
    plan, result = Plan(), {}
    if state == "rendered":
        result = flow_table.rendered(runner, spec)
    elif state == "gathered":
        result = flow_table.gathered(runner, spec, check_mode)
    elif state == "absent":
        plan, result = flow_table.absent(runner, spec)
    else:
        plan, result = flow_table.present(runner, spec, check_mode)
    return {**result_of(plan, f"flows of {spec.bridge}", check_mode), **result}


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), body)


if __name__ == "__main__":
    main()
