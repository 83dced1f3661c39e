# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A port of this machine's loopback that leads into a network namespace."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import socket
import threading
from pathlib import Path

from lab.base import LabError

CLONE_NEWNET = 0x40000000
CHUNK = 65536


class Forwarder:
    """Connections to 127.0.0.1:``port`` end at 127.0.0.1:``target`` in the namespace at ``path``."""

    def __init__(self, path: Path, target: int) -> None:
        self._path = path
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Forwarder:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._loop.call_soon_threadsafe(self._stop)
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        """Sockets belong to the namespace that their thread was in when it made them; the listener stays outside."""
        with self._path.open() as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET):
                raise LabError(f"entering {self._path}: {os.strerror(ctypes.get_errno())}")
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._listen())
        self._loop.close()

    async def _listen(self) -> None:
        self._task = asyncio.current_task()
        async with asyncio.TaskGroup() as self._connections:
            server = await asyncio.start_server(self._accept, sock=self._listener)
            await server.serve_forever()

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.create_task(self._serve(reader, writer))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
        for end in (writer, inner_writer):
            end.close()


async def _copy(source: asyncio.StreamReader, destination: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(CHUNK):
            destination.write(data)
            await destination.drain()
    with contextlib.suppress(OSError):
        destination.write_eof()
