# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Container templates and the day on which the last free security support of each ends."""

from __future__ import annotations

from datetime import date

END_OF_LIFE = {
    "alpine-3.18": date(2025, 5, 9),
    "alpine-3.19": date(2025, 11, 1),
    "alpine-3.20": date(2026, 4, 1),
    "alpine-3.21": date(2026, 11, 1),
    "alpine-3.22": date(2027, 5, 1),
    "alpine-3.23": date(2027, 11, 1),
    "debian-10": date(2024, 6, 30),
    "debian-11": date(2026, 8, 31),
    "debian-12": date(2028, 6, 30),
    "debian-13": date(2030, 6, 30),
    "ubuntu-20.04": date(2025, 5, 31),
    "ubuntu-22.04": date(2027, 6, 1),
    "ubuntu-24.04": date(2029, 5, 31),
    "ubuntu-26.04": date(2031, 5, 29),
}
"""Debian's dates are those of LTS. A template that is not listed is not judged."""


def ended(template: str, today: date) -> date | None:
    """The day on which support of ``template`` ended, or None when it has not."""
    end = END_OF_LIFE.get(template)
    return end if end is not None and end <= today else None
