# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands to a running Open vSwitch daemon over its control socket, without a process for each."""

from __future__ import annotations

import json
import socket
from pathlib import Path


class Unixctl:
    """One connection to the daemon ``name`` that keeps its files in ``directory``. Speaks JSON-RPC."""

    def __init__(self, directory: Path, name: str = "ovs-vswitchd") -> None:
        pid = (directory / f"{name}.pid").read_text(encoding="ascii").strip()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(20)
        self._socket.connect(str(directory / f"{name}.{pid}.ctl"))
        self._decoder = json.JSONDecoder()
        self._rest = ""

    def __call__(self, method: str, *params: str) -> str:
        """The daemon's answer to ``method``; raises RuntimeError with its words when it refuses."""
        self._socket.sendall(json.dumps({"method": method, "params": params, "id": 0}).encode())
        while True:
            try:
                reply, end = self._decoder.raw_decode(self._rest)
            except json.JSONDecodeError:
                received = self._socket.recv(1 << 16)
                if not received:
                    raise RuntimeError(f"{method}: the daemon closed the connection") from None
                self._rest += received.decode()
            else:
                self._rest = self._rest[end:].lstrip()
                break
        if reply["error"] is not None:
            raise RuntimeError(f"{method} {' '.join(params)}: {reply['error']}")
        result: str = reply["result"]
        return result

    def close(self) -> None:
        self._socket.close()
