# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans for networks and keys over what the real server recorded, older shapes, and what it should not be asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._errors import SocketNetworkError
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker import key, network
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker.api import Api
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker.key_service import Found as FoundKeys
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker.key_service import (
    Manager as KeyManager,
)
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker.network_service import (
    Found,
    Manager,
)

from tests.unit.netmaker.doubles import client, recorded, serving

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
OLD = {
    "netid": "mesh",
    "addressrange": "10.100.0.0/16",
    "addressrange6": "",
    "defaultmtu": 1420,
    "defaultkeepalive": 20,
    "defaultacl": "yes",
    "auto_join": "true",
    "auto_remove": "yes",
    "auto_remove_threshold_mins": 30,
}
"""A network as servers up to 1.5.0 write it."""
PARAMS: dict[str, Any] = {
    "netid": "mesh",
    "addressrange": None,
    "addressrange6": None,
    "default_mtu": None,
    "default_keepalive": None,
    "auto_remove": None,
    "auto_remove_threshold": None,
    "default_policy": None,
}
KEY: dict[str, Any] = {
    "name": "first",
    "networks": ["mesh"],
    "unlimited": None,
    "uses": None,
    "expires_at": None,
    "groups": None,
    "relay": None,
}


def code_of(error: pytest.ExceptionInfo[SocketNetworkError]) -> object:
    return error.value.result()["error_code"]


def manager(**options: bool) -> Manager:
    return Manager(Api(client("http://127.0.0.1:1")), "mesh", options.pop("typed", True), **options)


def found_network() -> network.Network:
    (raw,) = recorded("networks", "GET /api/networks")
    return network.network_of(raw, network.policy_of("mesh", recorded("networks", "GET /api/v1/acls?network=mesh")))


def test_networks_of_all_versions_read_the_same() -> None:
    found = found_network()
    assert (str(found.range), found.range6, found.open_by_default) == ("10.100.0.0/16", None, True)
    old = network.network_of(OLD)
    assert (old.auto_remove, old.threshold, str(old.range)) == (True, 30, "10.100.0.0/16")
    assert network.network_of({**OLD, "auto_remove": "no"}).auto_remove is False


@pytest.mark.parametrize(
    ("option", "value", "code"),
    [
        ("netid", "Mesh", "invalid_value"),
        ("netid", "m" * 33, "invalid_value"),
        ("addressrange", "10.100.0.0", "invalid_value"),
        ("addressrange", "fd00::/64", "invalid_value"),
        ("addressrange", "10.100.0.0/31", "invalid_value"),
        ("addressrange6", "fd00::/127", "invalid_value"),
        ("default_keepalive", 0, "invalid_value"),
        ("default_keepalive", 1001, "invalid_value"),
        ("default_mtu", 100, "invalid_value"),
        ("auto_remove_threshold", 0, "invalid_value"),
    ],
)
def test_networks_that_are_refused(option: str, value: object, code: str) -> None:
    with pytest.raises(SocketNetworkError) as caught:
        network.wanted_network({**PARAMS, option: value})
    assert code_of(caught) == code


def test_network_that_overlaps_another_is_refused() -> None:
    want = network.wanted_network({**PARAMS, "addressrange": "10.96.0.0/11"})
    other = replace(found_network(), name="other")
    with pytest.raises(SocketNetworkError) as caught:
        manager().plan(want, Found(None, (other,)))
    assert code_of(caught) == "cidr_overlap"


def test_network_is_made_and_closed_in_two_steps() -> None:
    want = network.wanted_network({**PARAMS, "addressrange": "10.100.3.4/16", "default_policy": "deny"})
    plan = manager().plan(want, Found(None))
    assert plan.actions == ["create network mesh", "deny traffic between the nodes of mesh by default"]
    assert plan.before == ""
    assert "addressrange: 10.100.0.0/16\n" in plan.after
    assert "default_policy: deny\n" in plan.after


def test_network_as_it_is_needs_nothing() -> None:
    found = found_network()
    want = network.wanted_network({**PARAMS, "addressrange": "10.100.0.9/16", "default_policy": "allow"})
    assert not manager().plan(want, Found(found)).changed


@pytest.mark.parametrize(("option", "value"), [("addressrange", "10.101.0.0/16"), ("default_keepalive", 30)])
def test_what_the_server_cannot_change_is_refused_or_left(option: str, value: object) -> None:
    want, have = network.wanted_network({**PARAMS, option: value}), Found(found_network())
    with pytest.raises(SocketNetworkError, match=option) as caught:
        manager().plan(want, have)
    assert code_of(caught) == "immutable_change"
    assert not manager(warn_only=True).plan(want, have).changed


@pytest.mark.parametrize("typed", [True, False])
def test_change_puts_the_whole_network_back_in_the_words_of_its_server(typed: bool) -> None:
    raw = recorded("networks", "GET /api/networks")[0] if typed else OLD
    want = network.wanted_network({**PARAMS, "auto_remove": typed, "auto_remove_threshold": 90})
    with serving((200, [raw]), (200, {})) as server:
        there = Manager(Api(client(server.url)), "mesh", typed)
        there.plan(want, Found(network.network_of(raw))).apply()
    _method, path, _headers, body = server.seen[1]
    changed = {name for name in body if body[name] != raw.get(name)}
    assert (path, set(body) >= set(raw)) == ("/api/networks/mesh", True)
    if typed:
        assert (body["auto_remove"], body["auto_remove_threshold"]) == (True, 90)
        assert changed == {"auto_remove", "auto_remove_threshold"}
    else:
        assert (body["auto_remove"], body["auto_remove_threshold_mins"]) == ("no", 90)
        assert changed == {"auto_remove", "auto_remove_threshold_mins"}


def test_network_with_nodes_is_only_removed_by_force() -> None:
    have = Found(found_network(), members=2, rows=({"id": "r1", "range": "10.0.0.0/24"},))
    with pytest.raises(SocketNetworkError) as caught:
        manager().plan_absent(have)
    assert code_of(caught) == "has_members"
    assert manager(force=True).plan_absent(have).actions == ["delete egress 10.0.0.0/24 (r1)", "delete network mesh"]


# Keys


def keys(**changes: Any) -> FoundKeys:
    """The recorded key "first", with changes, and a further one that has two tags."""
    raw = next(raw for raw in recorded("enrollment_keys", "GET /api/v1/enrollment-keys") if raw["tags"][0] == "first")
    other = {**raw, "tags": ["other", "second-tag"], "value": "v2"}
    mine = {**raw, **changes}
    return FoundKeys((mine, other), mine, frozenset({"mesh"}))


def key_manager(**options: bool) -> KeyManager:
    return KeyManager(Api(client("http://127.0.0.1:1")), "first", lambda: NOW, **options)


@pytest.mark.parametrize(
    ("changes", "kind", "state"),
    [
        ({}, key.UNLIMITED, "valid"),
        ({"unlimited": False, "type": 2, "uses_remaining": 3}, key.USES, "valid"),
        ({"unlimited": False, "type": 2, "uses_remaining": 0}, key.USES, "spent"),
        ({"unlimited": False, "type": 1, "expiration": "2026-11-22T12:00:01Z"}, key.TIME, "valid"),
        ({"unlimited": False, "type": 1, "expiration": "2026-11-22T12:00:00Z"}, key.TIME, "expired"),
        ({"unlimited": False, "type": 0, "uses_remaining": 1}, key.USES, "valid"),
    ],
)
def test_states_of_keys(changes: dict[str, Any], kind: str, state: str) -> None:
    raw = keys(**changes).mine
    assert raw is not None
    found = key.key_of(raw)
    assert (found.kind, found.state(NOW)) == (kind, state)
    assert raw["token"] not in f"{found} {found.settings(NOW)}"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"name": "ab", "uses": 1}, "invalid_value"),
        ({"uses": 0}, "invalid_value"),
        ({"unlimited": False}, "invalid_value"),
        ({"uses": 1, "networks": []}, "invalid_value"),
        ({"expires_at": "tomorrow"}, "invalid_value"),
        ({"expires_at": "2027-01-01T00:00:00"}, "invalid_value"),
    ],
)
def test_keys_that_are_refused(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(SocketNetworkError) as caught:
        key.wanted_key({**KEY, **changes})
    assert code_of(caught) == code


def test_keys_that_the_server_would_take() -> None:
    nobody = FoundKeys(keys().keys, None, frozenset({"mesh"}))
    for changes, code in (
        ({"uses": 1, "networks": ["mesh", "nowhere"]}, "not_found"),
        ({"expires_at": "2026-11-22T12:00:00Z"}, "invalid_value"),
        ({"uses": 1, "name": "second-tag"}, "key_name_taken"),
    ):
        with pytest.raises(SocketNetworkError) as caught:
            key_manager().plan(key.wanted_key({**KEY, **changes}), nobody)
        assert code_of(caught) == code


@pytest.mark.parametrize(
    ("text", "moment"),
    [("1798761600", "2027-01-01T00:00:00Z"), ("2027-01-01T01:00:00.5+01:00", "2027-01-01T00:00:00Z")],
)
def test_times_may_be_written_in_two_ways(text: str, moment: str) -> None:
    want = key.wanted_key({**KEY, "expires_at": text})
    raw = keys(unlimited=False, type=1, expiration=moment)
    assert not key_manager().plan(want, raw).changed
    assert key.creation(want)["expiration"] == 1798761600


def test_uses_that_are_left_are_no_difference() -> None:
    want = key.wanted_key({**KEY, "uses": 5})
    spent = {"unlimited": False, "type": 2, "uses_remaining": 0}
    assert not key_manager().plan(want, keys(**spent)).changed
    assert key_manager(renew=True).plan(want, keys(**spent)).actions == [
        "delete enrollment key first (spent)",
        "create enrollment key first",
    ]
    assert not key_manager(renew=True).plan(want, keys(**{**spent, "uses_remaining": 1})).changed


def test_other_limit_or_networks_need_another_key() -> None:
    want = key.wanted_key({**KEY, "uses": 5})
    with pytest.raises(SocketNetworkError, match="limit unlimited to uses") as caught:
        key_manager().plan(want, keys())
    assert code_of(caught) == "immutable_change"
    plan = key_manager(recreate=True).plan(want, keys())
    assert plan.actions == ["delete enrollment key first (limit unlimited to uses)", "create enrollment key first"]
    raw = keys().mine
    assert raw is not None
    assert raw["token"] not in str(plan)
    assert raw["value"] not in str(plan)


def test_default_key_is_never_deleted() -> None:
    default = keys(default=True)
    for plan in (
        lambda: key_manager().plan_absent(default),
        lambda: key_manager(recreate=True).plan(key.wanted_key({**KEY, "uses": 5}), default),
    ):
        with pytest.raises(SocketNetworkError) as caught:
            plan()
        assert code_of(caught) == "immutable_change"


def test_change_of_a_key_keeps_the_rest() -> None:
    want = key.wanted_key({**KEY, "unlimited": True, "relay": "node-1"})
    raw = keys(groups=["g1"], expiration="2027-01-01T00:00:00Z").mine
    assert raw is not None
    body = key.update(want, raw)
    assert (body["relay"], body["groups"], body["expiration"]) == ("node-1", ["g1"], 1798761600)
    assert {"value", "token"} & set(body) == set()
