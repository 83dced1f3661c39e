# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""netclient's files in /etc/netclient, all with its odd mode 0700."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import secrets
import shutil
import socket
import uuid
from pathlib import Path
from typing import Any

from .tools import run

VERSION = "v1.4.0"
"""The version whose behaviour this program copies."""

DIRECTORY = Path("/etc/netclient")
LAST_PULL = "stand-in-last-pull.json"
DEVICE = "netmaker"
MODE = 0o700
DEFAULT_PORT = 51821
DEFAULT_MTU = 1420
Document = dict[str, Any]


def load(name: str) -> Document:
    try:
        return dict(json.loads((DIRECTORY / name).read_text()))
    except (OSError, ValueError):
        return {}


def save(name: str, content: Document) -> None:
    """Atomically, the file of before being kept as *.bak."""
    path = DIRECTORY / name
    if path.exists():
        shutil.copy2(path, DIRECTORY / f"{name}.bak")
    fresh = DIRECTORY / f".{name}.{os.getpid()}"
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, MODE), "w") as file:
        file.write(json.dumps(content, indent=4) + "\n")
    fresh.replace(path)


def identity() -> Document:
    """Who this host is. Any first call makes it up, and of two at once one wins."""
    DIRECTORY.mkdir(exist_ok=True)
    with (DIRECTORY / ".stand-in-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        host = load("netclient.json")
        if not host:
            host = _new_identity()
            save("netclient.json", host)
    return host


def _new_identity() -> Document:
    private = run("wg", "genkey").strip()
    return {
        "id": str(uuid.uuid4()),
        "verbosity": 0,
        "firewallinuse": "nftables",
        "version": VERSION,
        "ipforwarding": True,
        "daemoninstalled": True,
        "autoupdate": False,
        "hostpass": secrets.token_hex(16),
        "name": socket.gethostname(),
        "os": "linux",
        "os_family": "debian",
        "os_version": "",
        "kernel_version": os.uname().release,
        "interface": DEVICE,
        "debug": False,
        "listenport": DEFAULT_PORT,
        "wg_public_listen_port": 0,
        "mtu": DEFAULT_MTU,
        "publickey": list(base64.b64decode(run("wg", "pubkey", data=private).strip())),
        "macaddress": base64.b64encode(b"\x02" + secrets.token_bytes(5)).decode(),
        "traffickeypublic": list(secrets.token_bytes(32)),
        "nodes": None,
        "interfaces": None,
        "defaultinterface": "",
        "endpointip": "",
        "endpointipv6": "",
        "isdocker": False,
        "isk8s": False,
        "isstaticport": False,
        "isstatic": False,
        "isdefault": False,
        "dns_status": "",
        "persistentkeepalive": 0,
        "location": "",
        "country_code": "",
        "enable_flow_logs": False,
        "privatekey": list(base64.b64decode(private)),
        "traffickeyprivate": None,
        "inittype": 0,
        "dns_manager_type": "",
        "name_servers": None,
        "dns_search": "",
        "dns_options": "",
    }


def current_server() -> Document:
    """The server that this host is registered with; empty when with none."""
    with contextlib.suppress(OSError):
        return dict(load("servers.json").get((DIRECTORY / ".serverctx").read_text().strip(), {}))
    return {}
