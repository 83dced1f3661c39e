# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab of this machine, whatever its hosts are."""

from __future__ import annotations

from lab.topology import Lab, about
from lab.vm.topology import MachineLab


def current() -> Lab:
    """The lab that is there, if any."""
    return MachineLab() if about().get("hosts") == MachineLab.__name__ else Lab()
