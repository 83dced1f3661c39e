# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""systemd units: the server behind its filter and with its broker, the front, and two timers."""

from __future__ import annotations

from .. import _nft
from .._files import FileSpec
from . import layout
from .layout import NOTICE, Wanted

_HARDENED = """\
NoNewPrivileges=yes
CapabilityBoundingSet={capabilities}
AmbientCapabilities={capabilities}
LockPersonality=yes
MemoryDenyWriteExecute=yes
PrivateDevices=yes
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectSystem=strict
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
UMask=0077
"""

_SERVICE = """\
# {notice}

[Unit]
Description=Netmaker: {description}
{order}
StartLimitIntervalSec=0

[Service]
{credentials}{body}
Restart=on-failure
RestartSec=2
{hardened}
[Install]
WantedBy=multi-user.target
"""

_SERVER_ORDER = """\
Wants={broker} {front}
Requires={firewall}
After=network.target {firewall} {broker} {front}"""
_SERVER_BODY = """\
User={user}
Group={user}
StateDirectory=netmaker
StateDirectoryMode=0700
WorkingDirectory={data}
EnvironmentFile={environment}
ExecStart={program}"""

_BROKER_BODY = """\
Type=notify
User=mosquitto
Group=mosquitto
StateDirectory=netmaker-broker
StateDirectoryMode=0700
ExecStart=/usr/sbin/mosquitto -c {config}"""

_FRONT_BODY = """\
Type=notify
User=caddy
Group=caddy
StateDirectory=netmaker-front
StateDirectoryMode=0700
Environment=HOME=/var/lib/netmaker-front XDG_DATA_HOME=/var/lib/netmaker-front XDG_CONFIG_HOME=/var/lib/netmaker-front
ExecStart=/usr/bin/caddy run --config {config} --adapter caddyfile"""

_FIREWALL = "Netmaker: packet filter before the ports that are for this host only"

_JOB = """\
# {notice}

[Unit]
Description=Netmaker: {description}

[Service]
Type=oneshot
ExecStart={script}
"""

_TIMER = """\
# {notice}

[Unit]
Description=Netmaker: {description}, daily

[Timer]
OnCalendar=daily
RandomizedDelaySec=1h
Persistent=true

[Install]
WantedBy=timers.target
"""


def _service(description: str, order: str, body: str, *, secrets: dict[str, str], capabilities: str = "") -> str:
    """A long-running unit. ``secrets`` maps names of credentials to the files that only root can read."""
    return _SERVICE.format(
        notice=NOTICE,
        description=description,
        order=order,
        body=body,
        credentials="".join(f"LoadCredential={name}:{path}\n" for name, path in secrets.items()),
        hardened=_HARDENED.format(capabilities=capabilities),
    )


def _server(wanted: Wanted) -> str:
    order = _SERVER_ORDER.format(broker=layout.BROKER, front=layout.FRONT, firewall=layout.FIREWALL)
    body = _SERVER_BODY.format(
        user=layout.USER, data=layout.DATA, environment=layout.ENVIRONMENT, program=wanted.program
    )
    return _service(f"server {wanted.version}", order, body, secrets={})


def _broker(wanted: Wanted) -> str:
    certificate, key = wanted.tls
    secrets = {"tls.crt": certificate, "tls.key": key, "passwords": layout.PASSWORDS}
    secrets |= {"server.acl": layout.SERVER_ACL, "client.acl": layout.CLIENT_ACL}
    order = f"Requires={layout.FIREWALL}\nAfter=network.target {layout.FIREWALL}"
    return _service("broker", order, _BROKER_BODY.format(config=layout.BROKER_CONFIG), secrets=secrets)


def _front(wanted: Wanted) -> str:
    certificate, key = wanted.tls
    body = _FRONT_BODY.format(config=layout.CADDYFILE)
    secrets = {"tls.crt": certificate, "tls.key": key}
    order = "After=network.target"
    return _service("TLS front", order, body, secrets=secrets, capabilities="CAP_NET_BIND_SERVICE")


def unit_files(wanted: Wanted) -> list[FileSpec]:
    ruleset = layout.RULESET
    renewal, backup = "renewal of the certificate", "backup"
    texts = {
        layout.SERVER: _server(wanted),
        layout.BROKER: _broker(wanted),
        layout.FRONT: _front(wanted),
        layout.FIREWALL: _nft.loader(_FIREWALL, ruleset, NOTICE),
        layout.CERTIFICATE: _JOB.format(notice=NOTICE, description=renewal, script=layout.CERTIFICATE_SCRIPT),
        layout.CERTIFICATE_TIMER: _TIMER.format(notice=NOTICE, description=renewal),
        layout.BACKUP: _JOB.format(notice=NOTICE, description=backup, script=layout.BACKUP_SCRIPT),
        layout.BACKUP_TIMER: _TIMER.format(notice=NOTICE, description=backup),
    }
    specs = [FileSpec(f"{layout.UNITS}/{name}", text) for name, text in texts.items()]
    return [*specs, FileSpec(layout.FLUSHER, _nft.flusher(ruleset, NOTICE))]
