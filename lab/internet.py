# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's "internet" server: tells each client the address that it saw, and moves any amount of data.

usage: internet.py ADDRESS PORT. ``GET /bytes/N`` answers with N bytes; ``POST`` takes what it is sent.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        size = self.path.removeprefix("/bytes/")
        if size.isdigit():
            self._answer("application/octet-stream", bytes(int(size)))
        else:
            self._tell()

    def do_POST(self) -> None:
        left = int(self.headers["Content-Length"])
        while left > 0 and (part := self.rfile.read(min(left, 65536))):
            left -= len(part)
        self._tell()

    def _tell(self) -> None:
        body = json.dumps({"name": "internet", "peer": self.client_address[0], "path": self.path}).encode()
        self._answer("application/json", body)

    def _answer(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Answer).serve_forever()
