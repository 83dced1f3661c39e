# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the checker and the simulator take, as Markdown tables.

Run from the root of the collection: ``PYTHONPATH=.collections:. python -m tests.bench.bench_check``. The goal is
10,000 rules of the pipeline's shape read and checked well within a second.
"""

from __future__ import annotations

from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.actions import SetField
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.checker import check
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.conntrack import Conntrack, Packet
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.fields import FIELDS, packed
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.rules import FlowReader
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.simulator import Simulator

from tests.bench.shapes import access_list, duration, pipeline, prefixes, seconds, table

SIZES = (1_000, 10_000, 50_000)
_PACKET = packed(dl_type=0x800, nw_ttl=64, nw_proto=17, nw_dst=0xCB007109, tp_dst=443)


def lines_of(size: int) -> list[str]:
    return [flow.text() for flow in pipeline(size).flows]


def checked(shape: str, lines: list[str]) -> list[str]:
    """A row: reading and checking."""
    rules = FlowReader().read(lines)
    read = seconds(lambda: FlowReader().read(lines))
    found = check(rules)
    taken = seconds(lambda: check(rules))
    each = f"{(read + taken) / len(lines) * 1e6:.0f} µs"
    return [shape, f"{len(lines):,}", str(len(found)), duration(read), duration(taken), each]


def simulated(size: int) -> list[str]:
    """A row: a packet that every container sends to the internet."""
    rules = FlowReader().read(lines_of(size))
    simulator = Simulator(rules)
    register = FIELDS["reg0"].mask
    senders = {rule.bits.value & register: rule.bits.value & ~register for rule in rules if rule.table == 10}
    headers = []
    for rule in rules:
        if rule.table == 0 and rule.actions and isinstance(rule.actions[0], SetField):
            sender = senders[rule.actions[0].bits.value]
            headers.append(rule.bits.value | sender | _PACKET)
    visited = [len(simulator.run(Packet(header), Conntrack()).steps) for header in headers]
    taken = seconds(lambda: [simulator.run(Packet(header), Conntrack()) for header in headers])
    return [f"{size:,}", str(max(visited)), f"{taken / len(headers) * 1e6:.0f} µs"]


def main() -> None:
    """Print the tables."""
    rows = [checked("pipeline", lines_of(size)) for size in SIZES]
    rows += [checked("random prefixes", prefixes(5_000)), checked("random access list", access_list(3_000))]
    print(table(["rules", "number", "findings", "read", "check", "both, a rule"], rows))
    rows = [simulated(size) for size in SIZES[:2]]
    print(table(["rules", "tables on the longest way", "simulated, a packet"], rows))


if __name__ == "__main__":
    main()
