# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Long commands of the lab: shown and kept line by line, ended at their limit."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lab import progress
from lab.base import LabError

WIDE, NARROW = 60.0, 2.0
"""Seconds: far more than what ends by itself takes, and enough to begin."""


@pytest.fixture(autouse=True)
def _logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LOGS", tmp_path / "logs")


def run(program: str, timeout: float, shown: list[str]) -> tuple[int, str]:
    argv = [sys.executable, "-c", program]
    return progress.run_logged("a step", argv, environment={}, on_line=shown.append, timeout=timeout)


def test_output_is_shown_kept_and_returned() -> None:
    shown: list[str] = []
    status, output = run("import sys; print(1); print(2, file=sys.stderr); sys.exit(3)", WIDE, shown)
    assert status == 3
    assert sorted(shown) == ["1", "2"]
    assert sorted(output.splitlines()) == ["1", "2"]
    assert progress.log_of("a step").read_text() == output


@pytest.mark.parametrize(
    "then",
    [
        pytest.param("time.sleep(60)", id="silent"),
        pytest.param("os.close(1); os.close(2); time.sleep(60)", id="output closed"),
        pytest.param("[print('more', flush=True) for _ in iter(int, 1)]", id="chatty"),
    ],
)
def test_command_is_ended_at_its_limit(then: str) -> None:
    shown: list[str] = []
    with pytest.raises(LabError, match=r"a step took longer than 2 s; log: .*a-step.log"):
        run(f"import os, time; print(os.getpid(), flush=True); {then}", NARROW, shown)
    assert not Path(f"/proc/{shown[0]}").exists()
