# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the proofs look with: connections from anywhere in the lab, flow counters, captures, a host's whole state."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab import base
from lab.base import LabError, wait_for
from lab.netns import Namespace
from lab.node import Node

STATE_SCRIPT = Path(__file__).with_name("host_state.py")

Place = Callable[..., list[str]]
"""Turns a command line into one that runs at some place of the lab: a container, a host, a namespace."""

_CONNECT = """
import errno, socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), float(sys.argv[3])).close()
    print("open")
except TimeoutError:
    print("no answer")
except OSError as error:
    print(errno.errorcode.get(error.errno, str(error)))
"""

_OPEN = """
import socket, sys, time
def connect(host, port, proxy, limit):
    link = socket.create_connection((host, port), limit)
    link.settimeout(limit)
    stream = link.makefile("rb")
    if proxy:
        link.sendall(f"CONNECT {proxy} HTTP/1.1\\r\\nHost: {proxy}\\r\\n\\r\\n".encode())
        head = stream.readline().decode()
        while stream.readline().strip():
            pass
        if " 200 " not in head:
            sys.exit("proxy: " + head.strip() + " " + stream.read(300).decode())
    return link, stream
"""
"""Beginning of the programs that go through a proxy where one is named."""

_GET = (
    _OPEN
    + """
host, port, path, proxy, limit = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4], float(sys.argv[5])
link, stream = connect(host, port, proxy, limit)
link.sendall(f"GET {path} HTTP/1.0\\r\\nHost: lab\\r\\n\\r\\n".encode())
answer = stream.read().decode()
print(answer.partition("\\r\\n\\r\\n")[2])
"""
)

_TRANSFER = (
    _OPEN
    + """
host, port, proxy, receive, send, limit = sys.argv[1], int(sys.argv[2]), sys.argv[3], *map(int, sys.argv[4:7])
begin = time.monotonic()
link, stream = connect(host, port, proxy, limit)
if send:
    link.sendall(f"POST / HTTP/1.0\\r\\nContent-Length: {send}\\r\\n\\r\\n".encode() + bytes(send))
else:
    link.sendall(f"GET /bytes/{receive} HTTP/1.0\\r\\n\\r\\n".encode())
head, _end, body = stream.read().partition(b"\\r\\n\\r\\n")
if b" 200 " not in head or len(body) < receive:
    sys.exit(f"{len(body)} bytes after {head!r}")
print(time.monotonic() - begin)
"""
)

_SEND = """
import socket, sys
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
link.bind((sys.argv[1], 0))
for frame in sys.argv[2:]:
    link.send(bytes.fromhex(frame))
"""


def container(host: Node, name: str) -> Place:
    return lambda *argv: host.enter("lxc-attach", "--name", name, "--clear-env", "--", *argv)


def inside(host: Node) -> Place:
    return host.enter


def namespace(space: Namespace) -> Place:
    return space.enter


def execute(place: Place, *argv: str, check: bool = True, timeout: float = 30.0) -> subprocess.CompletedProcess[str]:
    return base.run(place(*argv), check=check, timeout=timeout)


def connect(place: Place, address: str, port: int, *, limit: float = 2.0) -> str:
    """Try a TCP connection. Returns "open", "no answer", or the errno's name such as "EHOSTUNREACH"."""
    return execute(place, "python3", "-c", _CONNECT, address, str(port), str(limit)).stdout.strip()


def get(
    place: Place, address: str, port: int, path: str = "/", *, proxy: str = "", limit: float = 8.0
) -> dict[str, Any]:
    """GET from a server of the lab; with ``proxy`` = "host:port", after a CONNECT. Raises LabError on failure."""
    done = execute(place, "python3", "-c", _GET, address, str(port), path, proxy, str(limit))
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def transfer(
    place: Place, address: str, port: int, *, receive: int = 0, send: int = 0, proxy: str = "", limit: int = 60
) -> float:
    """Move bytes from or to the internet server. Returns the seconds that took. Raises LabError on failure."""
    words = (address, str(port), proxy, str(receive), str(send), str(limit))
    done = execute(place, "python3", "-c", _TRANSFER, *words, timeout=2.0 * limit)
    return float(done.stdout)


def send_frames(place: Place, device: str, *frames: bytes) -> None:
    """Put Ethernet frames on a device as they are."""
    execute(place, "python3", "-c", _SEND, device, *(frame.hex() for frame in frames))


# -------------------------------------------------------------------- flow counters


@dataclass(frozen=True, slots=True)
class Flow:
    cookie: str
    table: int
    priority: int
    match: str
    actions: str
    packets: int

    @property
    def key(self) -> tuple[int, int, str]:
        return self.table, self.priority, self.match


def flows(host: Node, bridge: str = "mesh") -> list[Flow]:
    dump = host.run(["ovs-ofctl", "-O", "OpenFlow15", "--names", "dump-flows", bridge]).stdout
    return [flow for line in dump.splitlines() if (flow := parse_flow(line))]


def parse_flow(line: str) -> Flow | None:
    head, separator, actions = line.strip().partition(" actions=")
    if not separator:
        return None
    values = dict(re.findall(r"(cookie|table|n_packets|priority)=([0-9a-fx]+)", head))
    match = head.split(" ")[-1]
    match = ",".join(part for part in match.split(",") if not part.startswith("priority="))
    return Flow(
        cookie=values.get("cookie", "0x0"),
        table=int(values.get("table", 0)),
        priority=int(values.get("priority", 32768)),
        match=match,
        actions=actions,
        packets=int(values["n_packets"]),
    )


@dataclass(slots=True)
class Counted:
    """Packets per flow between two looks at a bridge."""

    flows: list[tuple[Flow, int]] = field(default_factory=list)

    def of(self, wanted: Callable[[Flow], bool]) -> int:
        return sum(packets for flow, packets in self.flows if wanted(flow))

    def dropped(self, *tables: int) -> int:
        """Packets that drop rules took, in ``tables`` or anywhere."""
        return self.of(lambda flow: flow.actions == "drop" and (not tables or flow.table in tables))

    def describe(self) -> str:
        hits = [f"table={f.table},priority={f.priority},{f.match} actions={f.actions}: {n}" for f, n in self.flows if n]
        return "\n".join(hits)


@contextmanager
def counting(host: Node, bridge: str = "mesh") -> Iterator[Counted]:
    """Count what the flows of a bridge see during the block; the datapath reports with a delay, so wait for quiet."""
    before = {flow.key: flow.packets for flow in _settled(host, bridge)}
    result = Counted()
    yield result
    result.flows = [(flow, flow.packets - before.get(flow.key, 0)) for flow in _settled(host, bridge)]


def _settled(host: Node, bridge: str) -> list[Flow]:
    """The flows, after the datapath handed its counters over."""
    for _round in range(2):  # the first one may have begun before the last packet
        host.run(["ovs-appctl", "revalidator/wait"])
    return flows(host, bridge)


def firewall_drops(host: Node) -> dict[str, int]:
    """Packets by counter of the host's own packet filter (nft table `inet op_dbus`)."""
    listing = json.loads(host.run(["nft", "--json", "list", "counters", "table", "inet", "op_dbus"]).stdout)
    found = [item["counter"] for item in listing["nftables"] if "counter" in item]
    return {counter["name"]: counter["packets"] for counter in found}


# -------------------------------------------------------------------- captures


class Capture:
    """tcpdump on a device of the lab for the time of a block. ``lines`` has what was seen, also while it runs."""

    def __init__(self, command: list[str], log: Path) -> None:
        self._command = command
        self._log = log

    def __enter__(self) -> Capture:
        self._output = self._log.open("wb")
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            wait_for("tcpdump to listen", self._listens, timeout=10.0)
        except LabError as error:
            self._end()
            raise LabError(f"{error}: {self._log.read_text()}") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        ended = self._process.poll()
        self._end()
        if kind is None:
            self._check(ended)

    def _check(self, ended: int | None) -> None:
        """A capture that did not see everything proves nothing."""
        said = self._log.read_text()
        if ended is not None:
            raise LabError(f"tcpdump ended early, with {ended}: {said[-500:]}")
        if lost := re.search(r"^([1-9]\d*) packets? dropped by kernel", said, re.MULTILINE):
            raise LabError(f"tcpdump has not seen everything: {lost[0]}")

    def _end(self) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
        self._output.close()

    def _listens(self) -> bool:
        if self._process.poll() is not None:
            raise LabError("tcpdump ended at once")
        return "listening on" in self._log.read_text()

    @property
    def lines(self) -> list[str]:
        return [line for line in self._log.read_text().splitlines() if re.match(r"\d\d:\d\d:\d\d", line)]

    def wait_for(self, pattern: str, timeout: float = 5.0) -> str:
        """The first line that matches, as soon as it is there."""
        wait_for(
            f"a packet like {pattern!r}", lambda: any(re.search(pattern, line) for line in self.lines), timeout=timeout
        )
        return next(line for line in self.lines if re.search(pattern, line))

    def matching(self, pattern: str) -> list[str]:
        return [line for line in self.lines if re.search(pattern, line)]


def capture(space: Namespace | Node, device: str, expression: str, log: Path) -> Capture:
    """Watch ``device`` of a namespace or a host, filtered by a pcap expression."""
    tcpdump = ["tcpdump", "-i", device, "-nn", "-e", "-l", "--immediate-mode", *expression.split()]
    return Capture(space.watch(*tcpdump), log)


# -------------------------------------------------------------------- state


def state(host: Node, *, ignore: tuple[str, ...] = ()) -> dict[str, Any]:
    """All that a run could change on a host: files with digests, OVS, flows, links, routes, nft, units, containers."""
    found: dict[str, Any] = json.loads(host.run(["python3", "-"], data=STATE_SCRIPT.read_text(), timeout=120).stdout)
    return {key: value for key, value in found.items() if not key.startswith(ignore)} if ignore else found


def difference(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    keys = sorted(before.keys() | after.keys())
    return [f"{key}: {before.get(key)} -> {after.get(key)}" for key in keys if before.get(key) != after.get(key)]


def until(what: str, condition: Callable[[], object], *, timeout: float = 30.0, interval: float = 0.2) -> float:
    """Wait for a condition that may raise LabError until it holds. Returns the seconds that took."""
    begin = time.monotonic()

    def holds() -> object:
        try:
            return condition()
        except LabError:
            return False

    wait_for(what, holds, timeout=timeout, interval=interval)
    return time.monotonic() - begin
