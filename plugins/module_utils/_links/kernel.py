# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Kernel settings: forwarding, reverse path filter, no IPv6 on veth ends."""

from __future__ import annotations

from .._files import FileSpec
from .layer import LinkLayer
from .settings import NOTICE, Paths

GLOBAL_SETTINGS = {"net/ipv4/ip_forward": "1", "net/ipv4/conf/default/rp_filter": "2"}


def link_settings(layer: LinkLayer) -> dict[str, str]:
    """Values by path below /proc/sys. They exist only while the link does.

    Reverse path filter 2 (loose): replies that a policy rule routes would fail the strict one.
    IPv6 off: a host end's own router solicitations and MLD reports would enter the bridge beside the flow table.
    """
    loose = {f"net/ipv4/conf/{name}/rp_filter": "2" for name in (*layer.gateway_ports, *layer.devices)}
    ends = (*layer.gateway_ports, *layer.bridge_ports)
    return loose | {f"net/ipv6/conf/{name}/disable_ipv6": "1" for name in ends}


def sysctl_file(paths: Paths, layer: LinkLayer) -> FileSpec:
    """Settings of links carry a `-`: sysctl may run before the link is there."""
    lines = [f"{key} = {value}" for key, value in sorted(GLOBAL_SETTINGS.items())]
    lines += [f"-{key} = {value}" for key, value in sorted(link_settings(layer).items())]
    return FileSpec(paths.sysctl, "\n".join([f"# {NOTICE}", *lines, ""]))
