# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as its users get it: a plain clone, an installed tarball, installed from a git repository."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from having import ROOT, Setup, completed, environment, installed, output


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("packaging")


@pytest.fixture(scope="session")
def clone(work: Path) -> Path:
    """What is committed, and nothing else."""
    output(["git", "clone", "--quiet", str(ROOT), "clone"], work, environment(work / "git-home"))
    return work / "clone"


@pytest.fixture(scope="session")
def tarball(work: Path, clone: Path) -> Path:
    argv = ["ansible-galaxy", "collection", "build", "--output-path", str(work)]
    output(argv, clone, environment(work / "build-home"))
    (built,) = work.glob("op_dbus-socket_network-*.tar.gz")
    return built


@pytest.fixture(scope="session")
def from_clone(work: Path, clone: Path) -> Setup:
    return Setup(clone, environment(work / "clone-home"), "site.yml", "playbooks/trace.yml")


@pytest.fixture(scope="session")
def from_tarball(work: Path, tarball: Path) -> Setup:
    return installed(work / "tarball", str(tarball))


@pytest.fixture(scope="session")
def from_git(work: Path, clone: Path) -> Setup:
    output(["git", "clone", "--quiet", "--bare", str(clone), "bare.git"], work, environment(work / "git-home"))
    return installed(work / "git", f"git+file://{work}/bare.git")


@pytest.fixture(scope="session", params=["from_clone", "from_tarball", "from_git"])
def setup(request: pytest.FixtureRequest) -> Setup:
    found: Setup = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session")
def inventory(work: Path, clone: Path) -> Path:
    """The production example as a user completes it: every placeholder replaced by a value of the right shape."""
    copy = work / "inventory"
    shutil.copytree(clone / "inventories" / "production-example", copy)
    for path in sorted(copy.rglob("*.yml")):
        lines = path.read_text(encoding="utf-8").splitlines()
        path.write_text("\n".join(completed(line, str(path)) for line in lines) + "\n", encoding="utf-8")
    return copy
