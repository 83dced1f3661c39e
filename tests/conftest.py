# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same examples in every run, so that a failure is of the change at hand; `SOCKET_NETWORK_FUZZ` looks further."""

from __future__ import annotations

import importlib.util
import os

# The proofs of the lab have an environment of their own, without hypothesis.
if importlib.util.find_spec("hypothesis"):
    import hypothesis

    hypothesis.settings.register_profile("repeatable", derandomize=True)
    if "SOCKET_NETWORK_FUZZ" not in os.environ:
        hypothesis.settings.load_profile("repeatable")
