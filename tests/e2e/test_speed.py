# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run costs that has nothing to do."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from lab import remote
from lab.remote import PlaybookRun

from .conftest import INVENTORY

SETUP = [{"hosts": "socket_network", "gather_facts": False, "tasks": [{"ansible.builtin.setup": {}}]}]
LIMIT = 5.0

pytestmark = pytest.mark.drift


def test_run_with_nothing_to_do_is_cheap(
    site: Callable[..., PlaybookRun], plays: Callable[[object], str], seen: Callable[[str], None]
) -> None:
    """site.yml with nothing to do costs at most five times a bare gathering of facts."""
    book = plays(SETUP)

    def gather() -> None:
        assert remote.playbook(book, inventory=INVENTORY).returncode == 0

    def converge() -> None:
        assert site().changed() == 0

    bare, whole = best_of(3, gather), best_of(3, converge)
    seen(f"site.yml {whole:.1f} s, setup {bare:.1f} s: {whole / bare:.1f} times")
    assert whole <= LIMIT * bare


def best_of(times: int, work: Callable[[], None]) -> float:
    """The shortest of some tries: the machine does other things too."""
    taken = []
    for _run in range(times):
        begin = time.monotonic()
        work()
        taken.append(time.monotonic() - begin)
    return min(taken)
