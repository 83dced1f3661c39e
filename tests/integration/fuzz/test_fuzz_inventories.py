# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random inventories through the whole core and a real Open vSwitch.

``SOCKET_NETWORK_FUZZ=N`` makes N times as many, from a seed of their own; ``SOCKET_NETWORK_FUZZ_SEED=S`` repeats a run.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.checker import check_bridge
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.compile import BridgeFlows, compile_node
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.inventory import fleet_from_inventory
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.links import link_layer
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.model import Fleet
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.simulator import Simulator
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.specs import container_specs
from ansible_collections.op_dbus.socket_network.plugins.module_utils._errors import InvalidFleetError
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.integration.fuzz.inventories import Inventory, shuffled, spoiled, valid
from tests.integration.verify.conftest import Laboratory, laboratory
from tests.integration.verify.packets import packets
from tests.integration.verify.test_verify_trace import simulate
from tests.lib.trace import flow_text

TIMES = int(os.environ.get("SOCKET_NETWORK_FUZZ") or 0)
SEED = int(os.environ.get("SOCKET_NETWORK_FUZZ_SEED") or (secrets.randbits(32) if TIMES else 20261122))
PACKETS = 60
"""For each bridge."""

_ADD = re.compile(r"ADD (.*)$", re.MULTILINE)


@pytest.fixture(scope="module")
def lab() -> Iterator[Laboratory]:
    with laboratory() as made:
        yield made


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    def tell(text: str) -> None:
        with capsys.disabled():
            print(f"\n{text} (SOCKET_NETWORK_FUZZ_SEED={SEED})")

    return tell


def examples(number: int) -> settings:
    """What is found in CI is found again by anybody, and made small by ``SOCKET_NETWORK_FUZZ=1`` with its seed."""
    return settings(
        max_examples=number * max(TIMES, 1),
        phases=[Phase.generate, Phase.shrink] if TIMES else [Phase.generate],
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def bridges(fleet: Fleet) -> dict[str, BridgeFlows]:
    return {f"{host} {name}": made for host in fleet.nodes for name, made in compile_node(fleet, host).items()}


def output(inventory: Inventory) -> str:
    """Everything that the core says about ``inventory``, byte by byte."""
    fleet = fleet_from_inventory(inventory)
    flows = {
        name: [[flow.text() for flow in made.flows], made.ports, made.origins] for name, made in bridges(fleet).items()
    }
    rest = {host: [link_layer(fleet, host), container_specs(fleet, host)] for host in sorted(inventory)}
    return json.dumps([dict(sorted(flows.items())), rest, list(fleet.warnings)])


def test_valid_inventories(told: Callable[[str], None]) -> None:
    seen = {"inventories": 0, "bridges": 0, "rules": 0}

    @examples(120)
    @seed(SEED)
    @given(valid())
    def hold(inventory: Inventory) -> None:
        before = output(inventory)
        for order in range(2):
            assert output(shuffled(inventory, Random(order))) == before
        fleet = fleet_from_inventory(inventory)
        lines: list[str] = []
        for name, made in bridges(fleet).items():
            numeric = [flow.text(made.ports) for flow in made.flows]
            found = check_bridge(numeric, ports=made.ports, origins=made.origins)
            assert not found, f"{name}: {found[0]}"
            lines += numeric
            seen["bridges"] += 1
        _accepted(lines)
        seen["inventories"] += 1
        seen["rules"] += len(lines)

    hold()
    told(f"{seen['inventories']} inventories, {seen['bridges']} bridges, {seen['rules']} rules")


def _accepted(lines: list[str]) -> None:
    """`ovs-ofctl parse-flows` takes every line and has nothing to change in any."""
    command = ["ovs-ofctl", "-O", "OpenFlow15", "parse-flows", "-"]
    text = "\n".join(lines)
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert len(_ADD.findall(done.stdout)) == len(lines)


def test_simulator_and_switch_agree(lab: Laboratory, told: Callable[[str], None]) -> None:
    seen = {"bridges": 0, "packets": 0}

    @examples(14)
    @seed(SEED)
    @given(valid())
    def hold(inventory: Inventory) -> None:
        for name, made in bridges(fleet_from_inventory(inventory)).items():
            loaded = lab.load([flow.text(made.ports) for flow in made.flows], made.ports)
            simulator = Simulator(loaded.rules, loaded.ports)
            for header in packets(loaded.rules, loaded.ports or {1}, PACKETS):
                real = loaded.switch.trace(header)
                assert simulate(simulator, header) == real, f"{name}: {flow_text(header)}"
                seen["packets"] += 1
            seen["bridges"] += 1
            lab.ovs.vsctl("del-br", loaded.name)

    hold()
    told(f"{seen['packets']} packets through {seen['bridges']} bridges, 0 differences")


def test_spoiled_inventories(told: Callable[[str], None]) -> None:
    seen = {"refused": 0, "valid still": 0}

    @examples(500)
    @seed(SEED)
    @given(spoiled())
    def hold(inventory: Any) -> None:
        try:
            fleet = fleet_from_inventory(inventory)
        except InvalidFleetError as exc:
            seen["refused"] += 1
            untold = [fault for fault in exc.faults if not fault.problem or not fault.fix] or not exc.faults
            if untold:
                raise AssertionError(f"{untold} of {exc}") from exc
            return
        # Whatever is not refused has to work.
        for name, made in bridges(fleet).items():
            if not made.given:
                found = check_bridge([flow.text() for flow in made.flows], ports=made.ports)
                assert not found, f"{name}: {found[0]}"
        output(inventory)
        seen["valid still"] += 1

    hold()
    told(f"{seen['refused']} inventories refused, {seen['valid still']} valid still")
