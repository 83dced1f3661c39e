# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that end at once."""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import subprocess
import sys

from .api import Refused, ask, log_in
from .files import DIRECTORY, LAST_PULL, MODE, VERSION, current_server, identity, load, save

UNIT = "netclient.service"


def register(words: argparse.Namespace) -> int:
    """0 also when the server cannot be reached, 2 when it refuses, 1 for flags that do not fit."""
    host = identity()
    print("setting host fields")
    if (words.static_port and not words.port) or (words.static_endpoint and not words.endpoint_ip):
        print("error: -j needs -p, -i needs -e")
        return 1
    host.update(isstaticport=words.static_port, isstatic=words.static_endpoint or bool(words.endpoint_ip))
    for field, value in (("listenport", words.port), ("endpointip", words.endpoint_ip), ("name", words.name)):
        host[field] = value or host[field]
    host["mtu"] = words.mtu or host["mtu"]
    save("netclient.json", host)
    if not words.token:
        return 0
    try:
        server = str(json.loads(base64.b64decode(words.token, validate=True)).get("server", ""))
    except (ValueError, AttributeError):
        print("Fatal: the enrollment token cannot be read", file=sys.stderr)
        return 2
    secret = ("privatekey", "traffickeyprivate")
    body = {field: value for field, value in host.items() if field not in secret}
    try:
        answer = ask("POST", f"{server}/api/v1/host/register/{words.token}", body)
    except Refused as error:
        print(f"Fatal: error registering with server {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"registration failed {error}")
        return 0
    config = answer["server_config"]
    known = load("servers.json")
    known[config["Server"]] = {**config, "name": config["Server"], "mqid": host["id"], "nodes": {}, "accesskey": ""}
    save("servers.json", known)
    (DIRECTORY / ".serverctx").write_text(config["Server"])
    (DIRECTORY / ".serverctx").chmod(MODE)
    restart_daemon()
    print(f"registered with server {config['Server']}")
    return 0


def leave(words: argparse.Namespace) -> int:
    """0 whatever comes of it; the network is forgotten here even if the server could not be told."""
    host, server, nodes = identity(), current_server(), load("nodes.json")
    if words.network not in nodes:
        print(f"not connected to network: {words.network}")
        return 0
    try:
        node = nodes[words.network]["id"]
        ask("DELETE", f"{server['API']}/api/nodes/{words.network}/{node}", token=log_in(server, host))
    except (OSError, Refused, KeyError) as error:
        print(f"error deleting nodes from server {error}")
    forget(words.network)
    restart_daemon()
    print(f"successfully left network  {words.network}")
    return 0


def forget(network: str) -> None:
    nodes, last = load("nodes.json"), load(LAST_PULL)
    nodes.pop(network, None)
    save("nodes.json", nodes)
    if last:
        last["nodes"] = [node for node in last["nodes"] if node["network"] != network]
        last["egress_network_routes"] = [
            route for route in last["egress_network_routes"] if route["network"] != network
        ]
        last["peers"] = last["peers"] if last["nodes"] else []
        save(LAST_PULL, last)


def restart_daemon() -> None:
    """As the real client does through its unit. Without systemd the daemon sees the changed files by itself."""
    with contextlib.suppress(OSError):
        subprocess.run(["systemctl", "restart", UNIT], capture_output=True, timeout=60, check=False)


def version(_words: argparse.Namespace) -> int:
    identity()
    print(VERSION)
    print("stand-in for tests", file=sys.stderr)
    return 0
