# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What netclient's own files tell. They hold secrets: only what is named here is ever taken out of them."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from .._errors import SocketNetworkError
from .layout import DIRECTORY


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The host as netclient knows it. ``addresses`` are its overlay addresses by network."""

    host_id: str | None = None
    name: str | None = None
    public_key: str | None = None
    listen_port: int | None = None
    addresses: dict[str, str] = field(default_factory=dict)


def read_state(directory: str = DIRECTORY) -> State:
    """Without files there is no identity, and netclient is not asked: its first call would make one."""
    host = _read(Path(directory, "netclient.json"))
    nodes = _read(Path(directory, "nodes.json"))
    return State(
        host_id=host.get("id"),
        name=host.get("name"),
        public_key=_key(host.get("publickey")),
        listen_port=host.get("listenport"),
        addresses={name: _address(node) for name, node in sorted(nodes.items())},
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8") or "{}")
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise SocketNetworkError(
            f"{path} is not JSON.", fix=f"stop netclient, restore {path} from {path}.bak or delete it, and run again."
        ) from error
    return content if isinstance(content, dict) else {}


def _key(value: object) -> str | None:
    """netclient writes its public key as a list of 32 numbers, the API tells it in base64."""
    if isinstance(value, list):
        return base64.b64encode(bytes(value)).decode()
    return value if isinstance(value, str) else None


def _address(node: dict[str, Any]) -> str:
    """``{"IP": "10.100.0.2", "Mask": …}``; "" for a node that has no IPv4 address."""
    found = (node.get("address") or {}).get("IP", "")
    try:
        return str(IPv4Address(found))
    except ValueError:
        return ""
