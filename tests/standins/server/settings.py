# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the server is told by its environment: Netmaker's own variables, and what a test wants different."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

VERSION = "v1.5.1"
"""The version whose behaviour this program copies."""

OFF = frozenset({"off", "false", "no", "disabled", "0"})
MINUTE = 60
MASTER = "masteradministrator"
"""The name that the master key acts under. No user of that name exists."""


@dataclass(frozen=True, slots=True)
class Settings:
    """``delay``: seconds until what the real server does in the background is done. ``patience``: seconds that the
    broker has to take our login. ``version`` below v1.5.1 makes the answers those of an older server. ``certificate``
    and ``key`` make it speak TLS, which the real one cannot."""

    master_key: str
    server_name: str
    api_host: str
    api_address: str
    api_port: int
    broker: str
    server_broker: str
    broker_username: str
    broker_password: str
    messages: bool
    seeds: Mapping[str, object]
    delay: float
    patience: float
    mfa: bool
    version: str
    certificate: str
    key: str

    @property
    def old(self) -> bool:
        """Older than 1.5.1: networks carry words instead of booleans, and newer routes are missing."""
        return tuple(int(part) for part in self.version.lstrip("v").split(".")) < (1, 5, 1)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Raises ValueError with what is missing."""
        get = environment.get
        if get("DATABASE", "sqlite") != "sqlite":
            raise ValueError("DATABASE: the stand-in knows sqlite only")
        host = get("SERVER_HTTP_HOST", "")
        return cls(
            master_key=get("MASTER_KEY", ""),
            server_name=get("SERVER_NAME", ""),
            api_host=host,
            api_address=get("SERVER_API_CONN_STRING", "") or host,
            api_port=int(get("API_PORT", "8081")),
            broker=get("BROKER_ENDPOINT", ""),
            server_broker=get("SERVER_BROKER_ENDPOINT", "") or get("BROKER_ENDPOINT", ""),
            broker_username=get("MQ_USERNAME", ""),
            broker_password=get("MQ_PASSWORD", ""),
            messages=get("MESSAGEQUEUE_BACKEND", "on") not in OFF,
            seeds=_seeds(environment),
            delay=float(get("NETMAKER_STANDIN_DELAY", "0.2")),
            patience=float(get("NETMAKER_STANDIN_PATIENCE", "30")),
            mfa=get("NETMAKER_STANDIN_MFA", "off") not in OFF,
            version=get("NETMAKER_STANDIN_VERSION", VERSION),
            certificate=get("NETMAKER_STANDIN_CERTIFICATE", ""),
            key=get("NETMAKER_STANDIN_KEY", ""),
        )


def _seeds(environment: Mapping[str, str]) -> dict[str, object]:
    """The settings that go into the database on the first start; from then on the environment has no say."""

    def on(name: str, default: str) -> bool:
        return environment.get(name, default).lower() not in OFF

    validity = int(environment.get("JWT_VALIDITY_DURATION", "43200")) // MINUTE
    return {
        "netclientautoupdate": on("NETCLIENT_AUTO_UPDATE", "enabled"),
        "verbosity": int(environment.get("VERBOSITY", "0")),
        "authprovider": "",
        "oidcissuer": "",
        "client_id": "",
        "client_secret": "",
        "sync_enabled": False,
        "google_admin_email": "",
        "google_sa_creds_json": "",
        "azure_tenant": "",
        "okta_org_url": "",
        "okta_api_token": "",
        "user_filters": None,
        "group_filters": None,
        "idp_sync_interval": "",
        "telemetry": environment.get("TELEMETRY", "on"),
        "basic_auth": on("BASIC_AUTH", "yes"),
        "jwt_validity_duration": validity,
        "jwt_validity_duration_clients": validity,
        "mfa_enforced": False,
        "rac_restrict_to_single_network": False,
        "endpoint_detection": on("ENDPOINT_DETECTION", "true"),
        "allowed_email_domains": "*",
        "email_sender_addr": "",
        "email_sender_user": "",
        "email_sender_password": "",
        "smtp_host": "",
        "smtp_port": 587,
        "metric_interval": environment.get("PUBLISH_METRIC_INTERVAL", "15"),
        "metrics_port": int(environment.get("METRICS_PORT", "51821")),
        "ip_detection_interval": 15,
        "manage_dns": on("MANAGE_DNS", "true"),
        "default_domain": environment.get("DEFAULT_DOMAIN", "nm.internal"),
        "stun": on("STUN", "true"),
        "stun_servers": environment.get("STUN_SERVERS", ""),
        "audit_logs_retention_period": 7,
        "peer_connection_check_interval": "15",
        "posture_check_interval": "30",
        "clean_up_interval_in_mins": 10,
        "enable_flow_logs": False,
    }
