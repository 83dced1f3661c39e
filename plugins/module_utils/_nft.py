# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""systemd's part in a packet filter of our own: loaded before the network is up, and again when somebody flushes it."""

from __future__ import annotations

_LOADER = """\
# {notice}

[Unit]
Description={description}
DefaultDependencies=no
After=local-fs.target systemd-modules-load.service nftables.service
Before=network-pre.target shutdown.target
Wants=network-pre.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f {ruleset}
ExecReload=/usr/sbin/nft -f {ruleset}

[Install]
WantedBy=sysinit.target
"""

_FLUSHER = """\
# {notice}
# Debian's nftables.service flushes every table when it starts, stops or reloads, also those that are not its own.

[Service]
ExecStartPost=-/usr/sbin/nft -f {ruleset}
ExecReload=-/usr/sbin/nft -f {ruleset}
ExecStopPost=-/usr/sbin/nft -f {ruleset}
"""


def loader(description: str, ruleset: str, notice: str) -> str:
    """The unit that loads the file ``ruleset``."""
    return _LOADER.format(description=description, ruleset=ruleset, notice=notice)


def flusher(ruleset: str, notice: str) -> str:
    """The drop-in of nftables.service that loads ``ruleset`` again."""
    return _FLUSHER.format(ruleset=ruleset, notice=notice)
