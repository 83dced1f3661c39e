# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the stand-ins as programs of one file each, which run wherever python3 (and python3-aiohttp) of Debian is."""

from __future__ import annotations

import shutil
import tempfile
import zipapp
from pathlib import Path

HERE = Path(__file__).resolve().parent
INTERPRETER = "/usr/bin/python3"
SERVER_NAME = "netmaker-stand-in"
CLIENT_NAME = "netclient-stand-in"
PCT_NAME = "pct-stand-in"


def build_server(directory: Path) -> Path:
    """Write the server there. Returns its path."""
    return _build("server", directory / SERVER_NAME)


def build_client(directory: Path) -> Path:
    """Write the client there. Returns its path."""
    return _build("client", directory / CLIENT_NAME)


def build_pct(directory: Path) -> Path:
    """Write Proxmox' container tool there, which under the name lxcnetaddbr is the script for its ports."""
    return _build("pct", directory / PCT_NAME)


def _build(package: str, program: Path) -> Path:
    name = program.name.replace("-", "_")
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copytree(HERE / package, Path(scratch) / name, ignore=shutil.ignore_patterns("__pycache__"))
        start = f"import sys\nfrom {name}.__main__ import main\nsys.exit(main())\n"
        (Path(scratch) / "__main__.py").write_text(start)
        zipapp.create_archive(scratch, program, INTERPRETER)
    program.chmod(0o755)
    return program
