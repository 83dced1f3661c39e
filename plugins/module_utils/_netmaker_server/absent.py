# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Take the server away again."""

from __future__ import annotations

import pwd
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from .._files import plan_files
from .._plan import Plan, Step
from .._runner import Runner
from . import layout
from .found import old_programs
from .machine import Machine, read_units

_KEPT = (layout.CA_KEY, layout.CA_CERTIFICATE, layout.TLS_KEY, layout.TLS_CERTIFICATE)
_FILES = (
    *(f"{layout.UNITS}/{name}" for name in (*layout.RUNNING, layout.CERTIFICATE, layout.BACKUP)),
    *(layout.ENVIRONMENT, layout.PASSWORDS, layout.BROKER_CONFIG, layout.SERVER_ACL, layout.CLIENT_ACL),
    *(layout.CADDYFILE, layout.RULESET, layout.SYSUSERS, layout.FLUSHER),
    *(layout.CERTIFICATE_SCRIPT, layout.BACKUP_SCRIPT),
)


def plan_absent(runner: Runner, purge: bool) -> Plan:
    """Everything goes but backups and, without ``purge``, what only this server has: database, CA, certificate."""
    machine = Machine(runner, read_units(runner, layout.RUNNING))
    steps = machine.end(reversed(layout.RUNNING))
    exists = shutil.which("nft") and runner.run(["nft", "list", "tables"], what="Reading the packet filter").stdout
    if exists and f"table inet {layout.TABLE}\n" in exists:
        drop = ["nft", "delete", "table", "inet", layout.TABLE]
        steps.append(Step(f"delete table inet {layout.TABLE}", partial(_run, runner, drop, "Deleting the filter")))
    files = plan_files((), absent=(*_FILES, *old_programs(None), *(_KEPT if purge else ())))
    steps += files.steps
    if any(path.startswith(layout.UNITS) for path in _FILES if Path(path).exists()):
        steps.append(Step("reload systemd", lambda: machine.systemctl("daemon-reload")))
    directories = [layout.DATA, layout.BROKER_DATA, "/var/lib/netmaker-front", layout.ETC] if purge else []
    for path in directories:
        if Path(path).exists():
            steps.append(Step(f"delete {path}", partial(shutil.rmtree, path)))
    if purge and _has_user():
        steps.append(Step(f"delete user {layout.USER}", partial(_run, runner, ["userdel", layout.USER], "Deleting")))
    return Plan(tuple(steps), files.before, files.after)


def _has_user() -> bool:
    try:
        pwd.getpwnam(layout.USER)
    except KeyError:
        return False
    return True


def _run(runner: Runner, argv: Sequence[str], what: str) -> None:
    runner.run(argv, what=what)
