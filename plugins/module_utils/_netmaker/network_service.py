# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What the module `netmaker_network` does and returns, apart from its documentation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from .._plan import Plan, Step
from .api import Api, Json
from .client import Client, Opener
from .converge import Target, converge, outcome
from .errors import NetmakerRefusedError
from .network import (
    Network,
    Wanted,
    after_creation,
    check_name,
    creation,
    differing,
    network_of,
    policy_of,
    refuse_overlap,
    wanted_network,
)
from .options import connection_of
from .server import TYPED_NETWORKS, probe
from .values import flag_like, lines


@dataclass(frozen=True, slots=True)
class Found:
    """The network asked for, the others, and what hangs on it. ``rows`` are its egress rows."""

    network: Network | None
    others: tuple[Network, ...] = ()
    members: int = 0
    rows: tuple[Json, ...] = ()


@dataclass(frozen=True, slots=True)
class Manager:
    """Plans for the network ``name``. ``typed`` is False for servers that write booleans as words."""

    api: Api
    name: str
    typed: bool
    warn_only: bool = False
    force: bool = False

    def read(self) -> Found:
        raw = {row.get("netid"): row for row in self.api.networks()}
        mine = raw.pop(self.name, None)
        others = tuple(network_of(row) for row in raw.values())
        rows = tuple(self.api.egress(self.name))
        if mine is None:
            return Found(None, others, rows=rows)
        policy = policy_of(self.name, self.api.policies(self.name))
        return Found(network_of(mine, policy), others, len(self.api.nodes(self.name)), rows)

    def plan(self, want: Wanted, have: Found) -> Plan:
        """What makes ``want`` true."""
        if have.network is None:
            return self._plan_creation(want, have)
        kept = differing(want.fixed, have.network.settings)
        if kept and not self.warn_only:
            said = ", ".join(f"{name} {have.network.settings[name]} to {value}" for name, value in kept.items())
            raise NetmakerRefusedError(
                "immutable_change",
                f"Network {want.name} exists and the server cannot change {said}.",
                fix="keep the old value, or remove the network (all nodes leave it) and let it be made anew.",
            )
        return self._plan_changes(want, have.network)

    def _plan_creation(self, want: Wanted, have: Found) -> Plan:
        if want.range is None and want.range6 is None:
            raise NetmakerRefusedError(
                "invalid_value", f"Network {want.name} does not exist and has no range.", fix="set addressrange."
            )
        refuse_overlap(want, have.others)
        made = after_creation(want)
        create = Step(f"create network {want.name}", partial(self.api.create_network, creation(want, self.typed)))
        changes = self._plan_changes(want, made)
        done = replace(made, open_by_default=want.open_by_default is not False)
        return Plan((create, *changes.steps), "", lines(done.settings))

    def _plan_changes(self, want: Wanted, have: Network) -> Plan:
        steps: list[Step] = []
        loose = differing(want.loose, have.settings)
        if loose:
            said = ", ".join(f"{name} {value}" for name, value in sorted(loose.items()))
            steps.append(Step(f"update network {want.name}: {said}", partial(self._update, loose)))
        if want.policy is not None and want.policy != have.settings["default_policy"]:
            action = f"{want.policy} traffic between the nodes of {want.name} by default"
            steps.append(Step(action, partial(self._set_policy, want.policy == "allow")))
            loose["default_policy"] = want.policy
        if not steps:
            return Plan()
        return Plan(tuple(steps), lines(have.settings), lines({**have.settings, **loose}))

    def plan_absent(self, have: Found) -> Plan:
        """What removes the network. Its egress rows go first: the server would leave them to its next namesake."""
        if have.members and not self.force:
            raise NetmakerRefusedError(
                "has_members",
                f"Network {self.name} has {have.members} nodes; deleting it would take all of them out.",
                fix="let them leave first (netmaker_node with state absent), or set force.",
            )
        steps = [
            Step(f"delete egress {row.get('range') or row.get('domain')} ({row['id']})", partial(self._drop, row))
            for row in have.rows
        ]
        before = ""
        if have.network is not None:
            steps.append(Step(f"delete network {self.name}", partial(self.api.delete_network, self.name)))
            before = lines(have.network.settings)
        before += "".join(f"egress: {row.get('range') or row.get('domain')}\n" for row in have.rows)
        return Plan(tuple(steps), before, "")

    def _drop(self, row: Json) -> None:
        self.api.delete_egress(row)

    def _update(self, changes: Mapping[str, Any]) -> None:
        (raw,) = [row for row in self.api.networks() if row.get("netid") == self.name]
        threshold = "auto_remove_threshold"
        names = {threshold: threshold if threshold in raw or self.typed else f"{threshold}_mins"}
        for option, value in changes.items():
            key = names.get(option, option)
            raw[key] = flag_like(value, raw.get(key)) if isinstance(value, bool) else value
        self.api.update_network(raw)

    def _set_policy(self, enabled: bool) -> None:
        policy = policy_of(self.name, self.api.policies(self.name))
        if policy is not None:
            self.api.update_policy({**policy, "enabled": enabled})


def run_network(opener: Callable[..., Opener], params: Mapping[str, Any], check: bool) -> dict[str, Any]:
    """Body of module `netmaker_network`; returns its result."""
    absent = params["state"] == "absent"
    want = Wanted(check_name(params["netid"])) if absent else wanted_network(params)
    client = Client(opener, connection_of(params))
    server = probe(client)
    typed = server.number is None or server.number >= TYPED_NETWORKS
    manager = Manager(Api(client), want.name, typed, params["on_immutable_change"] == "warn", params["force"])
    target = Target(
        client,
        manager.read,
        manager.plan_absent if absent else partial(manager.plan, want),
        f"network {want.name}",
        params["wait_timeout"],
    )
    plan, have = converge(target, check=check)
    return {
        **outcome(plan, f"network {want.name}"),
        "network": None if have.network is None else have.network.settings,
        "server_version": server.version,
        "warnings": _warnings(want, have.network),
    }


def _warnings(want: Wanted, have: Network | None) -> list[str]:
    """Differences that were let pass."""
    kept = {} if have is None else differing(want.fixed, have.settings)
    return [
        f"Network {want.name} keeps {name} {have.settings[name]}: the server cannot change it to {value}."
        for name, value in kept.items()
        if have is not None
    ]
