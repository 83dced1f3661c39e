# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Plans for a host's membership. Steps look at the server again when they are taken and put whole objects back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from .._plan import Plan, Step
from .api import Api
from .egress import Row, WantedRow, changes, creation, own_rows, update
from .errors import NetmakerError
from .membership import (
    Found,
    Wanted,
    host_body,
    host_changes,
    node_changes,
    refuge,
    refuse_nonsense,
    squatters,
)
from .values import Address, lines
from .views import bare, host_view

NODE_TIMEOUT_FIX = (
    "look at the host: `systemctl status netclient`, and whether it reaches the broker (port 8883); then run again."
)


@dataclass(frozen=True, slots=True)
class NodePlanner:
    """Plans for one membership. ``read`` looks at the server; ``await_node`` does until the node is listed."""

    api: Api
    want: Wanted
    read: Callable[[], Found]
    await_node: Callable[[], Found]

    def plan(self, have: Found) -> Plan:
        """What makes the membership as wanted: host, join, node, gateway, relay, egress."""
        refuse_nonsense(self.want, have)
        who, network = self.want.who, self.want.network
        steps: list[Step] = []
        fields = host_changes(self.want, have)
        if fields:
            said = ", ".join(f"{name} {value}" for name, value in sorted(fields.items()))
            steps.append(Step(f"set {said} of host {who}", partial(self._put_host, fields)))
        if have.node is None:
            words = f"join {who} to {network}" if self.want.join else f"wait for {who} to join {network}"
            steps.append(Step(words, self._join))
        for node in squatters(self.want, have):
            goal = refuge(node, self.want, have)
            action = f"move {have.name_of(node)} from {bare(node['address'])} to {goal} in {network}"
            steps.append(Step(action, partial(self._move, str(node["id"]), goal)))
        for name, value in node_changes(self.want, have).items():
            words = f"set {name} of {who} in {network} to {value}"
            if name == "connected":
                words = f"{'connect' if value else 'disconnect'} {who} {'to' if value else 'from'} {network}"
            steps.append(Step(words, partial(self._put_node, {name: value})))
        steps += self._gateway_steps(have) + self._relay_steps(have) + self._egress_steps(have)
        return Plan(tuple(steps), *(self._diff(have) if steps else ("", "")))

    def plan_absent(self, have: Found) -> Plan:
        """What takes the host out of the network: its egress rows, gateway, node and, if asked, the host itself."""
        who, network = self.want.who, self.want.network
        keys = [row.key for row in self.want.egress or ()]
        rows = own_rows(have.rows, have.node_id, have.living, keys)
        steps = [
            Step(f"delete egress {row.key} ({row.id})", partial(self.api.delete_egress, dict(row.raw))) for row in rows
        ]
        others: list[str] = []
        if have.host is not None:
            others = [number for number in have.host.get("nodes") or () if number not in _numbers(have)]
        if have.node is not None and have.host is not None:
            if have.node.get("is_gw"):
                steps.append(Step(f"make {who} no gateway of {network}", self._unmake_gateway))
            steps.append(Step(f"take {who} out of {network}", partial(self.api.leave, str(have.host["id"]), network)))
        if have.host is not None and self.want.purge_host and not others:
            steps.append(Step(f"delete host {who}", partial(self.api.delete_host, have.host)))
        return Plan(tuple(steps), *((lines(self._shown(have)), "") if steps else ("", "")))

    def _gateway_steps(self, have: Found) -> list[Step]:
        found = bool((have.node or {}).get("is_gw"))
        if self.want.gateway is None or self.want.gateway == found:
            return []
        if self.want.gateway:
            return [Step(f"make {self.want.who} a gateway of {self.want.network}", self._make_gateway)]
        return [Step(f"make {self.want.who} no gateway of {self.want.network}", self._unmake_gateway)]

    def _relay_steps(self, have: Found) -> list[Step]:
        wanted, who = self.want.relay_via, self.want.who
        if wanted is None:
            return []
        found = str((have.node or {}).get("relayedby") or "")
        gateway = have.named(wanted) if wanted else None
        if (found == "" and wanted == "") or (gateway is not None and found == gateway["id"]):
            return []
        steps: list[Step] = []
        if found:
            steps.append(Step(f"relay {who} no longer through {have.living.get(found, found)}", self._unassign))
        if wanted:
            steps.append(Step(f"relay {who} through {wanted}", self._assign))
        return steps

    def _egress_steps(self, have: Found) -> list[Step]:
        who = str(self.want.who)
        found = changes(
            self.want.egress,
            have.rows,
            node=have.node_id,
            living=have.living,
            purge=self.want.purge,
            network=self.want.network,
            host=who,
        )
        wanted = {row.key: row for row in self.want.egress or ()}
        steps = [
            Step(f"delete egress {row.key} ({why}, {row.id})", partial(self.api.delete_egress, dict(row.raw)))
            for row, why in found.delete
        ]
        for row, want, difference in found.update:
            steps.append(Step(f"update egress {row.key} of {who}: {difference}", partial(self._put_row, row, want)))
        for body in found.create:
            new = wanted[body["range"] or str(body["domain"]).lower().rstrip(".")]
            steps.append(Step(f"add egress {new.key} of {who}", partial(self._add_row, new)))
        return steps

    # Steps

    def _node(self) -> tuple[Found, Mapping[str, Any]]:
        have = self.read()
        if have.node is None:
            have = self.await_node()
        if have.node is None:
            raise not_joined(self.want)
        return have, have.node

    def _put_host(self, fields: Mapping[str, Any]) -> None:
        have = self.read()
        if have.host is not None:
            self.api.update_host(host_body(have.host, fields))

    def _join(self) -> None:
        have = self.read()
        if have.node is None and self.want.join and have.host is not None:
            self.api.join(str(have.host["id"]), self.want.network)
        self.await_node()

    def _move(self, number: str, goal: Address) -> None:
        have = self.read()
        for node in have.members:
            if node["id"] == number:
                length = str(node["address"]).partition("/")[2]
                self.api.update_node({**node, "address": f"{goal}/{length}"})

    def _put_node(self, fields: Mapping[str, Any]) -> None:
        _have, node = self._node()
        self.api.update_node({**node, **fields})

    def _make_gateway(self) -> None:
        _have, node = self._node()
        self.api.make_gateway(self.want.network, str(node["id"]))

    def _unmake_gateway(self) -> None:
        _have, node = self._node()
        self.api.unmake_gateway(self.want.network, str(node["id"]))

    def _unassign(self) -> None:
        _have, node = self._node()
        self.api.unassign_gateway(self.want.network, str(node["id"]))

    def _assign(self) -> None:
        have, node = self._node()
        gateway = have.named(self.want.relay_via or "")
        if gateway is None or not gateway.get("is_gw"):
            raise no_gateway(self.want, have)
        self.api.assign_gateway(self.want.network, str(node["id"]), str(gateway["id"]))

    def _put_row(self, row: Row, want: WantedRow) -> None:
        have, node = self._node()
        self.api.update_egress(update(want, row, str(node["id"]), have.living))

    def _add_row(self, want: WantedRow) -> None:
        have, node = self._node()
        number = str(node["id"])
        self.api.create_egress(creation(want, number, self.want.network, str(self.want.who)))
        if want.enabled:
            return
        # A new row is always enabled.
        for row in self.read().rows:
            if row.key == want.key:
                self.api.update_egress(update(want, row, number, have.living))

    # Diff

    def _shown(self, have: Found) -> dict[str, Any]:
        """What was found of what is managed, one setting a line."""
        host = {} if have.host is None else host_view(have.host)
        shown = {f"host.{name}": host.get(name) for name in self.want.host}
        if have.node is not None:
            shown["connected"] = bool(have.node.get("connected"))
            shown["address"] = bare(have.node.get("address"))
            shown["address6"] = bare(have.node.get("address6"))
            shown["gateway"] = bool(have.node.get("is_gw"))
            relay = str(have.node.get("relayedby") or "")
            shown["relay_via"] = have.living.get(relay, relay) or None
        keys = {row.key for row in self.want.egress or ()}
        for row in have.rows:
            if row.key in keys or have.node_id in row.nodes:
                shown[f"egress {row.key} ({row.id})"] = _row_text(
                    row.nodes.get(have.node_id or ""), row.nat, row.enabled
                )
        return shown

    def _diff(self, have: Found) -> tuple[str, str]:
        before = self._shown(have)
        after = {**before, **{f"host.{name}": value for name, value in self.want.host.items()}}
        after["connected"] = self.want.connected
        for name, value in (("address", self.want.address), ("address6", self.want.address6)):
            after[name] = before.get(name) if value is None else str(value)
        after["gateway"] = bool(before.get("gateway")) if self.want.gateway is None else self.want.gateway
        if self.want.relay_via is not None:
            after["relay_via"] = self.want.relay_via or None
        if self.want.egress is not None:
            mine = [row for row in have.rows if f"egress {row.key} ({row.id})" in before]
            keys = {row.key for row in self.want.egress}
            for row in mine:
                if row.key in keys or self.want.purge:
                    del after[f"egress {row.key} ({row.id})"]
            for want in self.want.egress:
                same = [row.id for row in mine if row.key == want.key]
                after[f"egress {want.key} ({same[0] if same else 'new'})"] = _row_text(
                    want.metric, want.nat, want.enabled
                )
        return lines(before), lines(after)


def _row_text(metric: int | None, nat: bool, enabled: bool) -> str:
    where = "no node" if metric is None else f"metric {metric}"
    return f"{where}, nat {'on' if nat else 'off'}, {'enabled' if enabled else 'disabled'}"


def _numbers(have: Found) -> set[str]:
    return {str(node["id"]) for node in have.members}


def not_joined(want: Wanted) -> NetmakerError:
    return NetmakerError(
        "node_timeout", f"{want.who} has no node in {want.network}: it did not join in time.", fix=NODE_TIMEOUT_FIX
    )


def no_gateway(want: Wanted, have: Found) -> NetmakerError:
    known = have.named(want.relay_via or "") is not None
    said = "is no gateway" if known else "has no node"
    return NetmakerError(
        "not_found",
        f"{want.relay_via} {said} in {want.network}, so it cannot relay {want.who}.",
        fix=f"run netmaker_node with gateway: true for {want.relay_via} first.",
    )
