# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters: shapes, errors that name the filter, and values as ansible-core hands them over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.op_dbus.socket_network.plugins.filter.compile_flows import compile_flows
from ansible_collections.op_dbus.socket_network.plugins.filter.container_specs import container_specs
from ansible_collections.op_dbus.socket_network.plugins.filter.fleet_inventory import fleet_inventory
from ansible_collections.op_dbus.socket_network.plugins.filter.link_layer import link_layer
from ansible_collections.op_dbus.socket_network.plugins.module_utils._errors import InvalidFleetError
from ansible_collections.op_dbus.socket_network.plugins.plugin_utils._fleet import plain

from tests.unit.core.samples import one_bridge, two_bridges

SECRET = "a secret that nobody reads"
FILTERS = {"compile_flows": compile_flows, "container_specs": container_specs, "link_layer": link_layer}


class HostVars(Mapping[str, Any]):
    """Like Ansible's: knows every host, and reading a secret of one shows."""

    def __init__(self, hosts: dict[str, dict[str, Any]]) -> None:
        self._hosts = hosts

    def __getitem__(self, host: str) -> Any:
        return Guarded(self._hosts[host])

    def __iter__(self) -> Iterator[str]:
        return iter(self._hosts)

    def __len__(self) -> int:
        return len(self._hosts)


class Guarded(dict[str, Any]):
    def __getitem__(self, name: str) -> Any:
        value = super().__getitem__(name)
        if value == SECRET:
            raise AssertionError(f"{name} was read")
        return value


def hostvars() -> HostVars:
    hosts = one_bridge()
    for variables in hosts.values():
        variables |= {
            "socket_bridge_wireguard_private_keys": SECRET,
            "warp_config": SECRET,
            "ansible_host": "192.0.2.1",
        }
    return HostVars(hosts)


def test_fleet_inventory_takes_the_fleets_variables_and_no_secret() -> None:
    assert fleet_inventory(hostvars(), ["oo1424oo", "vps-gateway"]) == one_bridge()


def test_fleet_inventory_takes_the_hosts_that_were_named() -> None:
    assert set(fleet_inventory(hostvars(), ["oo1424oo"])) == {"oo1424oo"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (([], ["oo1424oo"]), "fleet_inventory: expected hostvars, got list."),
        ((hostvars(), "oo1424oo"), "fleet_inventory: expected a list of host names, got str."),
        ((hostvars(), ["oo1424oo", "elsewhere"]), "fleet_inventory: the inventory has no host elsewhere."),
    ],
)
def test_fleet_inventory_refuses_wrong_types(arguments: Any, says: str) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        fleet_inventory(*arguments)
    assert f"op_dbus.socket_network.{says}" in str(caught.value)


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (([], "oo1424oo"), "expected a mapping of host names, got list."),
        ((one_bridge(), 7), "expected a host name, got int."),
        ((one_bridge(), "elsewhere"), "elsewhere is not in the fleet, whose hosts are: oo1424oo, vps-gateway."),
        (({}, "elsewhere"), "elsewhere is not in the fleet, whose hosts are: none."),
    ],
)
def test_filters_refuse_wrong_arguments_in_their_own_name(name: str, arguments: Any, says: str) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        FILTERS[name](*arguments)
    assert f"op_dbus.socket_network.{name}: {says}" in str(caught.value)


@pytest.mark.parametrize("name", FILTERS)
def test_faults_of_the_inventory_are_told_with_their_cause(name: str) -> None:
    inventory = one_bridge()
    inventory["vps-gateway"]["lxc_service_containers"][0]["bridge"] = "vmbr0"
    with pytest.raises(AnsibleFilterError, match="has 1 fault; nothing was changed") as caught:
        FILTERS[name](inventory, "oo1424oo")
    assert isinstance(caught.value.__cause__, InvalidFleetError)
    assert f"op_dbus.socket_network.{name}: The inventory" in str(caught.value)


def test_compile_flows_gives_text_ports_and_origins_by_bridge() -> None:
    found = compile_flows(two_bridges(), "oo1424oo")
    assert set(found) == {"mesh", "vmbr0"}
    assert set(found["mesh"]) == {"flows", "ports", "origins", "given"}
    cookies = [flow.partition(",")[0].removeprefix("cookie=") for flow in found["vmbr0"]["flows"]]
    assert cookies == list(found["vmbr0"]["origins"])
    assert 'in_port="from-mesh"' in "".join(found["vmbr0"]["flows"])


def test_values_as_ansible_hands_them_over() -> None:
    """Strings with tags, in containers that resolve their templates when they are looked at."""
    inventory = one_bridge()
    inventory["oo1424oo"]["socket_bridge_bridges"][0]["subnet"] = trust_as_template("{{ subnet }}")
    templar = Templar(loader=DataLoader(), variables={"subnet": "10.0.0.0/24", "fleet": inventory})
    given = templar.template(trust_as_template("{{ fleet }}"))
    assert link_layer(given, "oo1424oo") == link_layer(one_bridge(), "oo1424oo")


class Lazy(list[Any]):
    """A list whose items exist only for those who ask for them, as ansible-core's do."""

    def __iter__(self) -> Iterator[Any]:
        return iter(["10.100.0.9/32"])


def test_lazy_containers_and_foreign_types_become_plain() -> None:
    given = plain({"prefixes": Lazy(["{{ template }}"]), "when": date(2026, 1, 1), "cpus": 1.5, "relay": True})
    assert given == {"prefixes": ["10.100.0.9/32"], "when": "(date)", "cpus": 1.5, "relay": True}
    assert given["prefixes"].__class__ is list


def test_a_template_past_its_end_is_shown_as_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    inventory = one_bridge()
    inventory["oo1424oo"]["lxc_service_containers"][0]["template"] = "debian-10"
    container_specs(inventory, "oo1424oo")
    assert "support of this template ended on 2024-06-30" in " ".join(capsys.readouterr().err.split())
