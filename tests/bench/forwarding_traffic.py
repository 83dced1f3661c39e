# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A TCP server and what can be measured with it. Runs on the host: standard library only."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import statistics
import struct
import time

Address = tuple[str, int]

SIZE, MESSAGE = 1 << 20, b"m" * 64
BULK, ECHO, ONCE = b"b", b"e", b"o"
MOST_CONNECTIONS = 5000
"""In one measurement: each stays in the connection table for minutes."""
PATIENCE = 10
"""Seconds until a connection is given up."""
_PATIENCE = struct.pack("ll", PATIENCE, 0)


class BrokenError(Exception):
    """The server got or gave something else than it should."""


def serve(listener: socket.socket) -> None:
    """Answer one connection after the other, until killed."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    buffer = bytearray(SIZE)
    while True:
        sock, _peer = listener.accept()
        with sock, contextlib.suppress(ConnectionError):
            _answer(sock, buffer)


def _answer(sock: socket.socket, buffer: bytearray) -> None:
    """Do as the first byte says: count all that comes, send all of it back, or send the byte back and close."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    command = sock.recv(1)
    if command == BULK:
        total, begin = 0, time.perf_counter_ns()
        # MSG_TRUNC throws away instead of copying: the way is measured here, not its ends.
        while got := sock.recv_into(buffer, SIZE, socket.MSG_TRUNC):
            total += got
        sock.sendall(struct.pack("!QQ", total, time.perf_counter_ns() - begin))
    elif command == ECHO:
        while message := sock.recv(len(MESSAGE)):
            sock.sendall(message)
    elif command == ONCE:
        sock.sendall(command)


def _connect(server: Address) -> socket.socket:
    """A connection whose every step raises BlockingIOError when nothing passes for too long."""
    sock = socket.socket()
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _PATIENCE)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect(server)
    except BaseException:
        sock.close()
        raise
    return sock


def bulk(server: Address, seconds: float) -> tuple[int, float]:
    """Bytes that arrived, and how many Mbit/s that were by the server's clock."""
    with _connect(server) as sock, open(os.memfd_create("bulk"), "r+b") as source:
        source.truncate(SIZE)
        sock.sendall(BULK)
        sent, end = 0, time.perf_counter() + seconds
        while time.perf_counter() < end:
            sent += os.sendfile(sock.fileno(), source.fileno(), 0, SIZE)
        sock.shutdown(socket.SHUT_WR)
        got, taken = struct.unpack("!QQ", sock.recv(16, socket.MSG_WAITALL))
    if got != sent:
        raise BrokenError(f"{sent} bytes were sent and {got} arrived")
    return got, got * 8000 / taken


def once(server: Address) -> float:
    """Microseconds until a connection stands; then a byte goes to and fro, and the server closes."""
    begin = time.perf_counter_ns()
    with _connect(server) as sock:
        taken = time.perf_counter_ns() - begin
        sock.sendall(ONCE)
        # The server's end closes first and keeps the port number that is then in TIME_WAIT: clients run out of them.
        if sock.recv(1) != ONCE or sock.recv(1):
            raise BrokenError("the server broke off a connection")
    return taken / 1000


def connections(server: Address, seconds: float) -> tuple[int, float, float]:
    """How many were made one after the other, that many a second, and the median of microseconds to connect."""
    taken: list[float] = []
    begin = time.perf_counter()
    while (spent := time.perf_counter() - begin) < seconds and len(taken) < MOST_CONNECTIONS:
        taken.append(once(server))
    return len(taken), len(taken) / spent, statistics.median(taken)


def echoes(server: Address, seconds: float) -> tuple[float, float]:
    """Microseconds there and back on one connection: the median, and what 99 of 100 stay below."""
    taken: list[int] = []
    with _connect(server) as sock:
        sock.sendall(ECHO)
        end = time.perf_counter_ns() + int(seconds * 1e9)
        while (begin := time.perf_counter_ns()) < end:
            sock.sendall(MESSAGE)
            if len(sock.recv(len(MESSAGE), socket.MSG_WAITALL)) != len(MESSAGE):
                raise BrokenError("the server broke off a connection")
            taken.append(time.perf_counter_ns() - begin)
    taken.sort()
    return taken[len(taken) // 2] / 1000, taken[len(taken) * 99 // 100] / 1000
