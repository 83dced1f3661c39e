# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small real servers of the lab's containers. What a container serves follows from its host name."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket

XRAY_CLIENT = ("10.0.0.102", 443)
ROLES: dict[str, dict[int, str]] = {
    "gateway": {80: "http", 9999: "http"},
    "mcp-server": {9573: "http", 9999: "http"},
    "op-dbus-api": {9574: "http", 9999: "http"},
    "xray-server": {443: "relay", 9999: "http"},
    "xray-client": {443: "connect", 9999: "http"},
    "files": {8080: "http", 9999: "http"},
}
"""Port 9999 is served everywhere and exposed nowhere: what answers there went past the flow table."""

NAME = socket.gethostname().partition(".")[0]


async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer any request with this container's name and the address it was asked from."""
    _method, path, *_rest = [*(await reader.readline()).decode("latin-1").split(), "", ""]
    while (await reader.readline()).strip():
        pass
    body = json.dumps({"name": NAME, "peer": writer.get_extra_info("peername")[0], "path": path})
    writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())
    await writer.drain()


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.write_eof()


async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int, hello: bytes) -> None:
    far_reader, far_writer = await asyncio.wait_for(asyncio.open_connection(host, port), 10)
    try:
        writer.write(hello)
        await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))
    finally:
        far_writer.close()


async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The ingress half of the privacy tunnel: all bytes go to xray-client over the mesh."""
    await join(reader, writer, *XRAY_CLIENT, b"")


async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The exit half: an HTTP CONNECT proxy; its own connections leave by this container's egress."""
    method, target, *_rest = [*(await reader.readline()).decode("latin-1").split(), "", ""]
    while (await reader.readline()).strip():
        pass
    host, _colon, port = target.rpartition(":")
    if method != "CONNECT" or not port.isdigit():
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        return
    try:
        await join(reader, writer, host, int(port), b"HTTP/1.1 200 Connection established\r\n\r\n")
    except OSError as error:
        writer.write(f"HTTP/1.1 502 Bad Gateway\r\n\r\n{error!r}\n".encode())


HANDLERS = {"http": http, "relay": relay, "connect": connect}


async def serve(port: int, kind: str) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await HANDLERS[kind](reader, writer)
        with contextlib.suppress(OSError):
            writer.close()

    server = await asyncio.start_server(handle, "0.0.0.0", port)
    await server.serve_forever()


async def main() -> None:
    await asyncio.gather(*(serve(port, kind) for port, kind in ROLES.get(NAME, {9999: "http"}).items()))


if __name__ == "__main__":
    asyncio.run(main())
