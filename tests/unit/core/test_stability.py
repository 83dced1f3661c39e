# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same fleet gives the same output, whatever the order in which it is written."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.compile import compile_node
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.links import link_layer
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.specs import container_specs
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.samples import fleet, one_bridge, two_bridges


def shuffled(value: Any, draw: st.DrawFn) -> Any:
    if isinstance(value, dict):
        return {name: shuffled(value[name], draw) for name in draw(st.permutations(list(value)))}
    if isinstance(value, list):
        return [shuffled(item, draw) for item in draw(st.permutations(value))]
    return value


@st.composite
def orders(draw: st.DrawFn, inventory: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = shuffled(inventory, draw)
    return result


def output(inventory: dict[str, Any]) -> str:
    whole = fleet(inventory)
    everything = {}
    for name in sorted(inventory):
        bridges = compile_node(whole, name)
        flows = {bridge: [[flow.text(), flow.origin] for flow in made.flows] for bridge, made in bridges.items()}
        ports = {bridge: made.ports for bridge, made in bridges.items()}
        everything[name] = [flows, ports, link_layer(whole, name), container_specs(whole, name)]
    return json.dumps(everything)


@given(orders(one_bridge()))
def test_one_bridge(inventory: dict[str, Any]) -> None:
    assert output(inventory) == output(one_bridge())


@given(orders(two_bridges()))
def test_two_bridges(inventory: dict[str, Any]) -> None:
    assert output(inventory) == output(two_bridges())


def test_another_host_adds_its_prefix_and_moves_nothing_else() -> None:
    larger = one_bridge()
    larger["third"] = {
        "socket_bridge_bridges": [{"name": "mesh", "subnet": "10.2.0.0/24"}],
        "socket_bridge_uplinks": [
            {**larger["oo1424oo"]["socket_bridge_uplinks"][0], "address": "10.100.0.3/16", "public_key": "A" * 43 + "="}
        ],
    }
    before = {flow.text() for flow in compile_node(fleet(one_bridge()), "oo1424oo")["mesh"].flows}
    after = {flow.text() for flow in compile_node(fleet(larger), "oo1424oo")["mesh"].flows}
    assert before < after
    assert all("nw_dst=10.2.0.0/24" in text for text in after - before)
    assert len(after - before) == 2
