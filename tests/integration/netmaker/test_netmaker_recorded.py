# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in answers in the shapes that the real server was recorded with, and so does the real one still."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.netmaker.conversation import record
from tests.integration.netmaker.record import DIRECTORY
from tests.integration.netmaker.servers import STAND_IN, kinds, running

OUR_OWN = "stand_in"
"""The one field that the real server does not have."""


@pytest.fixture(scope="module", params=kinds())
def answers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a fresh server says in the conversation."""
    with running(request.param, tmp_path_factory.mktemp("fresh")) as server:
        said: dict[str, Any] = record(server)
    (status,) = [call for call in said["server"] if call["call"] == "GET /api/server/status"]
    assert (status["body"].pop(OUR_OWN, None) is not None) == (request.param == STAND_IN)
    return said


SUBJECTS = sorted(path.stem for path in DIRECTORY.glob("*.json"))


def recorded(subject: str) -> list[dict[str, Any]]:
    content = json.loads(Path(DIRECTORY, f"{subject}.json").read_text())
    assert content["version"].startswith("v1.")
    return list(content["calls"])


def differences(wanted: Any, found: Any, where: str) -> list[str]:
    """Where keys or types differ. Lists are compared by their first item; what is empty has no shape."""
    if type(wanted) is not type(found):
        return [f"{where}: {wanted!r} was recorded, {found!r} is said"]
    if isinstance(wanted, list) and wanted and found:
        return differences(wanted[0], found[0], f"{where}[0]")
    if isinstance(wanted, dict) and wanted and found:
        keys = [f"{where}: {sorted(wanted.keys() ^ found.keys())}"] if wanted.keys() != found.keys() else []
        common = [differences(wanted[key], found[key], f"{where}.{key}") for key in wanted.keys() & found.keys()]
        return keys + [line for lines in common for line in lines]
    return []


@pytest.mark.parametrize("subject", SUBJECTS)
def test_answers_have_the_recorded_shape(answers: dict[str, Any], subject: str) -> None:
    calls = recorded(subject)
    assert [call["call"] for call in answers[subject]] == [call["call"] for call in calls]
    pairs = zip(calls, answers[subject], strict=True)
    assert [line for old, new in pairs for line in differences(old, new, old["call"])] == []
    assert [(call["status"], call["content_type"]) for call in answers[subject]] == [
        (call["status"], call["content_type"]) for call in calls
    ]


def test_all_subjects_are_recorded(answers: dict[str, Any]) -> None:
    assert sorted(answers) == SUBJECTS
