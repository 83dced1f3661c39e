# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbered UDP packets, one a millisecond, and what of them arrives. Runs inside a container: standard library only.

``probe.py send ADDRESS PORT SECONDS`` prints how many it sent. ``probe.py receive PORT`` says when it is ready, reads
that number from its standard input when the sender is done, and prints sent, lost and the longest row of lost ones as
JSON.
"""

from __future__ import annotations

import json
import selectors
import socket
import struct
import sys
import time

INTERVAL = 0.001


def send(address: str, port: int, seconds: float) -> int:
    """Packets sent. One that the kernel refuses, as while a link is down, counts as sent and will be missing."""
    number, begin = 0, time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        while time.monotonic() - begin < seconds:
            time.sleep(max(0.0, begin + number * INTERVAL - time.monotonic()))
            try:
                sock.sendto(struct.pack("!I", number), (address, port))
            except OSError as error:
                print(error, file=sys.stderr)
            number += 1
    return number


def receive(port: int) -> dict[str, int]:
    """What arrived, compared with what was sent."""
    arrived: set[int] = set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, selectors.DefaultSelector() as ready:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        sock.bind(("0.0.0.0", port))
        ready.register(sock, selectors.EVENT_READ)
        ready.register(sys.stdin, selectors.EVENT_READ)
        print("ready", flush=True)
        while True:
            keys = [key.fileobj for key, _events in ready.select()]
            if sock in keys:
                arrived.add(struct.unpack("!I", sock.recv(4))[0])
            elif sys.stdin in keys:
                break
    sent = int(sys.stdin.read())
    longest = row = 0
    for number in range(sent):
        row = 0 if number in arrived else row + 1
        longest = max(longest, row)
    return {"sent": sent, "lost": sent - len(arrived), "longest": longest}


if __name__ == "__main__":
    if sys.argv[1] == "send":
        print(send(sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
    else:
        print(json.dumps(receive(int(sys.argv[2]))))
