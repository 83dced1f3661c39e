# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""systemd units: the filter stands before the network does; links get their settings also where udev does not run."""

from __future__ import annotations

from .. import _nft
from .._files import FileSpec
from .layer import LinkLayer
from .settings import LINKS_UNIT, NETWORKD_UNIT, NFTABLES_UNIT, NOTICE, Paths

_LINKS = """\
# {notice}
# Pulls in systemd-networkd without enabling it: on a host where it manages only these links, its
# systemd-networkd-wait-online.service would hold up the boot for two minutes.

[Unit]
Description=op-dbus socket network: links and their kernel settings
Wants={networkd}
After={networkd}

[Service]
Type=oneshot
RemainAfterExit=yes
{wait}ExecStart=/usr/lib/systemd/systemd-sysctl {sysctl}

[Install]
WantedBy=multi-user.target
"""


_WAIT = "ExecStart=/usr/lib/systemd/systemd-networkd-wait-online --timeout=30 --operational-state=no-carrier {links}\n"


def unit_files(paths: Paths, layer: LinkLayer) -> list[FileSpec]:
    names = sorted((*layer.gateway_ports, *layer.bridge_ports))
    wait = _WAIT.format(links=" ".join(f"--interface={name}" for name in names)) if names else ""
    links = _LINKS.format(notice=NOTICE, networkd=NETWORKD_UNIT, wait=wait, sysctl=paths.sysctl)
    nftables = _nft.loader("op-dbus socket network: packet filter", paths.ruleset, NOTICE)
    return [
        FileSpec(paths.unit(NFTABLES_UNIT), nftables),
        FileSpec(paths.unit(LINKS_UNIT), links),
        FileSpec(paths.flusher, _nft.flusher(paths.ruleset, NOTICE)),
    ]
