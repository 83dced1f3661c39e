# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Which versions may follow each other: a newer server changes its database in ways that an older one cannot read."""

from __future__ import annotations

from .._errors import RefusedError
from .._netmaker.server import OLDEST, number_of

Number = tuple[int, int, int]


def parsed(version: str, name: str) -> Number:
    """The numbers of ``version``, which ``name`` says."""
    number = number_of(version)
    if number is None or number < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise RefusedError(
            f"{name} is {version!r}.", fix=f"give the number of a release, {oldest} or newer, such as 1.5.1."
        )
    return number


def check_step(found: str, wanted: str, what: str = "The server") -> None:
    """Refuse to go from version ``found`` to ``wanted`` where that loses the database; ``what`` has ``found``."""
    target = parsed(wanted, "netmaker_version")
    source = number_of(found)
    if source is None:
        return
    if target < source:
        raise RefusedError(
            f"{what} is version {_text(source)} and netmaker_version is {_text(target)}: a downgrade, which Netmaker"
            " does not support, because the newer version has changed the database.",
            fix=f"set netmaker_version to {_text(source)} or newer, or bring back a backup that {_text(target)} made.",
        )
    if target[0] != source[0] or target[1] > source[1] + 1:
        between = f"{source[0]}.{source[1] + 1}"
        raise RefusedError(
            f"{what} is version {_text(source)} and netmaker_version is {_text(target)}: each minor version changes"
            " the database for the next one, and 1.7, for one, does not start unless 1.6 ran before.",
            fix=f"install the latest {between}.x first, see the server run, then go on.",
        )


def check_program(reported: str, wanted: str, program: str) -> None:
    """The program must be what the inventory says it is, or the checks above are worth nothing."""
    number = number_of(reported)
    if number is not None and number != parsed(wanted, "netmaker_version"):
        raise RefusedError(
            f"The server runs and reports version {reported}, but netmaker_version is {wanted} ({program}).",
            fix="make netmaker_version and netmaker_server_program the same version.",
        )


def _text(number: Number) -> str:
    return ".".join(map(str, number))
