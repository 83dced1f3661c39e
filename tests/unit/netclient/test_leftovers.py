# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of the packet filter that netclient leaves behind are told from those that somebody uses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netclient.leftovers import leftover_steps
from ansible_collections.op_dbus.socket_network.plugins.module_utils._runner import Result, checked

MINE = {"chain": {"family": "inet", "table": "filter", "name": "NETMAKER-ACL-IN"}}
HOOK = {"chain": {"family": "inet", "table": "filter", "name": "INPUT", "hook": "input", "policy": "accept"}}
RULE = {"rule": {"family": "inet", "table": "filter", "chain": "INPUT", "expr": [{"accept": None}]}}


class Nft:
    """Table inet filter holds ``items``; there is no table inet nat."""

    def __init__(self, *items: dict[str, Any]) -> None:
        self.items = items
        self.deleted: list[str] = []

    def run(self, argv: Sequence[str], *, stdin: str | None = None, ok: Sequence[int] = (0,), what: str = "") -> Result:
        if argv[1] == "delete":
            self.deleted.append(f"{argv[-1]}{stdin or ''}")
        listing = json.dumps({"nftables": [{"metainfo": {}}, *self.items]})
        return checked(Result(tuple(argv), int(argv[-1] == "nat"), listing, ""), ok, what)


def test_empty_table_is_removed() -> None:
    nft = Nft(MINE, HOOK)
    (step,) = leftover_steps(nft, running=False)
    step.apply()
    assert (step.action, nft.deleted) == ("remove netclient's empty table inet filter", ["filter"])


@pytest.mark.parametrize(
    "items",
    [(HOOK,), (MINE, HOOK, RULE), (MINE, {"chain": {**HOOK["chain"], "policy": "drop"}})],
    ids=["not netclient's", "a rule in it", "a policy"],
)
def test_table_of_somebody_else_stays(items: tuple[dict[str, Any], ...]) -> None:
    assert leftover_steps(Nft(*items), running=False) == []


def test_rules_that_are_left_after_the_stop_keep_the_table() -> None:
    nft = Nft(MINE, HOOK, RULE)
    (step,) = leftover_steps(nft, running=True)
    step.apply()
    assert nft.deleted == []
