# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What the inventory says of a server, checked before anything is asked of the host."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .._core.model import Fleet
from .._errors import Fault
from . import layout
from .found import DOMAIN

_SECRETS = {
    "netmaker_master_key": "the output of `openssl rand -hex 32`, vaulted",
    "netmaker_admin_password": "a password, vaulted",
    "netmaker_broker_password": "the output of `openssl rand -hex 16`, vaulted",
}
_SHORTEST = 8
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")
_TAKEN = {22: "ssh", layout.API_PORT: "the API on this host", layout.BROKER_PORT: "the broker on this host"}
_TAKEN[layout.ADDRESS_PORT] = "the front on this host"

Variables = Mapping[str, Any]


def published_ports(fleet: Fleet, host: str) -> dict[int, str]:
    """TCP ports that ``host`` publishes for its containers, each with the inventory line that does so."""
    return {
        service.public_port: f"{service.name} of container {container.name} ({service.origin})"
        for container in fleet.nodes[host].containers
        for service in container.services
        if service.public_port is not None and service.protocol == "tcp"
    }


def server_faults(host: str, variables: Variables, published: Mapping[int, str], servers: Sequence[str]) -> list[str]:
    """One text a fault. ``variables`` are those of the role, ``servers`` all hosts in mode ``server``."""
    found = [
        *_names(host, variables),
        *_secrets(host, variables),
        *_program(host, variables),
        *_tls(host, variables),
        *_ports(host, variables, published),
    ]
    others = sorted(set(servers) - {host})
    if others:
        problem = f"{', '.join(others)} is in mode server, too; a fleet has one server."
        found.append(Fault(host, "netmaker_mode", "server", problem, "take netmaker_mode from all hosts but one."))
    return [str(fault) for fault in sorted(found)]


def _names(host: str, variables: Variables) -> Iterator[Fault]:
    domain, address = str(variables["netmaker_domain"]), str(variables["netmaker_public_address"])
    if not DOMAIN.fullmatch(domain):
        fix = "write a domain whose names api.DOMAIN and broker.DOMAIN lead to the server, such as nm.example.org."
        yield Fault(host, "netmaker_domain", domain or "(none)", "is no domain name in lower case.", fix)
    try:
        ipaddress.IPv4Address(address)
    except ValueError:
        fix = "write the server's public IPv4 address."
        yield Fault(host, "netmaker_public_address", address or "(none)", "is no IPv4 address.", fix)


def _secrets(host: str, variables: Variables) -> Iterator[Fault]:
    for name, fix in _SECRETS.items():
        value = variables[name]
        if not value:
            yield Fault(host, name, "(none)", "is missing.", f"set it to {fix}.")
        elif len(str(value)) < _SHORTEST:
            yield Fault(host, name, "(secret)", f"is shorter than {_SHORTEST} characters.", f"set it to {fix}.")


def _program(host: str, variables: Variables) -> Iterator[Fault]:
    given = variables["netmaker_server_program"] or {}
    shown = ", ".join(sorted(given)) or "(none)"
    fix = "give file (a path on the control node), or url and sha256."
    if bool(given.get("file")) == bool(given.get("url")):
        yield Fault(host, "netmaker_server_program", shown, "needs one of file and url.", fix)
    elif given.get("url") and not _DIGEST.fullmatch(str(given.get("sha256") or "")):
        yield Fault(host, "netmaker_server_program", shown, "has no sha256 of 64 hexadecimal digits.", fix)


def _tls(host: str, variables: Variables) -> Iterator[Fault]:
    names = ("netmaker_tls_certificate_file", "netmaker_tls_key_file")
    files = variables["netmaker_tls"] == "files"
    for name in names:
        if files and not variables[name]:
            yield Fault(host, name, "(none)", "is missing with netmaker_tls = files.", "name a file on the server.")
    for name in (*names, "netmaker_ca_file"):
        if not files and variables[name]:
            fix = "set netmaker_tls to files, or leave it out."
            yield Fault(host, name, str(variables[name]), "has no meaning with netmaker_tls = own_ca.", fix)


def _ports(host: str, variables: Variables, published: Mapping[int, str]) -> Iterator[Fault]:
    names = ("netmaker_api_port", "netmaker_broker_port")
    for name in names:
        port = int(variables[name])
        if not 0 < port < 65536:
            yield Fault(host, name, str(port), "is no port.", "use one of 1 to 65535.")
        elif port in _TAKEN:
            yield Fault(host, name, str(port), f"is the port of {_TAKEN[port]}.", "use another port.")
        elif port in published:
            fix = f"use another {name}, such as {_free(published)}, or another public_port for the container."
            yield Fault(host, name, str(port), f"is published on this host for {published[port]}.", fix)
    if variables[names[0]] == variables[names[1]]:
        yield Fault(host, names[0], str(variables[names[0]]), f"is {names[1]}, too.", "use two ports.")


def _free(published: Mapping[int, str]) -> int:
    ports: Iterator[int] = (port for port in (8443, 9443, *range(20000, 30000)) if port not in published)
    return next(ports)
