# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Runner that answers from recordings and fails on anything that would change a host."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.op_dbus.socket_network.plugins.module_utils._runner import Result, checked

READS = ("parse-flows", "dump-flows", "diff-flows", "list", "dpctl/dump-conntrack", "--dry-run")


class Recorded:
    """``answers`` maps a word of the command line to (exit status, stdout, stderr); every call is kept in ``calls``."""

    def __init__(self, answers: dict[str, tuple[int, str, str]], *, writable: bool = False) -> None:
        self.answers, self.writable = answers, writable
        self.calls: list[tuple[str, ...]] = []
        self.inputs: list[str | None] = []

    def run(self, argv: Sequence[str], *, stdin: str | None = None, ok: Sequence[int] = (0,), what: str = "") -> Result:
        if not self.writable and not any(word in argv for word in READS):
            raise AssertionError(f"a write: {' '.join(argv)}")
        self.calls.append(tuple(argv))
        self.inputs.append(stdin)
        known = [word for word in self.answers if word in argv]
        if not known:
            raise FileNotFoundError(argv[0])
        rc, stdout, stderr = self.answers[known[0]]
        return checked(Result(tuple(argv), rc, stdout, stderr), ok, what)
