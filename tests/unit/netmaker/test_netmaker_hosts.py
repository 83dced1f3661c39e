# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the inventory plugin takes from the server's answers, and what it leaves there."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.op_dbus.socket_network.plugins.plugin_utils._netmaker_hosts import shown_hosts

SECRETS = {"hostpass": "secret-1", "traffickeypublic": "secret-2", "privatekey": "secret-3", "metadata": "secret-4"}


def host(name: str, number: int, **fields: object) -> dict[str, Any]:
    return {"id": f"host{number:04}-id", "name": name, "os": "linux", "listenport": 51821, **SECRETS, **fields}


def node(owner: dict[str, Any], network: str = "net", **fields: object) -> dict[str, Any]:
    number = owner["id"][4:8]
    common = {"id": f"node-{number}-{network}", "hostid": owner["id"], "network": network, "connected": True}
    return {**common, "address": f"10.100.0.{int(number)}/16", "address6": "", **SECRETS, **fields}


def row(member: dict[str, Any], range_: str, **fields: object) -> dict[str, Any]:
    return {"range": range_, "nodes": {member["id"]: 256}, "status": True, **fields}


def test_chosen_fields_only() -> None:
    one = host("one", 1, endpointip="192.0.2.10", publickey="PUBLIC", version="v1.4.0", mtu=1420)
    (shown,) = shown_hosts([one], [node(one)], {"net": [row(node(one), "10.0.0.0/24")]})
    assert "secret" not in json.dumps(shown)
    assert shown == {
        "name": "one",
        "id": "host0001-id",
        "public_key": "PUBLIC",
        "version": "v1.4.0",
        "os": "linux",
        "endpoint": "192.0.2.10",
        "endpoint6": None,
        "listen_port": 51821,
        "mtu": 1420,
        "networks": {
            "net": {
                "node_id": "node-0001-net",
                "address": "10.100.0.1",
                "address6": None,
                "connected": True,
                "gateway": False,
                "relayed_by": None,
                "egress": ["10.0.0.0/24"],
            }
        },
    }


def test_only_members_and_in_order() -> None:
    hosts = [host("b", 2), host("ghost", 9), host("a", 1), host("leaving", 4)]
    nodes = [
        node(hosts[0]),
        node(hosts[2]),
        node(hosts[3], pendingdelete=True),
        {**node(hosts[1]), "hostid": "", "is_static": True},
    ]
    assert [shown["name"] for shown in shown_hosts(hosts, nodes, {})] == ["a", "b"]


def test_rows_that_are_off_or_of_others_are_no_egress() -> None:
    one, two = host("one", 1), host("two", 2)
    rows = [
        row(node(one), "10.0.2.0/24"),
        row(node(one), "10.0.1.0/24"),
        row(node(one), "10.0.3.0/24", status=False),
        row(node(two), "10.0.4.0/24"),
        row(node(one), "", domain="example.org"),
        {**row(node(one), "10.0.5.0/24"), "nodes": None},
    ]
    shown = shown_hosts([one, two], [node(one), node(two)], {"net": rows})
    assert [each["networks"]["net"]["egress"] for each in shown] == [["10.0.1.0/24", "10.0.2.0/24"], ["10.0.4.0/24"]]


def test_relay_is_named_by_its_host() -> None:
    relay, far = host("relay", 1), host("far", 2)
    gateway = node(relay, isrelay=True)
    shown = shown_hosts([relay, far], [gateway, node(far, isrelayed=True, relayedby=gateway["id"])], {})
    far_member, relay_member = (each["networks"]["net"] for each in shown)
    assert relay_member["gateway"] is True
    assert far_member["relayed_by"] == "relay"


def test_twins_are_told_apart() -> None:
    hosts = [host("twin", 1), host("twin", 2), host("single", 3)]
    shown = shown_hosts(hosts, [node(each) for each in hosts], {})
    assert [each["name"] for each in shown] == ["single", "twin-host0001", "twin-host0002"]
