# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Names and places of the server's parts, and what is wanted of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NOTICE = "Written by Ansible (op_dbus.socket_network, role netmaker); changes here are overwritten."
ETC = "/etc/netmaker"
DATA = "/var/lib/netmaker"
DATABASE = f"{DATA}/data/netmaker.db"
BROKER_DATA = "/var/lib/netmaker-broker"
UNITS = "/etc/systemd/system"
SCRIPTS = "/usr/local/lib/op-dbus"
PROGRAMS = "/usr/local/lib/netmaker-"

ENVIRONMENT = f"{ETC}/netmaker.env"
CADDYFILE = f"{ETC}/Caddyfile"
BROKER_CONFIG = f"{ETC}/mosquitto.conf"
SERVER_ACL = f"{ETC}/server.acl"
CLIENT_ACL = f"{ETC}/client.acl"
PASSWORDS = f"{ETC}/passwords"
RULESET = f"{ETC}/firewall.nft"
CA_KEY, CA_CERTIFICATE = f"{ETC}/ca.key", f"{ETC}/ca.crt"
TLS_KEY, TLS_CERTIFICATE = f"{ETC}/tls.key", f"{ETC}/tls.crt"
SYSUSERS = "/etc/sysusers.d/netmaker.conf"
CERTIFICATE_SCRIPT = f"{SCRIPTS}/netmaker-certificate"
BACKUP_SCRIPT = f"{SCRIPTS}/netmaker-backup"
FLUSHER = f"{UNITS}/nftables.service.d/op-dbus-netmaker.conf"

USER = "netmaker"
BROKER_USER = "netmaker"
"""The account of the broker that server and clients share: the server hands it to every client."""
TABLE = "op_dbus_netmaker"
SERVER = "netmaker.service"
BROKER = "netmaker-broker.service"
FRONT = "netmaker-front.service"
FIREWALL = "netmaker-firewall.service"
CERTIFICATE = "netmaker-certificate.service"
CERTIFICATE_TIMER = "netmaker-certificate.timer"
BACKUP = "netmaker-backup.service"
BACKUP_TIMER = "netmaker-backup.timer"
RUNNING = (FIREWALL, BROKER, FRONT, SERVER, CERTIFICATE_TIMER, BACKUP_TIMER)
"""Units that are active and start at boot, in the order of their start."""
DEBIAN = {"mosquitto.service": "/etc/mosquitto/mosquitto.conf", "caddy.service": "/etc/caddy/Caddyfile"}
"""Units that the packages enable, and the file that tells whether somebody made use of them."""

API_PORT = 8081
BROKER_PORT = 1883
ADDRESS_PORT = 8082
"""Where the front tells the server its public address, so that it does not ask strangers for it."""
API = f"http://127.0.0.1:{API_PORT}"

SETTINGS: dict[str, Any] = {
    "endpoint_detection": False,
    "manage_dns": False,
    "netclientautoupdate": False,
    "stun": False,
    "telemetry": "off",
}
"""What the server must not do: offer container subnets as endpoints, rule resolvers, replace clients, call home."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The server as it should be. Without ``certificate`` and ``key`` (paths) it has a CA of its own."""

    program: str
    version: str
    domain: str
    address: str
    api_port: int
    broker_port: int
    admin: str
    master_key: str = field(repr=False)
    admin_password: str = field(repr=False)
    broker_password: str = field(repr=False)
    certificate: str | None
    key: str | None
    settings: Mapping[str, Any]
    backups: str
    keep: int

    @property
    def api(self) -> str:
        """Name, and port where it is not the usual one, under which clients reach the API."""
        return f"api.{self.domain}" if self.api_port == 443 else f"api.{self.domain}:{self.api_port}"

    @property
    def own_ca(self) -> bool:
        return self.certificate is None

    @property
    def tls(self) -> tuple[str, str]:
        """Certificate and key that front and broker load."""
        return self.certificate or TLS_CERTIFICATE, self.key or TLS_KEY
