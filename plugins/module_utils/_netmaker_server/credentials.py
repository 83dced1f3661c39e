# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Secrets in the forms that mosquitto and systemd read, so that none of them has to pass through an argument list."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os

from .._errors import RefusedError

ITERATIONS = 101
"""mosquitto's own default."""
_ESCAPED = str.maketrans({"\\": "\\\\", '"': '\\"', "`": "\\`", "$": "\\$"})


def password_line(user: str, password: str, salt: bytes | None = None) -> str:
    """A line of mosquitto's password file: PBKDF2 with SHA-512, as ``mosquitto_passwd`` makes it."""
    salt = salt or os.urandom(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
    return f"{user}:$7${ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}\n"


def password_file(found: str | None, user: str, password: str) -> str:
    """``found`` when it is the file of this one account, else a new one: its salt makes every new file another one."""
    parts = (found or "").rstrip("\n").split("$")
    if len(parts) == 5:
        try:
            salt = base64.b64decode(parts[3], validate=True)
        except ValueError:
            salt = b""
        if salt and found and hmac.compare_digest(found.encode(), password_line(user, password, salt).encode()):
            return found
    return password_line(user, password)


def environment_line(name: str, value: str) -> str:
    """A line of a file for systemd's ``EnvironmentFile``."""
    if any(ord(character) < 32 for character in value):
        raise RefusedError(f"The value for {name} has a line break or another control character.", fix="leave it out.")
    return f'{name}="{value.translate(_ESCAPED)}"\n'
