# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Netmaker's programs for the lab: the real ones where the environment names them, else the stand-ins of the tests.

The real programs are no part of this project and in no registry that every machine reaches.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from lab.base import LabError
from tests.standins import programs as stand_ins

VARIABLES = ("NETMAKER_BINARY", "NETCLIENT_BINARY")


@dataclass(frozen=True, slots=True)
class Programs:
    server: Path
    client: Path
    are_real: bool

    @property
    def remark(self) -> str:
        return "real Netmaker" if self.are_real else "stand-in Netmaker"

    def describe(self) -> str:
        where = ", ".join(str(path) for path in (self.server, self.client))
        why = "as the environment says" if self.are_real else f"{' and '.join(VARIABLES)} name no programs"
        return f"{self.remark}: {where} ({why})"


def programs(directory: Path) -> Programs:
    """The real programs, or the stand-ins, which are built in ``directory``. Raises LabError for half a pair."""
    named = {variable: os.environ.get(variable, "") for variable in VARIABLES}
    if not any(named.values()):
        return _stand_ins(directory)
    for variable, name in named.items():
        if not name:
            raise LabError(f"{variable} is not set: {' and '.join(VARIABLES)} are needed, or neither of them")
        if not os.access(name, os.X_OK) or not Path(name).is_file():
            raise LabError(f"{variable}={name} is not a program")
    server, client = (Path(name).resolve() for name in named.values())
    return Programs(server, client, are_real=True)


def _stand_ins(directory: Path) -> Programs:
    directory.mkdir(parents=True)
    return Programs(stand_ins.build_server(directory), stand_ins.build_client(directory), are_real=False)


def inventory(found: Programs) -> dict[str, str]:
    """What inventories/lab-netmaker takes from here: paths, and secrets made up anew each time."""
    made_up = ("master_key", "admin_password", "broker_password")
    return {
        "server_program": str(found.server),
        "client_program": str(found.client),
        **{name: secrets.token_urlsafe(24) for name in made_up},
    }
