# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server on the loopback that answers as told, a clock that nobody waits for, and what the real server recorded."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from ansible.module_utils.urls import Request
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker.client import Client, Clock
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker.options import connection_of

RECORDED = Path(__file__).parent / "recorded"
MASTER_KEY = "very/secret+master key"
STATUS = {"version": "v1.5.1", "broker_connected": True, "db_connected": True, "is_pro": False}
DROP = "drop"


@dataclass
class Script:
    """Answers in order; the last one stays. ``seen`` has (method, path, headers, body) of each request."""

    answers: list[tuple[int, Any] | str]
    seen: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)
    url: str = ""

    @property
    def methods(self) -> list[str]:
        return [method for method, _path, _headers, _body in self.seen]


@contextmanager
def serving(*answers: tuple[int, Any] | str) -> Iterator[Script]:
    """A server with these answers: (status, JSON or text), or DROP to end the connection without one."""
    script = Script(list(answers))

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            script.seen.append((self.command, self.path, dict(self.headers), json.loads(body) if body else None))
            answer = script.answers.pop(0) if len(script.answers) > 1 else script.answers[0]
            if isinstance(answer, str):
                self.close_connection = True
                return
            status, content = answer
            data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(data)))
            if 300 <= status < 400:
                self.send_header("Location", f"{script.url}/elsewhere")
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_DELETE = _answer

        def log_message(self, *_arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    script.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class FakeTime:
    """Passes only when somebody waits."""

    def __init__(self) -> None:
        self.time = 0.0
        self.pauses: list[float] = []

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.time += seconds

    @property
    def clock(self) -> Clock:
        return Clock(now=lambda: self.time, pause=self.pause)


def connection(**options: Any) -> dict[str, Any]:
    """Parameters of a connection, completed."""
    return {
        "api_url": "http://127.0.0.1:1",
        "master_key": MASTER_KEY,
        "api_token": None,
        "tenant_id": None,
        "validate_certs": True,
        "ca_path": None,
        "timeout": 5,
        **options,
    }


def client(url: str, time: FakeTime | None = None, **options: Any) -> Client:
    return Client(Request, connection_of(connection(api_url=url, **options)), (time or FakeTime()).clock)


def envelope(status: int, message: str, response: Any = None) -> tuple[int, dict[str, Any]]:
    return status, {"Code": status, "Message": message, "Response": response}


def recorded(name: str, call: str) -> Any:
    """The last successful answer of the real server to ``call``."""
    calls = json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))["calls"]
    body = [item["body"] for item in calls if item["call"] == call and item["status"] == 200][-1]
    return body["Response"] if isinstance(body, dict) and "Response" in body else body
