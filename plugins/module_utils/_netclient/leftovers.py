# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What netclient leaves of its packet filter: when it stops it empties its two tables, and the tables stay."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

from .._plan import Step
from .._runner import Runner

TABLES = ("filter", "nat")
"""Of family inet."""


def leftover_steps(runner: Runner, running: bool) -> list[Step]:
    """Steps that delete the tables where nothing but empty chains is left; ``running``: netclient is to stop first."""
    return [
        Step(f"remove netclient's empty table inet {table}", partial(_delete, runner, table))
        for table in TABLES
        if _is_netclients(runner, table, lambda rules: running or rules == 0)
    ]


def _delete(runner: Runner, table: str) -> None:
    if _is_netclients(runner, table, lambda rules: rules == 0):
        runner.run(["nft", "delete", "table", "inet", table], what=f"Deleting table inet {table}")


def _is_netclients(runner: Runner, table: str, rules_are_fine: Callable[[int], bool]) -> bool:
    """Whether one of netclient's own chains is in it, and no policy but to accept."""
    try:
        done = runner.run(["nft", "--json", "list", "table", "inet", table], ok=(0, 1))
    except FileNotFoundError:
        return False
    if done.rc != 0 or not done.stdout:
        return False
    items = json.loads(done.stdout)["nftables"]
    chains = [item["chain"] for item in items if "chain" in item]
    ours = any(chain["name"].lower().startswith("netmaker") for chain in chains)
    accepts = all(chain.get("policy", "accept") == "accept" for chain in chains)
    return ours and accepts and rules_are_fine(sum("rule" in item for item in items))
