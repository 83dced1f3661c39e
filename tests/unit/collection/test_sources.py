# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every file of the project keeps to."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
MAX_LINES = 400
LICENSE = "SPDX-License-Identifier: GPL-3.0-or-later"
PRIVATE = "PRIVATE to op_dbus.socket_network"
MARKDOWN_LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")

# Spelt in pieces, so that this file does not hold what it looks for.
MACHINE = (
    "/wo" + "rk/",
    "/tmp/" + "venv",
    "../sha" + "red",
    "pypi" + ".org",
    "pythonhos" + "ted",
    "deb.debian" + ".org",
)
UNFINISHED = re.compile("TO" + "DO|FIX" + r"ME|\bX{3}\b")


def files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    found = [ROOT / name for name in listed.split("\0") if name]
    return sorted(path for path in found if path.is_file() and not path.is_symlink() and path.name != "LICENSE")


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8", errors="replace")


def is_script(path: Path) -> bool:
    content = path.read_bytes()
    return bool(content) and (path.suffix in {".py", ".sh"} or content.startswith(b"#!"))


ALL = names(files())
SCRIPTS = names([path for path in files() if is_script(path)])
MARKDOWN = [name for name in ALL if name.endswith(".md")]


def test_the_lists_are_not_empty() -> None:
    assert "plugins/module_utils/_runner.py" in SCRIPTS
    assert "tests/run" in SCRIPTS
    assert "README.md" in MARKDOWN


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_names_its_license(name: str) -> None:
    assert LICENSE in text(name)[:600]


@pytest.mark.parametrize("name", [name for name in SCRIPTS if name.startswith("plugins/module_utils/")])
def test_module_utils_say_that_they_are_private(name: str) -> None:
    assert PRIVATE in text(name)[:600]


@pytest.mark.parametrize("name", [name for name in ALL if name.startswith("plugins/module_utils/")])
def test_module_utils_are_private_by_name(name: str) -> None:
    assert name.split("/")[2].startswith("_")


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_is_short(name: str) -> None:
    assert len(text(name).splitlines()) < MAX_LINES


@pytest.mark.parametrize("name", ALL)
def test_file_names_nothing_of_the_machine_it_was_written_on(name: str) -> None:
    content = text(name)
    assert [place for place in MACHINE if place in content] == []


@pytest.mark.parametrize("name", ALL)
def test_file_is_finished(name: str) -> None:
    assert UNFINISHED.findall(text(name)) == []


@pytest.mark.parametrize("name", MARKDOWN)
def test_links_between_documents_lead_somewhere(name: str) -> None:
    broken = [link for link in MARKDOWN_LINK.findall(text(name)) if not (ROOT / name).parent.joinpath(link).exists()]
    assert broken == []
