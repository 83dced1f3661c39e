# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets lost between two containers while their rules are replaced and their switch restarted, as a Markdown table.

Run as root from the root of the collection: ``PYTHONPATH=.collections:. python -m tests.bench.bench_loss``. It boots a
host, provisions its bridge with the role and sends a UDP packet every millisecond. The goal is to lose none. The
userspace datapath lives in ovs-vswitchd and is away as long as that is; the kernel's goes on without it.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.compile import compile_node
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.inventory import fleet_from_inventory

from lab.host import Host
from tests.bench.shapes import table

NAME, PORT = "bench", 5000
SENDING, LEAD = 8.0, 1.0
"""Seconds of sending in all, and before something happens."""

SERVICE = {"name": "probe", "protocol": "udp", "port": PORT, "exposed": True}
NOTE = """\
The userspace datapath (netdev) lives in ovs-vswitchd and is away as long as that is, whatever the rules do; the
kernel's (system) goes on without it."""

INVENTORY: dict[str, Any] = {
    "socket_bridge_bridges": [{"name": "mesh", "subnet": "10.0.0.0/24"}],
    "lxc_service_containers": [
        {"id": "101", "name": "asks", "veth": "veth101", "bridge": "mesh", "ipv4_address": "10.0.0.101/24"},
        {
            "id": "102",
            "name": "answers",
            "veth": "veth102",
            "bridge": "mesh",
            "ipv4_address": "10.0.0.102/24",
            "services": [SERVICE],
        },
    ],
}
CONTAINER = """
ip netns add {name}
ip link add {veth} type veth peer name eth0 netns {name}
ip -n {name} link set eth0 address {mac} up
ip -n {name} address add {address} dev eth0
ip -n {name} route add default via 10.0.0.1
ip netns exec {name} ethtool -K eth0 tx off >/dev/null
ip link set {veth} up
ovs-vsctl add-port mesh {veth} -- set Interface {veth} ofport_request={ofport}
"""


class Bench:
    """The host, its two containers (namespaces of their own) and the rules between them."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.fleet = fleet_from_inventory({NAME: INVENTORY})
        self.compiled = compile_node(self.fleet, NAME)["mesh"]

    def provision(self) -> None:
        play = {"hosts": "all", "gather_facts": False, "roles": ["op_dbus.socket_network.socket_bridge"]}
        run = self.host.playbook([play], extra={**INVENTORY, "socket_bridge_fleet_group": "all"})
        if run.returncode:
            raise SystemExit(run.output[-4000:])
        self.host.put(Path(__file__).with_name("probe.py"), "/root/probe.py")
        for container in self.fleet.nodes[NAME].containers:
            facts = {"name": container.name, "veth": container.veth, "address": container.address}
            self.host.run(CONTAINER.format(**facts, mac=container.mac, ofport=container.ofport))

    def replace_rules(self) -> None:
        """Every rule, four times: another cookie makes another rule of it."""
        bare = [flow.text().partition(",")[2] for flow in self.compiled.flows]
        for owner in (0x6F70, 0x6F6F, 0x6F70, 0x6F6F):
            wanted = {"bridge": "mesh", "flows": bare, "ports": self.compiled.ports, "owner": owner, "force": True}
            done = self.host.ansible("op_dbus.socket_network.ovs_bridge_flows", wanted)
            if done["failed"] or not done["changed"]:
                raise SystemExit(str(done))

    def lost_while(self, event: Callable[[], object]) -> tuple[int, int, int]:
        """Packets sent, packets lost, and the longest row of lost ones."""
        receiver = self._start("answers", "receive", str(PORT))
        assert receiver.stdout is not None
        receiver.stdout.readline()
        sender = self._start("asks", "send", "10.0.0.102", str(PORT), str(SENDING))
        time.sleep(LEAD)
        event()
        sent, _errors = sender.communicate(timeout=60)
        seen, _errors = receiver.communicate(str(int(sent)), timeout=60)
        told = json.loads(seen)
        return told["sent"], told["lost"], told["longest"]

    def _start(self, container: str, *arguments: str) -> subprocess.Popen[str]:
        argv = self.host.enter("ip", "netns", "exec", container, "python3", "/root/probe.py", *arguments)
        return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def main() -> None:
    """Print the table."""
    with Host(NAME) as host:
        bench = Bench(host)
        bench.provision()
        datapath = host.run("ovs-vsctl get Bridge mesh datapath_type").stdout.strip() or "system"
        unit = "systemctl kill --signal=KILL --kill-whom=main ovs-vswitchd.service"
        events: dict[str, Callable[[], object]] = {
            "nothing": lambda: None,
            "every rule replaced, four times": bench.replace_rules,
            "`systemctl restart ovs-vswitchd`": lambda: host.run("systemctl restart ovs-vswitchd.service"),
            "`kill -9` of ovs-vswitchd": lambda: host.run(unit),
        }
        rows = []
        for name, event in events.items():
            sent, lost, longest = bench.lost_while(event)
            rows.append([name, f"{sent:,}", f"{lost:,}", f"{longest:,}"])
        print(table([f"{datapath} datapath: what happens", "sent, 1 a ms", "lost", "longest row of lost ones"], rows))
        print(NOTE)


if __name__ == "__main__":
    main()
