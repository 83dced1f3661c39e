# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""The texts of the server's configuration: environment, broker, front, packet filter."""

from __future__ import annotations

from .._files import FileSpec
from . import layout
from .credentials import environment_line
from .layout import NOTICE, Wanted

_BROKER = """\
# {notice}
per_listener_settings true
persistence true
persistence_location {data}/
log_dest stderr
log_type error
log_type warning
log_type notice
connection_messages false

# The server, on this host only.
listener {inner} 127.0.0.1
allow_anonymous false
password_file {credentials}/passwords
acl_file {credentials}/server.acl

# The clients.
listener {outer}
allow_anonymous false
password_file {credentials}/passwords
acl_file {credentials}/client.acl
certfile {credentials}/tls.crt
keyfile {credentials}/tls.key
tls_version tlsv1.2
"""

_ACL = """\
# {notice}
user {user}
{topics}
"""

_SERVER_TOPICS = (
    "read update/{name}/#",
    "read host/serverupdate/{name}/#",
    "read signal/{name}/#",
    "read metrics/{name}/#",
    "write host/update/+/{name}",
    "write peers/host/+/{name}",
    "write node/update/+/+",
    "write host/dns/sync/#",
    "write feature_flags/{name}",
    "write serversync/{name}",
)
_CLIENT_TOPICS = (
    "read peers/host/+/{name}",
    "read host/dns/sync/+/{name}",
    "readwrite host/update/+/{name}",
    "readwrite node/update/+/+",
    "write host/serverupdate/{name}/+",
    "write update/{name}/+",
    "write signal/{name}/+",
    "write metrics/{name}/+",
)
"""A client clears the message that it has read, for which it must write there. It cannot write what peers read."""

_CADDYFILE = """\
# {notice}
{{
    admin off
    auto_https off
    servers {{
        protocols h1 h2
    }}
}}

# The server asks here for its public address, and so nobody else.
http://127.0.0.1:{address_port} {{
    bind 127.0.0.1
    respond "{address}"
}}
"""
_PUBLIC = """
https://{api} {{
    tls {credentials}/tls.crt {credentials}/tls.key
    @bootstrap path /api/users/adm/createsuperadmin*
    respond @bootstrap "The superadmin is made on the server itself." 403
    reverse_proxy 127.0.0.1:{port}
}}
"""

_RULESET = """\
# {notice}
add table inet {table}
delete table inet {table}
{body}"""
# Tabs, as nft lists it: the loaded table is compared with this.
_TABLE = """\
table inet {table} {{
\tchain input {{
\t\ttype filter hook input priority filter - 1; policy accept;
\t\tiifname != "lo" tcp dport {{ {ports} }} counter drop
\t}}
}}
"""


def environment(wanted: Wanted) -> str:
    """The server's environment. Some of it only seeds the database at the first start; those settings go by the API."""
    values = {
        "API_PORT": str(layout.API_PORT),
        "BROKER_ENDPOINT": f"mqtts://broker.{wanted.domain}:{wanted.broker_port}",
        "CORS_ALLOWED_ORIGIN": f"https://{wanted.api}",
        "COREDNS_ADDR": wanted.address,
        "DATABASE": "sqlite",
        "DISABLE_REMOTE_IP_CHECK": "on",
        "ENDPOINT_DETECTION": "false",
        "MANAGE_DNS": "false",
        "MASTER_KEY": wanted.master_key,
        "MQ_PASSWORD": wanted.broker_password,
        "MQ_USERNAME": layout.BROKER_USER,
        "NETCLIENT_AUTO_UPDATE": "disabled",
        "NM_DOMAIN": wanted.domain,
        "PUBLIC_IP_SERVICE": f"http://127.0.0.1:{layout.ADDRESS_PORT}",
        "SERVER_API_CONN_STRING": f"api.{wanted.domain}:{wanted.api_port}",
        "SERVER_BROKER_ENDPOINT": f"mqtt://127.0.0.1:{layout.BROKER_PORT}",
        "SERVER_HOST": wanted.address,
        "SERVER_HTTP_HOST": wanted.api,
        "SERVER_NAME": wanted.domain,
        "STUN": "false",
        "TELEMETRY": "off",
        "VERBOSITY": "1",
    }
    return f"# {NOTICE}\n" + "".join(environment_line(name, values[name]) for name in sorted(values))


def broker_config(wanted: Wanted) -> str:
    return _BROKER.format(
        notice=NOTICE,
        data=layout.BROKER_DATA,
        inner=layout.BROKER_PORT,
        outer=wanted.broker_port,
        credentials=f"/run/credentials/{layout.BROKER}",
    )


def acl(wanted: Wanted, topics: tuple[str, ...]) -> str:
    lines = "\n".join(f"topic {topic.format(name=wanted.domain)}" for topic in topics)
    return _ACL.format(notice=NOTICE, user=layout.BROKER_USER, topics=lines)


def caddyfile(wanted: Wanted, *, public: bool = True) -> str:
    """The front's configuration; without ``public`` it serves nothing to the outside."""
    text = _CADDYFILE.format(notice=NOTICE, address=wanted.address, address_port=layout.ADDRESS_PORT)
    if not public:
        return text
    site = f"api.{wanted.domain}:{wanted.api_port}"
    return text + _PUBLIC.format(api=site, credentials=f"/run/credentials/{layout.FRONT}", port=layout.API_PORT)


def table() -> str:
    """The packet filter in the very form in which ``nft --stateless list table`` prints it."""
    ports = sorted((layout.API_PORT, layout.BROKER_PORT, layout.ADDRESS_PORT))
    return _TABLE.format(table=layout.TABLE, ports=", ".join(map(str, ports)))


def configuration(wanted: Wanted, passwords: str) -> list[FileSpec]:
    """All files but units, scripts and the front's, which opens last. ``passwords`` is the broker's password file."""
    return [
        FileSpec(layout.ENVIRONMENT, environment(wanted), 0o600, secret=True),
        FileSpec(layout.PASSWORDS, passwords, 0o600, secret=True),
        FileSpec(layout.BROKER_CONFIG, broker_config(wanted)),
        FileSpec(layout.SERVER_ACL, acl(wanted, _SERVER_TOPICS)),
        FileSpec(layout.CLIENT_ACL, acl(wanted, _CLIENT_TOPICS)),
        FileSpec(layout.RULESET, _RULESET.format(notice=NOTICE, table=layout.TABLE, body=table())),
        FileSpec(layout.SYSUSERS, f'# {NOTICE}\nu {layout.USER} - "Netmaker server" {layout.DATA}\n'),
    ]
