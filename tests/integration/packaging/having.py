# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways to have the collection, each with an environment that holds nothing of the user's own."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
NAME = "op_dbus.socket_network"
BYTECODE = {"PYTHONDONTWRITEBYTECODE": "1"}  # `ansible-galaxy collection verify` takes caches for foreign files
PLACEHOLDER = re.compile(r"REPLACE with what `(.+?)`.*")


@dataclass(frozen=True, slots=True)
class Setup:
    """A way to have the collection: where to run Ansible, its environment, and what to call two of the playbooks."""

    directory: Path
    environment: dict[str, str]
    site: str
    trace: str

    def run(self, *argv: str) -> str:
        """Standard output of ``argv``; fails the test with everything it said when it ends with an error."""
        return output(argv, self.directory, self.environment)

    def playbook(self, *argv: str) -> str:
        return self.run("ansible-playbook", *argv)


def output(argv: Sequence[str], directory: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        argv,
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(argv)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def environment(home: Path, **extra: str) -> dict[str, str]:
    """Nothing of the user's own Ansible settings and collections, and a home of its own that starts empty."""
    home.mkdir(exist_ok=True)
    kept = {name: os.environ[name] for name in ("PATH", "SUDO_UID", "SUDO_GID") if name in os.environ}
    return {**kept, "HOME": str(home), "LC_ALL": "C.UTF-8", "ANSIBLE_NOCOLOR": "1", **BYTECODE, **extra}


def installed(directory: Path, source: str) -> Setup:
    """``source`` installed into an empty path, to be used from an empty directory."""
    collections = directory / "collections"
    empty = directory / "empty"
    empty.mkdir(parents=True)
    settings = environment(directory / "home", ANSIBLE_COLLECTIONS_PATH=str(collections))
    argv = ["ansible-galaxy", "collection", "install", "--offline", "--collections-path", str(collections), source]
    output(argv, empty, settings)
    return Setup(empty, settings, f"{NAME}.site", f"{NAME}.trace")


def completed(line: str, place: str) -> str:
    found = PLACEHOLDER.search(line)
    return line[: found.start()] + made_up(found[1], place) if found else line


def made_up(command: str, place: str) -> str:
    """A WireGuard key or a SHA-256 digest, whichever ``command`` prints; the same for the same place."""
    digest = hashlib.sha256(f"{command} {place}".encode())
    return digest.hexdigest() if command.startswith("sha256sum") else base64.b64encode(digest.digest()).decode()
