# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory plugin, through a real `ansible-inventory`, against a Netmaker server."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab import base, remote
from tests.integration.netmaker.servers import MASTER_KEY, Netmaker

PLUGIN = "op_dbus.socket_network.netmaker"
Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def run(netmaker: Netmaker, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `ansible-inventory --list` on a file with the given options."""

    def run_(*, environment: dict[str, str] | None = None, **options: object) -> subprocess.CompletedProcess[str]:
        path = tmp_path / "netmaker.yml"
        path.write_text(json.dumps({"plugin": PLUGIN, "api_url": netmaker.url, "strict": True, **options}))
        return subprocess.run(
            [remote.tool("ansible-inventory"), "-i", str(path), "--list"],
            cwd=base.REPOSITORY,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("NETMAKER_")},
                "ANSIBLE_HOME": str(tmp_path / "home"),
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_INVENTORY_ENABLED": PLUGIN,
                "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true",
                **(environment or {}),
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run_


def without_mark(mapping: dict[str, Any]) -> Any:
    """ansible-inventory marks texts that came from outside: they are never taken for templates."""
    return mapping.get("__ansible_unsafe", mapping)


@pytest.fixture
def ask(run: Callable[..., subprocess.CompletedProcess[str]]) -> Ask:
    """The inventory that a run with the master key gives."""

    def ask_(**options: object) -> dict[str, Any]:
        done = run(**{"master_key": MASTER_KEY, **options})
        assert done.returncode == 0, done.stderr
        assert MASTER_KEY not in done.stdout + done.stderr
        inventory: dict[str, Any] = json.loads(done.stdout, object_hook=without_mark)
        return inventory

    return ask_


def test_members_are_hosts_and_networks_are_groups(netmaker: Netmaker, ask: Ask) -> None:
    first, second = (netmaker.network()["netid"] for _network in range(2))
    nodes = [netmaker.join(first, name=f"{first}-a"), netmaker.join(first, name=f"{first}-b")]
    other = netmaker.join(second, name=f"{second}-c")
    found = ask(networks=[first, second])
    group = f"netmaker_{first}".replace("-", "_")
    assert sorted(found[group]["hosts"]) == [f"{first}-a", f"{first}-b"]
    assert found[f"netmaker_{second}".replace("-", "_")]["hosts"] == [f"{second}-c"]
    variables = found["_meta"]["hostvars"]
    for name, network, node in ((f"{first}-a", first, nodes[0]), (f"{second}-c", second, other)):
        address = node["address"].partition("/")[0]
        assert variables[name]["netmaker_addresses"] == {network: address}
        about = variables[name]["netmaker_host"]
        assert about["id"] == node["hostid"]
        assert about["networks"][network]["node_id"] == node["id"]
        assert about["networks"][network]["address"] == address


def test_only_the_wanted_networks(netmaker: Netmaker, ask: Ask) -> None:
    wanted, other = (netmaker.network()["netid"] for _network in range(2))
    netmaker.join(wanted, name="wanted-host")
    netmaker.join(other, name="other-host")
    assert list(ask(networks=[wanted])["_meta"]["hostvars"]) == ["wanted-host"]
    assert ask(networks=["no-such-network"])["_meta"]["hostvars"] == {}


def test_constructed_variables_and_groups(netmaker: Netmaker, ask: Ask) -> None:
    network = netmaker.network()["netid"]
    node = netmaker.join(network, name="constructed")
    found = ask(
        networks=[network],
        compose={"ansible_host": f"netmaker_addresses['{network}']"},
        groups={"unrelayed": f"netmaker_host.networks['{network}'].relayed_by is none"},
        keyed_groups=[{"key": "netmaker_host.os", "prefix": "os"}],
    )
    assert found["_meta"]["hostvars"]["constructed"]["ansible_host"] == node["address"].partition("/")[0]
    assert found["unrelayed"]["hosts"] == ["constructed"]
    assert found["os_linux"]["hosts"] == ["constructed"]


def test_gateway_relay_and_egress_are_told(netmaker: Netmaker, ask: Ask) -> None:
    network = netmaker.network()["netid"]
    gateway, client = (netmaker.join(network, name=f"{network}-{role}") for role in ("gateway", "client"))
    base_path = f"/api/nodes/{network}"
    assert netmaker.call("POST", f"{base_path}/{gateway['id']}/gateway", {}).status == 200
    assign = f"{base_path}/{client['id']}/gateway/assign?gw_id={gateway['id']}"
    assert netmaker.call("POST", assign, {}).status == 200
    row = {"name": "lan", "network": network, "range": "10.200.5.0/24", "nodes": {client["id"]: 256}, "nat": False}
    assert netmaker.call("POST", "/api/v1/egress", row).status == 200
    variables = ask(networks=[network])["_meta"]["hostvars"]
    at_gateway, at_client = (
        variables[f"{network}-{role}"]["netmaker_host"]["networks"][network] for role in ("gateway", "client")
    )
    assert (at_gateway["gateway"], at_gateway["relayed_by"], at_gateway["egress"]) == (True, None, [])
    assert (at_client["gateway"], at_client["egress"]) == (False, ["10.200.5.0/24"])
    assert at_client["relayed_by"] == f"{network}-gateway"


def test_hosts_of_one_name_are_told_apart(netmaker: Netmaker, ask: Ask) -> None:
    network = netmaker.network()["netid"]
    hosts = [netmaker.join(network, name="twin")["hostid"] for _host in range(2)]
    assert sorted(ask(networks=[network])["_meta"]["hostvars"]) == sorted(f"twin-{host[:8]}" for host in hosts)


def test_cache_answers_without_the_server(netmaker: Netmaker, ask: Ask, tmp_path: Path) -> None:
    network = netmaker.network()["netid"]
    netmaker.join(network, name=f"{network}-kept")
    cached = {
        "cache": True,
        "cache_plugin": "ansible.builtin.jsonfile",
        "cache_connection": str(tmp_path / "cache"),
        "cache_timeout": 600,
        "networks": [network],
    }
    first = ask(**cached)
    netmaker.join(network, name=f"{network}-later")
    assert ask(**cached) == first
    stored = "".join(path.read_text() for path in (tmp_path / "cache").iterdir())
    assert f"{network}-kept" in stored
    assert "pass" not in stored.lower()
    assert len(ask(networks=[network])["_meta"]["hostvars"]) == 2


def test_credential_from_the_environment(
    netmaker: Netmaker, run: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    network = netmaker.network()["netid"]
    assert run(networks=[network], environment={"NETMAKER_MASTER_KEY": MASTER_KEY}).returncode == 0
    assert run(networks=[network], master_key="{{ 'test-master-key' ~ '-0123456789' }}").returncode == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param({}, "one of api_token and master_key is needed", id="none"),
        pytest.param({"master_key": "x", "api_token": "y"}, "and only one", id="both"),
        pytest.param({"master_key": "wrong-key-42"}, "check the credential", id="wrong"),
        pytest.param({"master_key": "x", "api_url": "http://192.0.2.1"}, "in clear text", id="clear text"),
        pytest.param({"master_key": "x", "api_url": "http://127.0.0.1:9"}, "start the server", id="no server"),
    ],
)
def test_what_cannot_work_is_said(
    run: Callable[..., subprocess.CompletedProcess[str]], options: dict[str, str], words: str
) -> None:
    done = run(**options)
    assert done.returncode != 0
    assert words in " ".join(done.stderr.split())
    assert "wrong-key-42" not in done.stderr
