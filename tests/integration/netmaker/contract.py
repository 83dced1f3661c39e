# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the contract share."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from tests.integration.netmaker.servers import Answer, Netmaker

NOWHERE = str(uuid.UUID(int=7))
"""The id of nothing."""

ADMIN = {"username": "admin", "password": "test-admin-password"}


def is_plain(answer: Answer) -> bool:
    return answer.kind.startswith("text/plain")


def is_problem(answer: Answer, status: int) -> bool:
    """An error in its envelope."""
    body = answer.body
    return answer.status == status and set(body) == {"Code", "Message", "Response"} and body["Code"] == status


@dataclass(frozen=True, slots=True)
class Members:
    """A network with two members, as one test may have it."""

    netmaker: Netmaker
    network: str
    one: dict[str, Any]
    two: dict[str, Any]

    def path(self, node: dict[str, Any], rest: str = "") -> str:
        return f"/api/nodes/{self.network}/{node['id']}{rest}"

    def now(self, node: dict[str, Any]) -> dict[str, Any]:
        return next(item for item in self.netmaker.nodes(self.network) if item["id"] == node["id"])

    def put(self, node: dict[str, Any], **fields: object) -> Answer:
        return self.netmaker.call("PUT", self.path(node), {**node, **fields})

    def egress(self, **fields: object) -> Answer:
        row = {"name": "lan", "network": self.network, "nodes": {self.one["id"]: 256}, "range": "192.168.7.9/24"}
        return self.netmaker.call("POST", "/api/v1/egress", {**row, **fields})

    def address(self, last: str) -> str:
        """An address in the network's range."""
        return f"{self.one['address'].rsplit('.', 1)[0]}.{last}"
