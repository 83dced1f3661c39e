# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the client runs tools."""

from __future__ import annotations

import subprocess


def run(*argv: str, data: str = "") -> str:
    return subprocess.run(argv, input=data, capture_output=True, text=True, timeout=60, check=True).stdout
