# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds bridges side by side, drives TCP through each in turn, takes all away again. Runs on the host.

Standard library only. Reads `bench_forwarding.order` as JSON from standard input: what to measure how long, both ends
and the flows of every path. Writes JSON: what the host is, the samples of each round, and what was sent and counted. A
path is a bridge ``bf-PATH`` between the namespaces ``bf-PATH-a`` (asks) and ``bf-PATH-b`` (answers). One process goes
from namespace to namespace and forks the servers: on an emulated machine every start of Python would cost a second.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import multiprocessing
import os
import platform
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench import forwarding_traffic as traffic

TABLE = "bf-bench"
ENDING = (signal.SIGALRM, signal.SIGTERM, signal.SIGHUP)
CLONE_NEWNET = 0x40000000
RUNTIME = Path("/run/openvswitch")
WORKS = {
    "netdev": ("bulk", "connections", "echoes", "first_packets"),
    "system": ("bulk", "connections", "echoes"),
}
"""What is measured of a datapath. Open vSwitch 3.1 aborts now and then (`Invalid ukey transition`) when its decisions
are thrown away while the kernel has packets for it."""
FIRST_PACKETS = 5
"""Connections in one measurement of a switch that has yet to decide."""
COUNTED_WITHIN = 20.0
"""Seconds: the switch collects the counters of its cache every now and then."""


class RefusedError(Exception):
    """The measurement cannot be made, or would be of something else than it says."""


def tool(*argv: str, data: str | None = None, check: bool = True) -> str:
    """What a command prints."""
    done = subprocess.run(argv, input=data, capture_output=True, text=True, timeout=60, check=False)
    if check and done.returncode:
        raise RefusedError(f"{' '.join(argv)} failed: {done.stderr.strip()}")
    return done.stdout


def ofctl(command: str, *arguments: str, data: str | None = None) -> str:
    return tool("ovs-ofctl", "-O", "OpenFlow15", "--bundle", command, *arguments, data=data)


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Sockets opened meanwhile belong to ``namespace``, also later."""
    with open("/proc/self/ns/net", "rb") as home, open(f"/run/netns/{namespace}", "rb") as there:
        _enter(there.fileno())
        try:
            yield
        finally:
            _enter(home.fileno())


def _enter(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def datapath_type() -> str:
    """`system` where the kernel has or can load its datapath, else `netdev`: the collection decides likewise."""
    if Path("/sys/module/openvswitch").exists():
        return "system"
    with contextlib.suppress(FileNotFoundError):
        if not subprocess.run(["modprobe", "openvswitch"], capture_output=True, check=False).returncode:
            return "system"
    return "netdev"


def forget_decisions() -> None:
    """Empty the switch's cache, as `ovs-appctl revalidator/purge` does, but without starting a process."""
    pid = (RUNTIME / "ovs-vswitchd.pid").read_text(encoding="ascii").strip()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(str(RUNTIME / f"ovs-vswitchd.{pid}.ctl"))
        sock.sendall(json.dumps({"method": "revalidator/purge", "params": [], "id": 0}).encode())
        answer = json.loads(sock.recv(1 << 16))
    if answer["error"] is not None:
        raise RefusedError(f"revalidator/purge: {answer['error']}")


def counters(dump: str) -> dict[int, tuple[int, int]]:
    """Packets and bytes that each flow of ovs-ofctl's dump has counted, by cookie."""
    found = re.findall(r"cookie=(0x[0-9a-f]+),.*? n_packets=(\d+), n_bytes=(\d+)", dump)
    return {int(cookie, 16): (int(packets), int(size)) for cookie, packets, size in found}


class Way:
    """A bridge with a client and a server. ``spec``: flows, OpenFlow ports of the ends, cookies that must count."""

    def __init__(self, name: str, spec: dict[str, Any], order: dict[str, Any]) -> None:
        self.name, self.spec = name, spec
        self.ends = order["ends"]
        self.bridge = f"bf-{name}"
        self.namespaces = {"asks": f"{self.bridge}-a", "answers": f"{self.bridge}-b"}
        self.server = self.ends["answers"]["address"].partition("/")[0], order["port"]
        self.made = self.sent = 0
        self._process: Any = None

    def build(self, datapath: str) -> None:
        for end, device in self.namespaces.items():
            facts = self.ends[end]
            tool("ip", "netns", "add", device)
            tool("ip", "link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", device)
            tool("ip", "link", "set", device, "addrgenmode", "none", "up")
            up = (
                f"link set eth0 address {facts['mac']} addrgenmode none\n"
                f"link set eth0 up\naddress add {facts['address']} dev eth0\n"
            )
            tool("ip", "-n", device, "-batch", "-", data=up)
            if datapath == "netdev":  # which passes on checksums that nobody has filled in
                tool("ip", "netns", "exec", device, "ethtool", "-K", "eth0", "tx", "off")
        words = ["add-br", self.bridge, "--", "set", "Bridge", self.bridge, f"datapath_type={datapath}"]
        words += ["fail_mode=secure", "protocols=OpenFlow15"]
        for end, device in self.namespaces.items():
            words += ["--", "add-port", self.bridge, device]
            words += ["--", "set", "Interface", device, f"ofport_request={self.spec['ports'][end]}"]
        tool("ovs-vsctl", "--timeout=30", *words)
        ofctl("replace-flows", self.bridge, "-", data="".join(f"{flow}\n" for flow in self.spec["flows"]))

    def serve(self) -> None:
        with inside(self.namespaces["answers"]):
            listener = socket.create_server(("0.0.0.0", self.server[1]), backlog=128)
        with listener:
            fork = multiprocessing.get_context("fork")
            self._process = fork.Process(target=traffic.serve, args=(listener,), daemon=True)
            self._process.start()

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.join()

    def sample(self, work: str, seconds: float) -> dict[str, float]:
        """Measure once. Raises RefusedError when nothing comes through."""
        try:
            with inside(self.namespaces["asks"]):
                return getattr(self, work)(seconds)  # type: ignore[no-any-return]
        except BlockingIOError as error:
            raise RefusedError(f"{self.bridge} carries no TCP: nothing passed for {traffic.PATIENCE} s") from error
        except (OSError, traffic.BrokenError) as error:
            raise RefusedError(f"{self.bridge} does not carry TCP as it should: {error}") from error

    def bulk(self, seconds: float) -> dict[str, float]:
        sent, rate = traffic.bulk(self.server, seconds)
        self.made += 1
        self.sent += sent
        return {"throughput": rate}

    def connections(self, seconds: float) -> dict[str, float]:
        made, rate, setup = traffic.connections(self.server, seconds)
        self.made += made
        return {"connections": rate, "setup": setup}

    def echoes(self, seconds: float) -> dict[str, float]:
        median, most = traffic.echoes(self.server, seconds)
        self.made += 1
        return {"latency": median, "latency99": most}

    def first_packets(self, _seconds: float) -> dict[str, float]:
        taken = []
        for _time in range(FIRST_PACKETS):
            forget_decisions()
            taken.append(traffic.once(self.server))
        self.made += len(taken)
        return {"first": statistics.median(taken)}

    def counted(self) -> dict[str, int]:
        """What went through, and what the flows say of it. Raises RefusedError when they have not seen all of that."""
        deadline = time.monotonic() + COUNTED_WITHIN
        while True:
            found = counters(ofctl("dump-flows", self.bridge))
            opened, carried = found[self.spec["opens"]][0], found[self.spec["carries"]][1]
            if opened >= self.made and carried >= self.sent:
                return {"connections": self.made, "opened": opened, "bytes": self.sent, "carried": carried}
            if time.monotonic() > deadline:
                told = f"{opened} of {self.made} connections and {carried} of {self.sent} bytes"
                raise RefusedError(f"{self.bridge}: its flows counted {told}: the rest went another way")
            time.sleep(0.5)


def guard(ways: list[Way]) -> None:
    """Keep the kernel's own stack from frames that the userspace switch gets as well: they would go past the flows."""
    devices = ", ".join(f'"{device}"' for way in ways for device in way.namespaces.values())
    hook = f"type filter hook ingress devices = {{ {devices} }} priority 0; policy drop;"
    tool("nft", "-f", "-", data=f"table netdev {TABLE} {{\nchain ingress {{\n{hook}\n}}\n}}\n")


def clear(ways: list[Way]) -> None:
    """Remove everything that this program makes, also what one before was kept from removing."""
    tool("nft", "delete", "table", "netdev", TABLE, check=False)
    words: list[str] = []
    for way in ways:
        words += ["--", "--if-exists", "del-br", way.bridge]
        for device in way.namespaces.values():
            if Path("/sys/class/net", device).exists():
                tool("ip", "link", "delete", device, check=False)
            if Path("/run/netns", device).exists():
                tool("ip", "netns", "delete", device, check=False)
    tool("ovs-vsctl", "--timeout=30", *words[1:])


def forget_connections(ways: list[Way]) -> None:
    """Of the zones that were used; the kernel cannot do so without a module that a host may lack."""
    for way in ways:
        if way.spec["zone"] is not None:
            tool("ovs-appctl", "dpctl/flush-conntrack", f"zone={way.spec['zone']}", check=False)


def rounds(ways: list[Way], datapath: str, number: int, seconds: float) -> dict[str, dict[str, list[float]]]:
    """Samples by path and kind. Paths take turns within each kind, so that what disturbs the host disturbs all."""
    samples: dict[str, dict[str, list[float]]] = {way.name: {} for way in ways}
    for way in ways:
        way.sample("echoes", min(seconds, 0.2))  # learns addresses; says at once where nothing passes
    for turn in range(number):
        first = turn % len(ways)
        for work in WORKS[datapath]:
            for way in ways[first:] + ways[:first]:
                for kind, value in way.sample(work, seconds).items():
                    samples[way.name].setdefault(kind, []).append(value)
    return samples


def _interrupted(number: int, _frame: object) -> None:
    for other in ENDING:
        signal.signal(other, signal.SIG_IGN)  # let it clean up
    raise RefusedError(f"ended by {signal.Signals(number).name}")


def measure(order: dict[str, Any]) -> dict[str, Any]:
    ways = [Way(name, spec, order) for name, spec in order["paths"].items()]
    clear(ways)
    try:
        datapath = datapath_type()
        for way in ways:
            way.build(datapath)
        if datapath == "netdev":
            guard(ways)
        for way in ways:
            way.serve()
        gc.disable()
        samples = rounds(ways, datapath, order["rounds"], order["seconds"])
        counted = {way.name: way.counted() for way in ways}
    finally:
        for way in ways:
            way.stop()
        forget_connections(ways)
        clear(ways)
    return {
        "datapath": datapath,
        "kernel": platform.release(),
        "switch": tool("ovs-vsctl", "--version").split()[3],
        "cores": os.cpu_count(),
        "machine": tool("systemd-detect-virt", "--vm", check=False).strip(),
        "samples": samples,
        "counted": counted,
    }


def main() -> None:
    order = json.load(sys.stdin)
    for number in ENDING:
        signal.signal(number, _interrupted)
    signal.alarm(order["limit"])
    try:
        print(json.dumps(measure(order)))
    except RefusedError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
