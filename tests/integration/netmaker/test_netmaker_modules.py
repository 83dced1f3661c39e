# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every module through its whole life, on the stand-in and, when there is one, on the real server.

Create, modify and delete: each predicted by check mode without changing anything, done, and then nothing left to do.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._errors import SocketNetworkError

from tests.integration.netmaker.calls import Caller, new_range
from tests.integration.netmaker.servers import Netmaker, new_host

Call = Callable[..., dict[str, Any]]


def cycle(call: Call, **arguments: Any) -> dict[str, Any]:
    """Predict, do, and see that nothing is left. Returns what was done."""
    predicted = call(check=True, **arguments)
    assert predicted["changed"]
    assert call(check=True, **arguments)["actions"] == predicted["actions"], "check mode has changed something"
    done = call(**arguments)
    assert (done["actions"], done["diff"]) == (predicted["actions"], predicted["diff"])
    again = call(**arguments)
    assert (again["changed"], again["actions"]) == (False, [])
    assert again["diff"]["before"] == again["diff"]["after"] == ""
    return done


def refusal(call: Call, **arguments: Any) -> tuple[str, str]:
    """The error's code and text, the same in check mode."""
    found = []
    for check in (True, False):
        with pytest.raises(SocketNetworkError) as caught:
            call(check=check, **arguments)
        found.append((str(caught.value.result().get("error_code")), str(caught.value)))
    assert found[0] == found[1]
    return found[0]


@pytest.fixture
def modules(netmaker: Netmaker) -> Caller:
    return Caller(netmaker)


@pytest.fixture
def mesh(netmaker: Netmaker) -> str:
    """A network of the test's own."""
    return str(netmaker.network()["netid"])


def test_life_of_a_network(modules: Caller) -> None:
    overlay = new_range()
    create = {"netid": "life", "addressrange": overlay, "default_mtu": 1420, "auto_remove": True}
    assert cycle(modules.network, **create)["network"]["auto_remove_threshold"] == 60
    modify = {**create, "default_policy": "deny", "auto_remove_threshold": 90}
    assert cycle(modules.network, **modify)["network"]["default_policy"] == "deny"
    assert cycle(modules.network, netid="life", auto_remove=False)["network"]["addressrange"] == overlay
    assert refusal(modules.network, netid="life", default_mtu=1280)[0] == "immutable_change"
    kept = modules.network(netid="life", default_mtu=1280, on_immutable_change="warn")
    assert (kept["changed"], len(kept["warnings"])) == (False, 1)
    assert refusal(modules.network, netid="other", addressrange=overlay)[0] == "cidr_overlap"
    cycle(modules.network, netid="life", state="absent")


def test_host_bits_of_a_range_are_no_difference(modules: Caller) -> None:
    overlay = new_range()
    modules.network(netid="bits", addressrange=overlay)
    assert not modules.network(netid="bits", addressrange=overlay.replace(".0.0/", ".3.4/"))["changed"]


def test_network_goes_with_its_egress_but_not_with_its_nodes(modules: Caller, netmaker: Netmaker, mesh: str) -> None:
    node = netmaker.join(mesh, name="member")
    modules.node(network=mesh, host_id=node["hostid"], egress=[{"range": "172.20.0.0/24"}])
    assert refusal(modules.network, netid=mesh, state="absent")[0] == "has_members"
    cycle(modules.network, netid=mesh, state="absent", force=True)
    assert netmaker.nodes(mesh) == []
    assert netmaker.egress(mesh) == []


def test_life_of_a_key(modules: Caller, netmaker: Netmaker, mesh: str) -> None:
    create = {"name": "life-key", "networks": [mesh], "uses": 2}
    token = cycle(modules.key, **create)["token"]
    assert token
    assert modules.key(**create)["token"] is None
    assert modules.key(**create, return_token=True)["token"] == token
    assert modules.key(check=True, name="not-there", networks=[mesh], uses=1)["token"] is None
    gateway = netmaker.join(mesh, name="key-gateway")
    modules.node(network=mesh, host_id=gateway["hostid"], gateway=True)
    assert cycle(modules.key, **create, relay="key-gateway")["key"]["relay"] == gateway["id"]
    assert modules.key(**create, return_token=True)["token"] == token
    cycle(modules.key, **create, relay="")
    until = {"name": "life-key", "networks": [mesh], "expires_at": "2097-01-31T12:00:00Z"}
    assert refusal(modules.key, **until)[0] == "immutable_change"
    renewed = cycle(modules.key, **until, force_recreate=True)
    assert renewed["token"] != token
    cycle(modules.key, name="life-key", state="absent")


def test_spent_key_is_told_and_renewed(modules: Caller, netmaker: Netmaker, mesh: str) -> None:
    create = {"name": "spent-key", "networks": [mesh], "uses": 1}
    token = modules.key(**create)["token"]
    assert netmaker.register(token, new_host()).status == 200
    spent = modules.key(**create)
    assert (spent["changed"], spent["key"]["state"], len(spent["warnings"])) == (False, "spent", 1)
    assert cycle(modules.key, **create, renew=True)["token"] not in {None, token}


def test_key_is_refused_where_the_server_would_not(modules: Caller, mesh: str) -> None:
    assert refusal(modules.key, name="nowhere", networks=[mesh, "missing"], uses=1)[0] == "not_found"
    past = {"name": "past", "networks": [mesh], "expires_at": "2020-01-01T00:00:00Z"}
    with pytest.raises(SocketNetworkError, match="would end at 2020"):
        modules.key(**past)
    assert refusal(modules.key, name=mesh, state="absent")[0] == "immutable_change"


def test_life_of_a_membership(modules: Caller, netmaker: Netmaker, mesh: str) -> None:
    gateway = netmaker.join(mesh, name="life-gateway", endpointip="192.0.2.10")
    node = netmaker.join(mesh, name="life-node")
    base = str(gateway["networkrange"]).rsplit(".", 2)[0]
    cycle(modules.node, network=mesh, host_name="life-gateway", gateway=True)
    create: dict[str, Any] = {
        "network": mesh,
        "host_id": node["hostid"],
        "address": f"{base}.0.77",
        "host": {"listen_port": 51900, "static_port": True, "mtu": 1400, "dns": False, "auto_update": False},
        "relay_via": "life-gateway",
        "egress": [{"range": "172.21.0.7/24"}, {"range": "172.21.1.0/24", "enabled": False, "metric": 300}],
    }
    done = cycle(modules.node, **create)
    assert done["node"]["address"] == f"{base}.0.77"
    assert done["node"]["relayed_by"] == gateway["id"]
    assert [(row["range"], row["metric"], row["nat"], row["enabled"]) for row in done["egress"]] == [
        ("172.21.0.0/24", 256, False, True),
        ("172.21.1.0/24", 300, False, False),
    ]
    modify = {
        **create,
        "host": {"name": "life-renamed", "keepalive": 25, "static_port": False},
        "relay_via": "",
        "egress": [{"range": "172.21.0.0/24", "nat": True, "description": "containers"}],
        "egress_purge": True,
    }
    done = cycle(modules.node, **modify)
    assert (done["host"]["name"], done["host"]["mtu"]) == ("life-renamed", 1400)
    assert [(row["range"], row["nat"]) for row in done["egress"]] == [("172.21.0.0/24", True)]
    cycle(modules.node, network=mesh, host_id=node["hostid"], state="disconnected")
    cycle(modules.node, network=mesh, host_id=node["hostid"])
    cycle(modules.node, network=mesh, host_id=node["hostid"], state="absent", purge_host=True)
    assert netmaker.egress(mesh) == []
    cycle(modules.node, network=mesh, host_name="life-gateway", gateway=False)


def test_joining_by_the_server(modules: Caller, netmaker: Netmaker, mesh: str) -> None:
    """The host is known from another network; afterwards it keeps that one, and its record."""
    home = str(netmaker.network()["netid"])
    host = netmaker.join(home, name="joined")["hostid"]
    done = cycle(modules.node, network=mesh, host_id=host, join=True, egress=[{"range": "172.22.0.0/24"}])
    assert done["actions"][0] == f"join {host} to {mesh}"
    cycle(modules.node, network=mesh, host_id=host, state="absent", purge_host=True)
    assert netmaker.node_of(home, host)


def test_rejoin_gets_address_and_egress_back(modules: Caller, netmaker: Netmaker, mesh: str) -> None:
    node = netmaker.join(mesh, name="again")
    address = str(node["address"]).replace(".0.1/", ".0.99/")
    want = {"network": mesh, "host_id": node["hostid"], "address": address, "egress": [{"range": "172.23.0.0/24"}]}
    modules.node(**want)
    row = netmaker.egress(mesh)[0]["id"]
    assert netmaker.call("DELETE", f"/api/hosts/{node['hostid']}/networks/{mesh}?force=true").status == 200
    done = cycle(modules.node, **want, join=True)
    assert f"{done['node']['address']}/16" == address
    assert [found["id"] for found in done["egress"]] == [row]
    assert done["node"]["id"] != node["id"]


def test_duplicated_rows_are_reduced_to_one(modules: Caller, netmaker: Netmaker, mesh: str) -> None:
    node = netmaker.join(mesh, name="twice")
    body = {"name": "x", "network": mesh, "nodes": {node["id"]: 256}, "range": "172.24.0.0/24", "nat": False}
    for _number in range(3):
        assert netmaker.call("POST", "/api/v1/egress", body).status == 200
    done = cycle(modules.node, network=mesh, host_id=node["hostid"], egress=[{"range": "172.24.0.0/24"}])
    assert (len(done["actions"]), len(done["egress"])) == (2, 1)


def test_hosts_that_joined_in_the_wrong_order_swap_addresses(modules: Caller, netmaker: Netmaker, mesh: str) -> None:
    first, second = netmaker.join(mesh, name="swap-one"), netmaker.join(mesh, name="swap-two")
    ours, theirs = (str(node["address"]).partition("/")[0] for node in (first, second))
    swap = {"network": mesh, "host_name": "swap-one", "address": theirs}
    code, text = refusal(modules.node, **swap)
    assert (code, "swap-two" in text) == ("address_in_use", True)
    fixed = {"swap-one": theirs, "swap-two": ours}
    assert cycle(modules.node, **swap, fixed_addresses=fixed)["node"]["address"] == theirs
    cycle(modules.node, network=mesh, host_name="swap-two", address=ours, fixed_addresses=fixed)
    assert {node["address"] for node in netmaker.nodes(mesh)} == {first["address"], second["address"]}


def test_hosts_may_be_told_at_the_same_time(modules: Caller, netmaker: Netmaker, mesh: str) -> None:
    """As Ansible does with forks: each wants an address that another one holds, and two a gateway that is just made."""
    names = ["fork-0", "fork-1", "fork-2"]
    held = [str(netmaker.join(mesh, name=name)["address"]).partition("/")[0] for name in names]
    fixed = dict(zip(names, [*held[1:], held[0]], strict=True))

    def tell(name: str) -> dict[str, Any]:
        first = name == names[0]
        return modules.node(
            network=mesh,
            host_name=name,
            address=fixed[name],
            fixed_addresses=fixed,
            gateway=first,
            relay_via="" if first else names[0],
            egress=[{"range": f"172.27.{name[-1]}.0/24"}],
            wait_timeout=30,
        )

    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(tell, names))
    told = [tell(name) for name in names]
    assert [done["changed"] for done in told] == [False] * 3
    assert [done["node"]["address"] for done in told] == list(fixed.values())


def test_membership_is_refused_where_the_server_would_not(modules: Caller, netmaker: Netmaker, mesh: str) -> None:
    node = netmaker.join(mesh, name="refused")
    other = netmaker.join(mesh, name="other")
    modules.node(network=mesh, host_id=other["hostid"], egress=[{"range": "172.25.0.0/16"}])
    overlay = str(node["networkrange"])
    want = {"network": mesh, "host_id": node["hostid"]}
    assert refusal(modules.node, **want, address="203.0.113.1")[0] == "out_of_range"
    assert refusal(modules.node, **want, address=overlay.partition("/")[0])[0] == "out_of_range"
    assert refusal(modules.node, **want, egress=[{"range": overlay}])[0] == "cidr_overlap"
    code, text = refusal(modules.node, **want, egress=[{"range": "172.25.3.0/24"}])
    assert (code, "through other" in text) == ("cidr_overlap", True)
    assert refusal(modules.node, **want, egress=[{"range": "172.25.0.0/16"}])[0] == "cidr_overlap"


def test_host_names_may_be_ambiguous(modules: Caller, netmaker: Netmaker, mesh: str) -> None:
    for _number in range(2):
        netmaker.join(mesh, name="namesake")
    assert refusal(modules.node, network=mesh, host_name="namesake")[0] == "host_ambiguous"


def test_missing_things_are_errors_but_not_in_check_mode(modules: Caller, mesh: str) -> None:
    """A task before this one would have made them."""
    for code, want in (
        ("host_not_found", {"network": mesh, "host_name": "nobody"}),
        ("not_found", {"network": "nowhere", "host_name": "nobody"}),
    ):
        assert modules.node(check=True, **want)["changed"]
        with pytest.raises(SocketNetworkError) as caught:
            modules.node(**want)
        assert caught.value.result()["error_code"] == code
    assert not modules.node(network=mesh, host_name="nobody", state="absent")["changed"]


def test_host_that_never_joins_is_told_after_the_wait(modules: Caller, netmaker: Netmaker, mesh: str) -> None:
    home = str(netmaker.network()["netid"])
    host = netmaker.join(home, name="late")["hostid"]
    with pytest.raises(SocketNetworkError, match="netclient") as caught:
        modules.node(network=mesh, host_id=host, wait_timeout=1)
    assert caught.value.result()["error_code"] == "node_timeout"


def test_one_login_serves_all(netmaker: Netmaker, mesh: str) -> None:
    login = {"username": "boss", "password": "Boss-of-tests-1"}
    netmaker.call("POST", "/api/users/adm/createsuperadmin", login, token=None)
    visitor = Caller(netmaker, master_key=None)
    found = visitor.info(gather=[], return_token=True, **login)
    user = Caller(netmaker, master_key=None, api_token=found["api_token"])
    node = netmaker.join(mesh, name="by-user")
    create = {"network": mesh, "host_id": node["hostid"], "gateway": True, "egress": [{"range": "172.26.0.0/24"}]}
    cycle(user.node, **create)
    cycle(user.node, network=mesh, host_id=node["hostid"], state="absent", purge_host=True)
    cycle(user.key, name="by-user", networks=[mesh], unlimited=True)
    cycle(user.network, netid=mesh, default_policy="deny")
    cycle(user.network, netid=mesh, state="absent")
    with pytest.raises(SocketNetworkError) as caught:
        visitor.info(gather=[], **{**login, "password": "wrong-password"})
    assert caught.value.result()["error_code"] == "auth_failed"
    assert "wrong-password" not in str(caught.value)


def test_information_holds_no_secret(modules: Caller, netmaker: Netmaker, mesh: str) -> None:
    token = netmaker.key(mesh)["token"]
    found = modules.info(gather=["all"])
    assert {"networks", "hosts", "nodes", "egress", "enrollment_keys"} <= set(found)
    assert token not in str(found)
    assert all(key["value"] not in str(found) for key in netmaker.call("GET", "/api/v1/enrollment-keys").body)
    assert [network["netid"] for network in modules.info(network=mesh)["networks"]] == [mesh]


def test_wrong_credential(netmaker: Netmaker) -> None:
    with pytest.raises(SocketNetworkError) as caught:
        Caller(netmaker, master_key="a-wrong-key").network(netid="any", state="absent")
    assert caught.value.result() == {"error_code": "auth_failed", "status": 401}
