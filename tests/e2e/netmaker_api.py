# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Netmaker's API as an administrator on the droplet would ask it, past all of the collection's own code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lab.host import Host
from lab.mesh import NETMAKER

NETWORK = "privacy-mesh"

_ASK = """
import json, sys, urllib.request
asked = json.load(sys.stdin)
body = None if asked["body"] is None else json.dumps(asked["body"]).encode()
headers = {"Authorization": "Bearer " + asked["key"], "Content-Type": "application/json"}
request = urllib.request.Request("http://127.0.0.1:8081" + asked["path"], body, headers, method=asked["method"])
sys.stdout.write(urllib.request.urlopen(request, timeout=20).read().decode() or "null")
"""


def ask(server: Host, path: str, method: str = "GET", body: Mapping[str, Any] | None = None) -> Any:
    """The answer without its envelope. Raises LabError when the server refuses."""
    key = json.loads(NETMAKER.generated.read_text())["lab_netmaker"]["master_key"]
    words = json.dumps({"key": key, "path": path, "method": method, "body": body})
    answer = json.loads(server.run(["python3", "-c", _ASK], data=words).stdout)
    return answer["Response"] if isinstance(answer, dict) and "Response" in answer else answer


def hosts(server: Host) -> dict[str, dict[str, Any]]:
    """The hosts that the server knows, by name."""
    return {host["name"]: host for host in ask(server, "/api/hosts") or []}


def nodes(server: Host) -> dict[str, dict[str, Any]]:
    """The members of the network, by the name of their host."""
    names = {host["id"]: name for name, host in hosts(server).items()}
    found = ask(server, f"/api/nodes/{NETWORK}") or []
    return {names.get(node["hostid"], node["hostid"]): node for node in found}


def egress(server: Host) -> list[tuple[str, str, bool, bool]]:
    """Egress rows as (range, host, nat, switched on), sorted."""
    names = {node["id"]: name for name, node in nodes(server).items()}
    rows = ask(server, f"/api/v1/egress?network={NETWORK}") or []
    return sorted(
        (row["range"], ",".join(names.get(node, node) for node in row["nodes"] or {}), row["nat"], row["status"])
        for row in rows
    )
