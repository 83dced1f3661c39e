# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Where the link layer keeps its files, and the texts that all of them share."""

from __future__ import annotations

from dataclasses import dataclass

NOTICE = "Written by Ansible (op_dbus.socket_network.socket_links): changes made here are undone by the next run."
PREFIX = "50-op-dbus-"
TABLE = "op_dbus"
NFTABLES_UNIT = "op-dbus-nftables.service"
LINKS_UNIT = "op-dbus-links.service"
NETWORKD_UNIT = "systemd-networkd.service"


@dataclass(frozen=True, slots=True)
class Paths:
    """Paths on the host, below ``root`` (another one in tests)."""

    root: str = ""

    @property
    def network_directory(self) -> str:
        return f"{self.root}/etc/systemd/network"

    def netdev(self, link: str) -> str:
        return f"{self.network_directory}/{PREFIX}{link}.netdev"

    def network(self, link: str) -> str:
        return f"{self.network_directory}/{PREFIX}{link}.network"

    @property
    def daemon(self) -> str:
        return f"{self.root}/etc/systemd/networkd.conf.d/50-op-dbus.conf"

    @property
    def ruleset(self) -> str:
        return f"{self.root}/etc/op-dbus/nftables/socket_bridge.nft"

    @property
    def loaded(self) -> str:
        """The table as the kernel listed it after we had loaded it, to notice edits by hand."""
        return f"{self.root}/var/lib/op-dbus/socket_bridge.nft.loaded"

    @property
    def sysctl(self) -> str:
        return f"{self.root}/etc/sysctl.d/99-op-dbus-socket-bridge.conf"

    @property
    def proc_sys(self) -> str:
        return f"{self.root}/proc/sys"

    @property
    def flusher(self) -> str:
        """Drop-in of the distribution's nftables.service."""
        return f"{self.root}/etc/systemd/system/nftables.service.d/op-dbus.conf"

    @property
    def flows(self) -> str:
        """Directory in which `ovs_bridge_flows` keeps flows."""
        return f"{self.root}/var/lib/op-dbus/flows"

    def unit(self, name: str) -> str:
        return f"{self.root}/etc/systemd/system/{name}"
