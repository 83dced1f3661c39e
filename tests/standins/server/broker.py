# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does the broker take our login? One MQTT 3.1.1 CONNECT, without a library."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from urllib.parse import urlsplit

from .settings import Settings

PLAIN = {"mqtt": 1883, "tcp": 1883}
SECURE = {"mqtts": 8883, "ssl": 8883, "tls": 8883}
TIMEOUT = 2.0
CLIENT = "netmaker-stand-in"
CLEAN_WITH_LOGIN = 0xC2
KEEPALIVE = 60
ACCEPTED = b"\x20\x02\x00\x00"


def accepts(settings: Settings) -> bool:
    """Connects, logs in and leaves again. False for whatever goes wrong. Web sockets are not spoken."""
    target = urlsplit(settings.server_broker)
    if target.scheme not in PLAIN | SECURE or not target.hostname:
        return False
    with contextlib.suppress(OSError, ValueError):
        address = (target.hostname, target.port or (PLAIN | SECURE)[target.scheme])
        with socket.create_connection(address, TIMEOUT) as plain:
            if target.scheme in PLAIN:
                return _log_in(plain, settings)
            context = ssl.create_default_context()
            with context.wrap_socket(plain, server_hostname=target.hostname) as secure:
                return _log_in(secure, settings)
    return False


def _log_in(connection: socket.socket, settings: Settings) -> bool:
    words = (CLIENT, settings.broker_username, settings.broker_password)
    head = _word("MQTT") + struct.pack("!BBH", 4, CLEAN_WITH_LOGIN, KEEPALIVE)
    content = head + b"".join(_word(word) for word in words)
    connection.sendall(b"\x10" + _length(len(content)) + content)
    answer = connection.recv(4)
    connection.sendall(b"\xe0\x00")
    return answer == ACCEPTED


def _word(text: str) -> bytes:
    data = text.encode()
    return struct.pack("!H", len(data)) + data


def _length(number: int) -> bytes:
    """Seven bits a byte, low ones first."""
    data = b""
    while True:
        number, rest = divmod(number, 128)
        data += bytes([rest | (0x80 if number else 0)])
        if not number:
            return data
