# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From plan to truth: steps once, doubtful ones looked at again, the end read back twice, and a deadline to it all."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker.converge import Target, converge
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker.errors import NetmakerError
from ansible_collections.op_dbus.socket_network.plugins.module_utils._plan import Plan, Step

from tests.unit.netmaker.doubles import FakeTime, client


class Sim:
    """Something with a value that should be "good"; ``write`` is what a step does."""

    def __init__(self, write: Callable[[Sim], None]) -> None:
        self.value = "bad"
        self.writes = 0
        self.reads = 0
        self.time = FakeTime()
        self._write = write
        self.after_read: Callable[[Sim], None] = lambda _sim: None

    def write(self) -> None:
        self.writes += 1
        self._write(self)

    def read(self) -> str:
        self.reads += 1
        found = self.value
        self.after_read(self)
        return found

    def run(self, check: bool = False) -> tuple[Plan, str]:
        def plan(have: str) -> Plan:
            return Plan() if have == "good" else Plan((Step("make it good", self.write),), have, "good")

        target = Target(client("http://127.0.0.1:1", self.time), self.read, plan, "the thing", deadline=30)
        return converge(target, check=check)


def good(sim: Sim) -> None:
    sim.value = "good"


def nothing(_sim: Sim) -> None:
    pass


def lost(sim: Sim) -> None:
    sim.value = "good"
    raise NetmakerError("server_error", "502", uncertain=True)


def failed(_sim: Sim) -> None:
    raise NetmakerError("server_error", "502", uncertain=True)


def refused(sim: Sim) -> None:
    sim.value = "good"
    raise NetmakerError("server_error", "400")


def test_success_is_what_reads_back_twice() -> None:
    sim = Sim(good)
    plan, have = sim.run()
    assert (plan.actions, have, sim.writes, sim.reads) == (["make it good"], "good", 1, 3)


def test_check_mode_and_the_empty_plan_write_nothing() -> None:
    sim = Sim(good)
    assert sim.run(check=True)[0].changed
    sim.value = "good"
    assert not sim.run()[0].changed
    assert (sim.writes, sim.reads) == (0, 2)


def test_write_whose_answer_was_lost_counts_when_it_is_there() -> None:
    sim = Sim(lost)
    assert sim.run()[1] == "good"
    assert sim.writes == 1


def test_write_that_failed_is_not_sent_again() -> None:
    sim = Sim(failed)
    with pytest.raises(NetmakerError, match="502"):
        sim.run()
    assert (sim.writes, sim.reads) == (1, 4)


def test_clear_refusal_is_not_looked_at() -> None:
    sim = Sim(refused)
    with pytest.raises(NetmakerError, match="400"):
        sim.run()
    assert sim.reads == 1


def test_change_that_somebody_takes_back_once_is_made_again() -> None:
    sim = Sim(good)

    def check_in(sim: Sim) -> None:
        if sim.reads == 2:
            sim.value = "bad"

    sim.after_read = check_in
    assert sim.run()[1] == "good"
    assert sim.writes == 2


def test_change_that_never_comes_ends_at_the_deadline() -> None:
    sim = Sim(nothing)
    with pytest.raises(NetmakerError, match="Still to do: make it good") as caught:
        sim.run()
    assert caught.value.code == "not_kept"
    assert (sim.writes, sim.time.time) == (3, 30)


def test_change_that_takes_its_time_is_not_made_twice() -> None:
    sim = Sim(nothing)

    def slowly(sim: Sim) -> None:
        if sim.time.time >= 4:
            sim.value = "good"

    sim.after_read = slowly
    sim.run()
    assert sim.writes == 1
