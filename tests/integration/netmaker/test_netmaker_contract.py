# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API is like, quirk by quirk: held against the stand-in, and against the real server when it is at hand."""

from __future__ import annotations

from tests.integration.netmaker.servers import Netmaker


def test_a_host_becomes_a_member(netmaker: Netmaker) -> None:
    network = netmaker.network()
    node = netmaker.join(network["netid"])
    assert node["connected"] is True
