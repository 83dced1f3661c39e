# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An error as `pct` ends with it."""

from __future__ import annotations


class Failure(Exception):
    """Text for the standard error, and the exit status."""

    def __init__(self, text: str, status: int = 255) -> None:
        super().__init__(text)
        self.status = status


def wrong_parameter(**errors: str) -> Failure:
    lines = [f"{key}: {text}" for key, text in errors.items()]
    return Failure("\n".join(["400 Parameter verification failed.", *lines]))
