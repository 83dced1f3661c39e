# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Where netclient keeps its things, and the texts of the files around it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .._errors import RefusedError
from .._files import FileSpec, found

UNIT = "netclient.service"
UNIT_PATH = f"/etc/systemd/system/{UNIT}"
PROGRAM = "/sbin/netclient"
DIRECTORY = "/etc/netclient"
CA_PATH = "/usr/local/share/ca-certificates/op-dbus-netmaker.crt"
HOSTS_PATH = "/etc/hosts"
DEVICE = "netmaker"

NOTICE = "Written by Ansible (op_dbus.socket_network.netmaker_client): changes made here are undone by the next run."
LOOKUPS = ("icanhazip.com", "ifconfig.me", "myexternalip.com")
"""Whom netclient asks for the host's public address, in its daemon's source."""
NOWHERE = "255.255.255.255"
"""The kernel refuses TCP connections to it at once, and no DNS server is asked."""

_BEGIN, _END = "# BEGIN op_dbus.socket_network.netmaker_client", "# END op_dbus.socket_network.netmaker_client"
_BLOCK = re.compile(rf"{re.escape(_BEGIN)}\n.*?{re.escape(_END)}\n", re.DOTALL)


def unit_file(program: str) -> FileSpec:
    """Not the one that `netclient install` writes: that sleeps 17 seconds before each start."""
    text = f"""# {NOTICE}
[Unit]
Description=Netmaker client
Documentation=https://docs.netmaker.io
Wants=network-online.target
After=network-online.target op-dbus-nftables.service
StartLimitIntervalSec=0

[Service]
ExecStart={program} daemon
Restart=always
RestartSec=5
TimeoutStopSec=20

[Install]
WantedBy=multi-user.target
"""
    return FileSpec(UNIT_PATH, text)


def hosts_file(path: str, entries: Mapping[str, str], refused: bool) -> FileSpec:
    """/etc/hosts with our block at its end; without ``entries`` and ``refused`` the block is not there."""
    have = found(path)
    rest = _BLOCK.sub("", have.content if have else "")
    lines = [f"{address} {name}" for name, address in sorted(entries.items())]
    lines += [f"{NOWHERE} {name}" for name in LOOKUPS] if refused else []
    if lines and rest and not rest.endswith("\n"):
        rest += "\n"
    block = "\n".join([_BEGIN, *lines, _END, ""]) if lines else ""
    return FileSpec(path, rest + block, have.mode if have else 0o644)


def certificate_file(certificate: str) -> FileSpec:
    """The CA's certificate where `update-ca-certificates` finds it."""
    if "-----BEGIN CERTIFICATE-----" not in certificate or "PRIVATE KEY" in certificate:
        raise RefusedError("ca_certificate is not a certificate in PEM.", fix="give the certificate of the CA alone.")
    return FileSpec(CA_PATH, certificate.strip() + "\n")
