# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One private Open vSwitch that carries every bridge of every fleet, with dummy ports and the compiled rules."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.compile import compile_node
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.groups import Group, read_groups
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.inventory import fleet_from_inventory
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.rules import FlowReader, Rule

from tests.integration.ovs.private_ovs import PrivateOvs, private_ovs
from tests.lib.fleets import FLEETS, HOSTS
from tests.lib.trace import Switch
from tests.lib.unixctl import Unixctl


@dataclass(frozen=True)
class Loaded:
    """A bridge of the private switch and the same rules for the simulator."""

    name: str
    rules: Sequence[Rule]
    ports: frozenset[int]
    switch: Switch
    groups: Mapping[int, Group]


class Laboratory:
    """Makes bridges. Their ports have names of their own, so that fleets may use the same ones; numbers stay."""

    def __init__(self, ovs: PrivateOvs, directory: Path) -> None:
        self.ovs = ovs
        self.control = Unixctl(directory)
        self._bridges = 0

    def load(self, flows: Sequence[str], ports: Mapping[str, int], groups: Sequence[str] = ()) -> Loaded:
        """A bridge with the dummy ``ports``, ``groups`` and ``flows``, which name ports by number."""
        self._bridges += 1
        name = f"b{self._bridges}"
        command = ["add-br", name, "--", "set", "Bridge", name, "datapath_type=dummy", "fail_mode=secure"]
        command += ["protocols=OpenFlow10,OpenFlow15"]
        for number in ports.values():
            port = f"p{self._bridges}-{number}"
            command += ["--", "add-port", name, port]
            command += ["--", "set", "Interface", port, "type=dummy", f"ofport_request={number}"]
        self.ovs.vsctl(*command)
        if groups:
            self.ovs.ofctl("add-groups", name, "-", stdin="\n".join(groups))
        self.ovs.ofctl("add-flows", name, "-", stdin="\n".join(flows))
        reader = FlowReader(ports)
        known = read_groups(groups, reader.port)
        return Loaded(name, reader.read(flows), frozenset(ports.values()), Switch(self.control, name), known)


@contextmanager
def laboratory() -> Iterator[Laboratory]:
    with (
        tempfile.TemporaryDirectory(prefix="ovs-", dir="/tmp") as path,
        private_ovs(Path(path), "--enable-dummy=override") as ovs,
    ):
        made = Laboratory(ovs, Path(path))
        try:
            yield made
        finally:
            made.control.close()


@pytest.fixture(scope="session")
def lab() -> Iterator[Laboratory]:
    with laboratory() as made:
        yield made


@pytest.fixture(scope="session")
def bridges(lab: Laboratory) -> dict[str, Loaded]:
    """Every compiled bridge of every fleet, by ``fleet/host/bridge``."""
    loaded = {}
    for fleet, host in HOSTS:
        for name, bridge in compile_node(fleet_from_inventory(FLEETS[fleet]), host).items():
            flows = [flow.text(bridge.ports) for flow in bridge.flows]
            loaded[f"{fleet}/{host}/{name}"] = lab.load(flows, bridge.ports)
    return loaded
