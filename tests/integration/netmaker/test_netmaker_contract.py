# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API is like, quirk by quirk: held against the stand-in, and against the real server when it is at hand.

Where the two differ the stand-in is wrong.
"""

from __future__ import annotations

import base64
from typing import Any

import pytest

from lab.base import wait_for
from tests.integration.netmaker.contract import ADMIN, NOWHERE, Members, is_plain, is_problem
from tests.integration.netmaker.servers import MASTER_KEY, Answer, Netmaker, new_host

LONG_AGO, FAR_AHEAD = 1_000, 2_000_000_000


# ---------------------------------------------------------------- server and credentials


def test_the_status_is_open_to_all(netmaker: Netmaker) -> None:
    answer = netmaker.call("GET", "/api/server/status", token=None)
    assert answer.body["version"].startswith("v1.")
    assert answer.body["db_connected"] is True
    assert answer.body["broker_connected"] is False
    assert ("stand_in" in answer.body) == netmaker.is_stand_in


def test_an_unknown_route_is_plain_text(netmaker: Netmaker) -> None:
    answer = netmaker.call("GET", "/api/nothing")
    assert answer.status == 404
    assert is_plain(answer)
    assert not isinstance(answer.body, dict)


def test_settings_are_replaced_as_a_whole(netmaker: Netmaker) -> None:
    path = "/api/server/settings"
    settings = netmaker.call("GET", path).body["Response"]
    assert netmaker.call("PUT", path, {**settings, "verbosity": 1}).body["Response"]["verbosity"] == 1
    assert is_problem(netmaker.call("PUT", path, {**settings, "jwt_validity_duration": 1}), 400)
    assert is_problem(netmaker.call("PUT", path, {"verbosity": 1}), 400)
    assert netmaker.call("PUT", path, settings).body["Response"] == settings


@pytest.mark.parametrize("token", [None, "nonsense"])
def test_without_a_credential_nothing_is_shown(netmaker: Netmaker, token: str | None) -> None:
    for path in ("/api/networks", "/api/hosts", "/api/v1/enrollment-keys", "/api/server/getserverinfo", "/api/v1/host"):
        assert is_problem(netmaker.call("GET", path, token=token), 401)


def test_logins_that_fail(netmaker: Netmaker, user_token: str) -> None:
    def log_in(**fields: str) -> Answer:
        return netmaker.call("POST", "/api/users/adm/authenticate", fields, token=None)

    assert user_token
    assert is_problem(log_in(username="nobody", password="x"), 401)
    assert is_problem(log_in(username=ADMIN["username"], password="wrong"), 400)
    assert is_problem(netmaker.call("POST", "/api/users/adm/authenticate", raw="{", token=None), 500)


def test_the_first_superadmin_is_the_only_one(netmaker: Netmaker, user_token: str) -> None:
    assert user_token
    assert netmaker.call("GET", "/api/users/adm/hassuperadmin", token=None).body is True
    assert is_problem(netmaker.call("POST", "/api/users/adm/createsuperadmin", ADMIN, token=None), 400)


def test_users_are_refused_where_only_hosts_and_the_master_key_may_go(members: Members, user_token: str) -> None:
    call, one = members.netmaker.call, members.one
    assert call("GET", "/api/networks", token=user_token).status == 200
    for method, path in (
        ("GET", members.path(one)),
        ("DELETE", members.path(one)),
        ("DELETE", f"/api/hosts/{one['hostid']}"),
    ):
        assert is_problem(call(method, path, token=user_token), 401)
    assert call("GET", members.path(one), token=MASTER_KEY).status == 200
    assert call("DELETE", f"/api/v1/ui/hosts/{one['hostid']}?force=true", token=user_token).status == 200


def test_the_master_key_is_no_user(members: Members, user_token: str) -> None:
    call = members.netmaker.call
    everyone = [{"id": "device", "value": "*"}]
    kind = {"policy_type": "device-policy", "protocol": "all", "type": "any", "ports": [], "enabled": True}
    policy = {"name": "x", "network_id": members.network, "src_type": everyone, "dst_type": everyone, **kind}
    assert is_problem(call("POST", "/api/v1/acls", policy, token=user_token), 400)
    policy["allowed_traffic_direction"] = 1
    assert is_problem(call("POST", "/api/v1/acls", policy), 400)
    assert call("POST", "/api/v1/acls", policy, token=user_token).status == 200
    wish = {"name": f"token-{members.network}", "user_name": "admin", "expires_at": "2033-05-18T03:33:20Z"}
    assert is_problem(call("POST", "/api/v1/users/access_token", wish), 401)
    made = call("POST", "/api/v1/users/access_token", wish, token=user_token)
    assert call("GET", "/api/hosts", token=made.body["Response"]["AuthToken"]).status == 200


# ---------------------------------------------------------------- networks


def test_a_network_is_bare_and_its_list_plain_text(netmaker: Netmaker) -> None:
    network = netmaker.network()
    assert netmaker.call("GET", f"/api/networks/{network['netid']}").body["netid"] == network["netid"]
    listed = netmaker.call("GET", "/api/networks")
    assert is_plain(listed)
    names = [item["netid"] for item in listed.body]
    assert network["netid"] in names
    assert names == sorted(names)


def test_the_range_is_normalised_and_defaults_are_filled_in(netmaker: Netmaker) -> None:
    network = netmaker.network("172.20.3.7/20", auto_remove=True)
    assert network["addressrange"] == "172.20.0.0/20"
    fields = ("defaultmtu", "defaultkeepalive", "auto_join", "auto_remove_threshold", "auto_remove_tags")
    assert [network[field] for field in fields] == [1280, 20, True, 60, []]


@pytest.mark.parametrize(
    "fields",
    [
        {"addressrange": "10.250.1.0/31"},
        {"addressrange": "10.250.1.0"},
        {"addressrange": ""},
        {"defaultkeepalive": 1001},
        {"netid": "UPPER"},
        {"netid": "x" * 33},
    ],
    ids=str,
)
def test_networks_that_are_refused(netmaker: Netmaker, fields: dict[str, Any]) -> None:
    body = {"netid": "refused", "addressrange": "10.250.0.0/16", **fields}
    assert is_problem(netmaker.call("POST", "/api/networks", body), 400)


def test_names_and_ranges_of_networks_are_unique(netmaker: Netmaker) -> None:
    network = netmaker.network()
    taken = {"netid": network["netid"], "addressrange": "10.251.0.0/16"}
    assert is_problem(netmaker.call("POST", "/api/networks", taken), 400)
    inside = {"netid": "inside", "addressrange": network["addressrange"].replace("/16", "/24")}
    assert is_problem(netmaker.call("POST", "/api/networks", inside), 400)


def test_a_network_put_ignores_most_and_resets_the_rest(netmaker: Netmaker) -> None:
    network = netmaker.network(auto_remove=True)
    wish = {"netid": network["netid"], "addressrange": "10.252.0.0/16", "defaultmtu": 1400, "defaultkeepalive": 5}
    answer = netmaker.call("PUT", "/api/networks/whatever", wish)
    assert answer.status == 200
    fields = ("addressrange", "defaultmtu", "defaultkeepalive", "auto_remove", "auto_remove_threshold")
    assert [answer.body[field] for field in fields] == [network["addressrange"], 1280, 20, False, 0]
    assert is_problem(netmaker.call("PUT", "/api/networks/whatever", {**wish, "netid": "nowhere"}), 400)


def test_a_network_that_is_not_there_is_deleted_with_success(netmaker: Netmaker) -> None:
    assert is_problem(netmaker.call("GET", "/api/networks/nowhere"), 404)
    answer = netmaker.call("DELETE", "/api/networks/nowhere?force=true")
    assert (answer.status, answer.body["Code"]) == (200, 200)


def test_a_deleted_network_takes_members_and_keys_with_it_but_no_egress_rows(members: Members) -> None:
    netmaker = members.netmaker
    key = netmaker.key(members.network)
    row = members.egress().body["Response"]
    assert netmaker.call("DELETE", f"/api/networks/{members.network}").status == 200
    path = f"/api/networks/{members.network}"
    wait_for("the network to go", lambda: netmaker.call("GET", path).status == 404, timeout=15)
    wait_for("the members to go", lambda: netmaker.nodes(members.network) == [])
    values = {item["value"] for item in netmaker.call("GET", "/api/v1/enrollment-keys").body}
    assert key["value"] not in values
    left = netmaker.egress(members.network)
    assert [item["id"] for item in left] == [row["id"]]


# ---------------------------------------------------------------- enrollment keys


def test_a_network_is_born_with_a_key_that_cannot_be_deleted(netmaker: Netmaker) -> None:
    network = netmaker.network()["netid"]
    listed = netmaker.call("GET", "/api/v1/enrollment-keys")
    assert is_plain(listed)
    key = next(item for item in listed.body if item["tags"] == [network])
    assert (key["default"], key["unlimited"], key["type"]) == (True, True, 3)
    assert is_problem(netmaker.call("DELETE", f"/api/v1/enrollment-keys/{key['value']}"), 500)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"uses_remaining": 2, "expiration": FAR_AHEAD, "unlimited": True}, 2),
        ({"expiration": FAR_AHEAD, "unlimited": False}, 1),
        ({"unlimited": True}, 3),
    ],
    ids=str,
)
def test_uses_beat_expiration_beats_unlimited(netmaker: Netmaker, fields: dict[str, Any], kind: int) -> None:
    key = netmaker.key("nowhere", **fields)
    assert key["type"] == kind
    assert (key["expiration"] == "0001-01-01T00:00:00Z") == (kind != 1)
    assert len(key["value"]) == 32
    assert key["value"] in base64.b64decode(key["token"]).decode()


@pytest.mark.parametrize(
    ("fields", "status"),
    [({"expiration": LONG_AGO}, 500), ({}, 500), ({"unlimited": True, "tags": ["xy"]}, 400), ({"tags": None}, 400)],
    ids=str,
)
def test_keys_that_are_refused(netmaker: Netmaker, fields: dict[str, Any], status: int) -> None:
    body = {"tags": ["refused"], "networks": [], **fields}
    assert is_problem(netmaker.call("POST", "/api/v1/enrollment-keys", body), status)


def test_a_key_without_tags_is_made_and_deleted_while_the_connection_breaks(netmaker: Netmaker) -> None:
    def untagged() -> list[str]:
        keys = netmaker.call("GET", "/api/v1/enrollment-keys").body
        return [key["value"] for key in keys if key["tags"] == []]

    body = {"tags": [], "networks": [], "unlimited": True}
    assert netmaker.call("POST", "/api/v1/enrollment-keys", body).status == 0
    (value,) = untagged()
    assert netmaker.call("DELETE", f"/api/v1/enrollment-keys/{value}").status == 0
    assert untagged() == []


def test_key_names_are_unique_and_a_put_changes_hardly_anything(netmaker: Netmaker) -> None:
    path = "/api/v1/enrollment-keys"
    key = netmaker.key("nowhere", uses_remaining=2)
    assert is_problem(netmaker.call("POST", path, {"tags": key["tags"], "unlimited": True}), 400)
    changed = netmaker.call("PUT", f"{path}/{key['value']}", {"tags": ["other"], "uses_remaining": 9})
    assert changed.status == 200
    assert (changed.body["tags"], changed.body["uses_remaining"]) == (key["tags"], 2)
    assert is_problem(netmaker.call("PUT", f"{path}/{key['value']}", {"relay": NOWHERE}), 500)
    assert is_problem(netmaker.call("PUT", f"{path}/nothing", {}), 500)
    gone = netmaker.call("DELETE", f"{path}/{key['value']}")
    assert (gone.status, gone.text) == (200, "")
    assert is_problem(netmaker.call("DELETE", f"{path}/{key['value']}"), 400)


def test_a_key_is_spent_by_registering_also_when_the_host_is_known(netmaker: Netmaker) -> None:
    network = netmaker.network()["netid"]
    token, host = netmaker.key(network, uses_remaining=2)["token"], new_host()
    assert netmaker.register(token, host).status == 200
    wait_for("the node", lambda: netmaker.node_of(network, host["id"]))
    before = netmaker.node_of(network, host["id"])
    assert netmaker.register(token, host).status == 200
    after = netmaker.node_of(network, host["id"])
    assert before is not None
    assert after is not None
    assert (after["id"], after["address"]) == (before["id"], before["address"])
    assert is_problem(netmaker.register(token, new_host()), 400)


@pytest.mark.parametrize(
    "fields",
    [{"version": "v0.16.0"}, {"version": ""}, {"traffickeypublic": None}],
    ids=lambda fields: next(iter(fields)),
)
def test_hosts_that_may_not_register(netmaker: Netmaker, fields: dict[str, Any]) -> None:
    token = netmaker.key("nowhere")["token"]
    assert is_problem(netmaker.register(token, new_host(**fields)), 400)
    assert is_problem(netmaker.register("nonsense", new_host()), 400)
    assert is_problem(netmaker.register(base64.b64encode(b"{}").decode(), new_host()), 400)
    assert is_problem(netmaker.call("POST", f"/api/v1/host/register/{token}", raw="{", token=None), 500)


def test_a_known_host_is_refused_by_a_key_without_networks(members: Members) -> None:
    key = members.netmaker.call(
        "POST", "/api/v1/enrollment-keys", {"tags": [f"none-{members.network}"], "unlimited": True}
    )
    host = new_host()
    assert members.netmaker.register(key.body["token"], host).status == 200
    assert is_problem(members.netmaker.register(key.body["token"], host), 400)
