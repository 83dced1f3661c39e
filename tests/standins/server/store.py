# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the server keeps what it knows: JSON documents in ./data/netmaker.db (SQLite, write-ahead log)."""

from __future__ import annotations

import json
import secrets
import sqlite3
from pathlib import Path
from typing import Any

Document = dict[str, Any]

KINDS = ("networks", "keys", "hosts", "nodes", "egress", "users", "tokens", "acls", "server")
SECRET = "stand-in-token-secret"


class Store:
    """Documents of each of KINDS by id. Lists come in the order of the first put."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, exist_ok=True)
        self._database = sqlite3.connect(directory / "netmaker.db", isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        for kind in KINDS:
            self._database.execute(f"CREATE TABLE IF NOT EXISTS {kind} (id TEXT PRIMARY KEY, document TEXT NOT NULL)")
        self._database.execute("CREATE TABLE IF NOT EXISTS this_is_a_stand_in (note TEXT)")

    def get(self, kind: str, key: str) -> Document | None:
        row = self._database.execute(f"SELECT document FROM {kind} WHERE id = ?", (key,)).fetchone()
        return None if row is None else json.loads(row[0])

    def all(self, kind: str) -> list[Document]:
        return [json.loads(row[0]) for row in self._database.execute(f"SELECT document FROM {kind} ORDER BY rowid")]

    def put(self, kind: str, key: str, document: Document) -> Document:
        statement = f"INSERT INTO {kind} VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET document = excluded.document"
        self._database.execute(statement, (key, json.dumps(document)))
        return document

    def delete(self, kind: str, key: str) -> None:
        self._database.execute(f"DELETE FROM {kind} WHERE id = ?", (key,))

    def seed(self, key: str, document: Document) -> Document:
        """The server's own document of that name, made on the first start."""
        return self.get("server", key) or self.put("server", key, document)

    def token_secret(self) -> bytes:
        """Signs the tokens. Who loses the database loses all tokens with it."""
        return bytes.fromhex(self.seed(SECRET, {"hex": secrets.token_hex(32)})["hex"])

    def close(self) -> None:
        self._database.close()
