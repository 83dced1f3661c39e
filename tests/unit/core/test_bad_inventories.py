# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every fault is refused with host, variable, value, problem and fix, and all of them in one report."""

from __future__ import annotations

from copy import deepcopy

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._errors import InvalidFleetError

from tests.unit.core.bad_items import ITEMS
from tests.unit.core.bad_meshes import MESHES
from tests.unit.core.bad_nodes import NODES
from tests.unit.core.samples import fleet, one_bridge
from tests.unit.core.spoiling import DROPLET, Case, bridge, container, service, uplink

CASES = [*ITEMS, *NODES, *MESHES]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_fault_is_refused_and_explained(case: Case) -> None:
    inventory = case.inventory()
    fleet(inventory)
    case.spoil(inventory)
    spoiled = deepcopy(inventory)
    with pytest.raises(InvalidFleetError) as caught:
        fleet(inventory)
    assert case.says in [str(fault) for fault in caught.value.faults]
    assert repr(inventory) == repr(spoiled)


def test_there_are_enough_cases() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 60


def test_report_holds_the_faults_of_all_hosts_in_order() -> None:
    inventory = one_bridge()
    service(inventory).update(port=0)
    container(inventory, 0)["egress"] = "warp9"
    bridge(inventory, DROPLET)["subnet"] = "nonsense"
    with pytest.raises(InvalidFleetError) as caught:
        fleet(inventory)
    text = str(caught.value)
    assert text.startswith("The inventory has 3 faults; nothing was changed.\n  1. oo1424oo: lxc_service")
    assert [fault.host for fault in caught.value.faults] == sorted(fault.host for fault in caught.value.faults)


def test_values_of_unknown_keys_are_not_shown() -> None:
    inventory = one_bridge()
    uplink(inventory)["private_key"] = "c2VjcmV0"
    with pytest.raises(InvalidFleetError, match="private_key: an uplink of kind wireguard has no such key") as caught:
        fleet(inventory)
    assert "c2VjcmV0" not in str(caught.value)
