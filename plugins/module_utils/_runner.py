# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""How the drivers run programs, so that the same code serves modules, the state manager and tests."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ._errors import CommandError

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule


@dataclass(frozen=True, slots=True)
class Result:
    """What a finished program left: its argv, exit status and output text."""

    argv: tuple[str, ...]
    rc: int
    stdout: str
    stderr: str


class Runner(Protocol):
    """Runs one program to its end. Secrets go through ``stdin`` or files, never through ``argv``."""

    def run(self, argv: Sequence[str], *, stdin: str | None = None, ok: Sequence[int] = (0,), what: str = "") -> Result:
        """Run ``argv``; raise CommandError, introduced by ``what``, for an exit status outside ``ok``."""


def checked(result: Result, ok: Sequence[int], what: str) -> Result:
    """Return ``result`` or raise CommandError when its exit status is not one of ``ok``."""
    if result.rc not in ok:
        raise CommandError(what or result.argv[0], result.argv, result.rc, result.stderr or result.stdout)
    return result


class ModuleRunner:
    """Runner over ``AnsibleModule.run_command``."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module

    def run(self, argv: Sequence[str], *, stdin: str | None = None, ok: Sequence[int] = (0,), what: str = "") -> Result:
        rc, stdout, stderr = self._module.run_command(
            list(argv), data=stdin, binary_data=True, environ_update={"LC_ALL": "C.UTF-8"}, handle_exceptions=False
        )
        return checked(Result(tuple(argv), rc, stdout, stderr), ok, what)


class LocalRunner:
    """Runner over subprocess, for use outside of Ansible. ``timeout`` is in seconds."""

    def __init__(self, timeout: float = 60.0) -> None:
        self._timeout = timeout

    def run(self, argv: Sequence[str], *, stdin: str | None = None, ok: Sequence[int] = (0,), what: str = "") -> Result:
        done = subprocess.run(
            list(argv), input=stdin, capture_output=True, text=True, timeout=self._timeout, check=False
        )
        return checked(Result(tuple(argv), done.returncode, done.stdout, done.stderr), ok, what)
