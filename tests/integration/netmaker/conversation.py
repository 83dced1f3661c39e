# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fixed conversation with a server: what is kept of the real one's answers, and what the stand-in is compared by."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.integration.netmaker.contract import ADMIN, NOWHERE, Members
from tests.integration.netmaker.servers import Answer, Netmaker

IDENTIFIER = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
KEY = re.compile(r"[A-Za-z0-9+/]{43}=")
MOMENT = re.compile(r"20\d\d-\d\d-\d\dT[0-9:.]+Z|21\d\d-\d\d-\d\dT[0-9:.]+Z")
SECRETS = frozenset(
    ("AuthToken", "token", "value", "publickey", "peer_key", "macaddress", "MQPassword", "TrafficKey", "hostpass")
)
NUMBERS = frozenset(("lastmodified", "lastcheckin", "expdatetime", "lastpeerupdate"))
BYTES = frozenset(("PublicKey", "publickey", "traffickeypublic"))
PROSE = frozenset(("Message", "metadata", "meta_data", "stun_servers", "StunServers", "stand_in"))
Calls = Iterator[tuple[str, str, str, Answer]]


@dataclass(slots=True)
class Mask:
    """Makes answers of different runs the same: ids by their order, secrets, times and prose by fixed texts."""

    known: dict[str, str] = field(default_factory=dict)

    def text(self, value: str) -> str:
        value = IDENTIFIER.sub(lambda match: self._identifier(match[0]), value)
        return KEY.sub("key of a test", MOMENT.sub("2026-01-01T00:00:00Z", value))

    def apply(self, value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {self.text(key): self.apply(item, key) for key, item in value.items()}
        if isinstance(value, list):
            if name in BYTES:
                return [0] * len(value)
            return [self.apply(item) for item in sorted(value, key=_order)]
        if isinstance(value, str) and value:
            if name in SECRETS:
                return f"{name} of a test"
            return "text" if name in PROSE else self.text(value)
        return 1_767_225_600 if name in NUMBERS else value

    def _identifier(self, text: str) -> str:
        if text in (NOWHERE, "00000000-0000-0000-0000-000000000000"):
            return text
        return self.known.setdefault(text, f"00000000-0000-4000-8000-{len(self.known) + 1:012}")


def _order(item: Any) -> str:
    """Lists come in any order."""
    if not isinstance(item, dict):
        return ""
    return str(item.get("tags") or item.get("address") or item.get("name") or "")


def record(server: Netmaker) -> dict[str, list[dict[str, Any]]]:
    """Hold the whole conversation. Returns, by subject, the calls with their masked answers."""
    recorded: dict[str, list[dict[str, Any]]] = {}
    mask = Mask()
    for subject, method, path, answer in _conversation(server):
        call = {
            "call": f"{method} {mask.text(path)}",
            "status": answer.status,
            "content_type": answer.kind.partition(";")[0],
            "body": mask.apply(answer.body),
        }
        recorded.setdefault(subject, []).append(call)
    return recorded


def _conversation(server: Netmaker) -> Calls:
    def call(subject: str, method: str, path: str, body: object = None, **how: Any) -> tuple[str, str, str, Answer]:
        shown = re.sub(r"register/.*|enrollment-keys/.*", lambda match: match[0].partition("/")[0] + "/…", path)
        return subject, method, shown, server.call(method, path, body, **how)

    yield call("server", "GET", "/api/server/status", token=None)
    yield call("server", "GET", "/api/server/getserverinfo")
    yield call("server", "GET", "/api/server/settings")
    yield call("server", "GET", "/api/server/feature_flags", token=None)
    yield call("server", "GET", "/api/networks", token=None)
    yield call("users", "GET", "/api/users/adm/hassuperadmin", token=None)
    yield call("users", "POST", "/api/users/adm/createsuperadmin", ADMIN, token=None)
    login = call("users", "POST", "/api/users/adm/authenticate", ADMIN, token=None)
    yield login
    token = login[3].body["Response"]["AuthToken"]
    wish = {"name": "recorded", "user_name": ADMIN["username"], "expires_at": "2033-05-18T03:33:20Z"}
    yield call("users", "POST", "/api/v1/users/access_token", wish, token=token)
    yield call("users", "GET", f"/api/v1/users/access_token?username={ADMIN['username']}", token=token)
    yield call("networks", "GET", "/api/networks")
    yield call("networks", "POST", "/api/networks", {"netid": "mesh", "addressrange": "10.100.0.0/16"})
    yield call("networks", "GET", "/api/networks/mesh")
    yield call("networks", "GET", "/api/networks/nowhere")
    yield call("networks", "PUT", "/api/networks/mesh", {"netid": "mesh"})
    yield call("networks", "GET", "/api/networks")
    yield call("networks", "GET", "/api/v1/networks/stats")
    yield call("networks", "GET", "/api/v1/acls?network=mesh")
    yield from _keys(call)
    one = server.join("mesh", name="one", endpointip="192.0.2.10", isstatic=True)
    two = server.join("mesh", name="two")
    members = Members(server, "mesh", one, two)
    yield from _nodes(call, members)
    yield from _hosts(call, members)
    yield call("networks", "DELETE", "/api/networks/mesh")


def _keys(call: Any) -> Calls:
    path = "/api/v1/enrollment-keys"
    made = call("enrollment_keys", "POST", path, {"tags": ["first"], "networks": ["mesh"], "unlimited": True})
    yield made
    key = made[3].body["value"]
    yield call("enrollment_keys", "POST", path, {"tags": ["first"], "networks": ["mesh"], "unlimited": True})
    yield call("enrollment_keys", "PUT", f"{path}/{key}", {})
    yield call("enrollment_keys", "GET", path)
    yield call("enrollment_keys", "DELETE", f"{path}/{key}")
    yield call("enrollment_keys", "DELETE", f"{path}/{key}")


def _nodes(call: Any, members: Members) -> Calls:
    one, two = members.one, members.two
    yield call("nodes", "GET", "/api/nodes/mesh")
    yield call("nodes", "GET", "/api/nodes")
    yield call("nodes", "GET", "/api/v1/nodes/mesh/status")
    yield call("nodes", "PUT", members.path(two), two)
    yield call("nodes", "PUT", members.path({"id": NOWHERE}), two)
    row = {"name": "lan", "network": "mesh", "nodes": {two["id"]: 256}, "range": "10.0.0.0/24", "nat": False}
    made = call("egress", "POST", "/api/v1/egress", row)
    yield made
    yield call("egress", "GET", "/api/v1/egress?network=mesh")
    yield call("egress", "PUT", "/api/v1/egress", {**made[3].body["Response"], "description": "words"})
    yield call("egress", "PUT", "/api/v1/egress", {**row, "id": NOWHERE})
    log_in = {"id": one["hostid"], "password": "test-host-password", "macaddress": "x"}
    login = call("client", "POST", "/api/hosts/adm/authenticate", log_in, token=None)
    yield login
    yield call("client", "GET", "/api/v1/host", token=login[3].body["Response"]["AuthToken"])
    yield call("gateways", "POST", members.path(one, "/gateway"), {})
    yield call("gateways", "POST", members.path(two, f"/gateway/assign?gw_id={one['id']}"))
    yield call("gateways", "GET", "/api/nodes/mesh")
    yield call("gateways", "POST", members.path(two, "/gateway/unassign"))
    yield call("gateways", "DELETE", members.path(one, "/gateway"))
    yield call("egress", "DELETE", f"/api/v1/egress?id={made[3].body['Response']['id']}")
    yield call("egress", "DELETE", f"/api/v1/egress?id={made[3].body['Response']['id']}")


def _hosts(call: Any, members: Members) -> Calls:
    one = members.netmaker.host(members.one["hostid"])
    assert one is not None
    yield call("hosts", "GET", "/api/hosts")
    yield call("hosts", "GET", "/api/v1/hosts?per_page=100")
    yield call("hosts", "PUT", f"/api/hosts/{one['id']}", one)
    yield call("hosts", "PUT", f"/api/hosts/{one['id']}", {**one, "id": NOWHERE})
    yield call("hosts", "GET", "/api/v1/pending_hosts?network=mesh")
    member = f"/api/hosts/{members.two['hostid']}/networks/mesh"
    yield call("hosts", "POST", member)
    yield call("hosts", "DELETE", member + "?force=true")
    yield call("hosts", "DELETE", member + "?force=true")
    yield call("hosts", "POST", member)
    yield call("hosts", "DELETE", member + "?force=true")
    yield call("hosts", "DELETE", f"/api/v1/ui/hosts/{members.two['hostid']}")
    yield call("hosts", "DELETE", f"/api/v1/ui/hosts/{members.two['hostid']}")
