# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What the module `netmaker_node` does and returns, apart from its documentation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .._plan import Plan
from .api import Api
from .client import Client, Opener
from .converge import Target, converge, outcome
from .egress import row_of
from .errors import NetmakerError, NetmakerRefusedError
from .membership import Found, Wanted, find_host, wanted_membership
from .network import network_of
from .node_plan import NODE_TIMEOUT_FIX, NodePlanner, no_gateway, not_joined
from .options import connection_of
from .server import probe
from .views import egress_view, host_view, node_view

ONLINE = frozenset({"online", "disconnected"})
"""States of a node that was heard of lately; one that we disconnected is as well as it can be."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long to wait, in seconds, and whether until the server calls the node online."""

    timeout: int
    interval: int
    online: bool


@dataclass(frozen=True, slots=True)
class Manager:
    """One membership: read, awaited and planned. ``lenient`` forgives what a task before would have made."""

    api: Api
    want: Wanted
    waiting: Waiting
    lenient: bool

    @property
    def planner(self) -> NodePlanner:
        return NodePlanner(self.api, self.want, self.read, self.await_node)

    def read(self) -> Found:
        """The server as it is now."""
        hosts = self.api.hosts()
        network = next((raw for raw in self.api.networks() if raw.get("netid") == self.want.network), None)
        return Found(
            network=None if network is None else network_of(network),
            host=find_host(self.want.who, hosts),
            nodes=tuple(self.api.nodes_and_clients(self.want.network)),
            rows=tuple(row_of(raw) for raw in self.api.egress(self.want.network)),
            names={str(raw.get("id")): str(raw.get("name")) for raw in hosts},
        )

    def _poll(self, good: Callable[[Found], bool]) -> Found:
        """The first state that is ``good``, or the last one before the time ran out."""
        clock = self.api.client.clock
        end = clock.now() + self.waiting.timeout
        have = self.read()
        while not good(have) and clock.now() < end:
            clock.pause(self.waiting.interval)
            have = self.read()
        return have

    def await_node(self) -> Found:
        """The state once the node is listed: the server makes it some time after the host has registered."""
        have = self._poll(lambda found: found.node is not None)
        if have.node is None:
            self._refuse_pending()
            raise not_joined(self.want)
        return have

    def _refuse_pending(self) -> None:
        for row in self.api.pending(self.want.network):
            names = {row.get("host_id"), row.get("host_name"), row.get("pub_key")}
            if names & {self.want.who.host_id, self.want.who.host_name, self.want.who.public_key} - {None}:
                raise NetmakerError(
                    "pending_approval",
                    f"{self.want.who} waits for approval to join {self.want.network}.",
                    fix="approve it in the dashboard.",
                )

    def await_ground(self) -> Found:
        """The state once there is something to work on: network, host, node unless we join it, and gateway."""
        have = self.read()
        if self.lenient:
            return have
        if have.network is None:
            raise NetmakerRefusedError(
                "not_found",
                f"The server has no network {self.want.network}.",
                fix="create it first (netmaker_network), or correct network.",
            )
        if have.host is None:
            raise NetmakerRefusedError(
                "host_not_found",
                f"The server knows no host {self.want.who}.",
                fix="register it first: `netclient register -t TOKEN` on the host.",
            )
        if have.node is None and not self.want.join:
            have = self.await_node()
        if self.want.relay_via and not _relay_ready(self.want, have):
            have = self._poll(lambda found: _relay_ready(self.want, found))
            if not _relay_ready(self.want, have):
                raise no_gateway(self.want, have)
        return have

    def plan(self, have: Found) -> Plan:
        return self.planner.plan(have)

    def await_online(self, have: Found) -> Found:
        """The state once the server has heard of the node lately."""

        def heard(found: Found) -> bool:
            return found.node is not None and found.node.get("status", "online") in ONLINE

        if not self.waiting.online or heard(have):
            return have
        have = self._poll(heard)
        if heard(have):
            return have
        raise NetmakerError(
            "node_timeout",
            f"{self.want.who} is not online in {self.want.network} after {self.waiting.timeout} seconds; the server "
            f"calls it {(have.node or {}).get('status') or 'unknown'}.",
            fix=NODE_TIMEOUT_FIX,
        )

    def warnings(self, have: Found) -> list[str]:
        """What check mode forgave."""
        found = []
        if have.network is None:
            found.append(f"The server has no network {self.want.network} yet.")
        if have.host is None:
            found.append(f"The server knows no host {self.want.who} yet.")
        if self.want.relay_via and not _relay_ready(self.want, have):
            found.append(f"{self.want.relay_via} is no gateway of {self.want.network} yet.")
        return found if self.lenient else []


def _relay_ready(want: Wanted, have: Found) -> bool:
    gateway = have.named(want.relay_via or "")
    return gateway is not None and bool(gateway.get("is_gw"))


def run_node(opener: Callable[..., Opener], params: Mapping[str, Any], check: bool) -> dict[str, Any]:
    """Body of module `netmaker_node`; returns its result."""
    want, absent = wanted_membership(params), params["state"] == "absent"
    timeout = params["wait_timeout"] if params["wait"] else 0
    waiting = Waiting(timeout, max(params["wait_interval"], 1), params["wait_online"])
    client = Client(opener, connection_of(params))
    server = probe(client)
    manager = Manager(Api(client), want, waiting, lenient=check)
    ground = manager.read() if absent else manager.await_ground()
    plan_of = manager.planner.plan_absent if absent else manager.plan
    what = f"{want.who} in {want.network}"
    plan, have = converge(Target(client, manager.read, plan_of, what, max(timeout, 10)), check=check, have=ground)
    if not absent and not check:
        have = manager.await_online(have)
    return {
        **outcome(plan, what),
        **_report(have),
        "network": want.network,
        "server_version": server.version,
        "warnings": [*server.warnings, *([] if absent else manager.warnings(have))],
    }


def _report(have: Found) -> dict[str, Any]:
    """Host, node and egress as modules return them."""
    rows = [row for row in have.rows if have.node_id is not None and have.node_id in row.nodes]
    return {
        "host": None if have.host is None else host_view(have.host),
        "node": None if have.node is None else node_view(have.node),
        "egress": [
            {**egress_view(row.raw), "metric": row.nodes[have.node_id or ""]}
            for row in sorted(rows, key=lambda row: (row.key, row.id))
        ],
    }
