# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark of traffic: what it orders, what it measures on loopback, what it refuses and what it says."""

from __future__ import annotations

import json
import multiprocessing
import socket
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.bench import bench_forwarding, forwarding_host, forwarding_traffic
from tests.bench.bench_forwarding import CONNTRACK, NORMAL, PIPELINE, Result

KINDS = {"throughput", "connections", "setup", "first", "latency", "latency99"}
RESET = struct.pack("ii", 1, 0)
# What ovs-ofctl 3.1 prints.
DUMP = """\
OFPST_FLOW reply (OF1.5) (xid=0x2):
 cookie=0x6f6f00288771b165, duration=3s, table=40, n_packets=12, n_bytes=888, priority=200,tcp actions=drop
 cookie=0x1, duration=12.3s, table=0, n_packets=0, n_bytes=0, reset_counts priority=0 actions=NORMAL
"""


# ---------------------------------------------------------------- the order


def order() -> dict[str, Any]:
    return json.loads(json.dumps(bench_forwarding.order(1.0, 2)))  # type: ignore[no-any-return]


def flow_of(path: dict[str, Any], kind: str) -> str:
    (line,) = (line for line in path["flows"] if line.startswith(f"cookie={path[kind]:#x},"))
    return str(line)


def test_the_pipeline_is_witnessed_by_its_policy_and_by_the_rule_that_delivers() -> None:
    pipeline = order()["paths"][PIPELINE]
    assert "table=40,priority=200,tcp" in flow_of(pipeline, "opens")
    assert f"tp_dst={bench_forwarding.PORT}," in flow_of(pipeline, "opens")
    assert flow_of(pipeline, "carries").endswith(f"output:{pipeline['ports']['answers']}")
    assert any(f"zone={pipeline['zone']}," in line for line in pipeline["flows"])


def test_plain_conntrack_is_witnessed_by_what_commits_and_by_what_is_established() -> None:
    plain = order()["paths"][CONNTRACK]
    assert f"ct(commit,zone={plain['zone']})" in flow_of(plain, "opens")
    assert "+est" in flow_of(plain, "carries")
    assert plain["zone"] != order()["paths"][PIPELINE]["zone"]


def test_a_normal_bridge_has_one_rule() -> None:
    assert order()["paths"][NORMAL]["flows"] == ["cookie=0x1,actions=NORMAL"]


def test_devices_are_called_as_the_compiler_was_told_and_fit_the_kernel() -> None:
    told = {container["veth"] for container in bench_forwarding.INVENTORY["lxc_service_containers"]}
    ways = [forwarding_host.Way(name, spec, order()) for name, spec in order()["paths"].items()]
    assert set(ways[0].namespaces.values()) == told
    assert max(len(name) for way in ways for name in way.namespaces.values()) <= 15


# ---------------------------------------------------------------- traffic


@pytest.fixture
def server() -> Iterator[tuple[str, int]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = multiprocessing.get_context("fork").Process(target=forwarding_traffic.serve, args=(listener,))
        process.start()
        yield listener.getsockname()
        process.terminate()
        process.join()


def test_every_kind_of_traffic_gives_numbers(server: tuple[str, int]) -> None:
    sent, rate = forwarding_traffic.bulk(server, 0.05)
    made, pace, setup = forwarding_traffic.connections(server, 0.05)
    median, most = forwarding_traffic.echoes(server, 0.05)
    assert sent >= forwarding_traffic.SIZE
    assert rate > 1
    assert 0 < pace <= made / 0.05
    assert 0 < setup <= 1e6 / pace * made
    assert 0 < median <= most


def test_the_number_of_connections_is_bounded(server: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding_traffic, "MOST_CONNECTIONS", 3)
    assert forwarding_traffic.connections(server, 5.0)[0] == 3


def test_a_client_that_goes_away_does_not_end_the_server(server: tuple[str, int]) -> None:
    for command in (b"", forwarding_traffic.ECHO):
        with socket.create_connection(server) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            sock.sendall(command)
    assert forwarding_traffic.once(server) > 0


# ---------------------------------------------------------------- what the host does


def test_counters_are_read_by_cookie() -> None:
    assert forwarding_host.counters(DUMP) == {0x6F6F00288771B165: (12, 888), 1: (0, 0)}


def way_with(monkeypatch: pytest.MonkeyPatch, made: int, sent: int) -> forwarding_host.Way:
    monkeypatch.setattr(forwarding_host, "COUNTED_WITHIN", -1.0)
    monkeypatch.setattr(forwarding_host, "ofctl", lambda *_words: DUMP)
    spec = {"opens": 0x6F6F00288771B165, "carries": 0x6F6F00288771B165}
    way = forwarding_host.Way(PIPELINE, spec, order())
    way.made, way.sent = made, sent
    return way


def test_traffic_that_the_flows_have_counted_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert way_with(monkeypatch, 12, 800).counted()["opened"] == 12


@pytest.mark.parametrize(("made", "sent"), [(13, 800), (12, 889)])
def test_traffic_past_the_flows_is_refused(monkeypatch: pytest.MonkeyPatch, made: int, sent: int) -> None:
    with pytest.raises(forwarding_host.RefusedError, match="went another way"):
        way_with(monkeypatch, made, sent).counted()


class Idle(forwarding_host.Way):
    """Measures nothing, and says what it was asked."""

    asked: list[tuple[str, str]]

    def sample(self, work: str, seconds: float) -> dict[str, float]:
        self.asked.append((work, self.name))
        return {work: seconds}


def test_paths_take_turns_within_a_kind_and_none_is_always_first() -> None:
    asked: list[tuple[str, str]] = []
    ways: list[forwarding_host.Way] = [Idle(name, spec, order()) for name, spec in order()["paths"].items()]
    Idle.asked = asked
    samples = forwarding_host.rounds(ways, "netdev", 2, 1.0)
    bulk = [name for work, name in asked if work == "bulk"]
    assert bulk == [PIPELINE, NORMAL, CONNTRACK, NORMAL, CONNTRACK, PIPELINE]
    assert [work for work, _name in asked[3:9]] == ["bulk"] * 3 + ["connections"] * 3
    assert samples[NORMAL]["bulk"] == [1.0, 1.0]


# ---------------------------------------------------------------- the result


def result(machine: str = "none") -> Result:
    same = {kind: [1.0, 1.0, 1.0] for kind in KINDS}
    return Result(
        datapath="system",
        kernel="6.1.0",
        switch="3.1.0",
        cores=2,
        machine=machine,
        samples={
            PIPELINE: {**same, "throughput": [90.0, 10.0, 80.0]},
            NORMAL: {**same, "throughput": [100.0, 100.0, 100.0]},
            CONNTRACK: {**same, "throughput": [1800.0, 20.0, 40.0]},
        },
        counted={PIPELINE: {"connections": 7, "opened": 8, "bytes": 1 << 20, "carried": 2 << 20}},
        rules={PIPELINE: 47, NORMAL: 1, CONNTRACK: 4},
        seconds=1.0,
        taken=30.0,
    )


def test_a_ratio_is_the_median_of_those_of_the_rounds() -> None:
    assert result().ratios("throughput", CONNTRACK) == [0.05, 0.5, 2.0]
    assert result().ratio("throughput", CONNTRACK) == 0.5
    assert result().ratio("throughput", NORMAL) == 0.8


def test_the_words_name_datapath_ratios_and_witnesses() -> None:
    said = result().describe()
    assert "| system datapath | pipeline, rules: 47 | NORMAL, rules: 1 |" in said
    assert "| 80 | 100 | 40 | **0.80** (0.10 to 0.90) | **0.50** (0.05 to 2.00) |" in said
    assert "8 packets open 7 connections" in said
    assert "Linux 6.1.0, Open vSwitch 3.1.0, 2 cores, not emulated." in said
    assert said.count("\n| ") == 1 + len(KINDS)


def test_the_brackets_hold_the_middle_half_of_the_rounds() -> None:
    one = result()
    many = {path: {kind: [float(n) for n in range(1, 9)] for kind in KINDS} for path in one.samples}
    many[NORMAL] = {kind: [1.0] * 8 for kind in KINDS}
    assert "**4.50** (3.00 to 6.00)" in replace(one, samples=many).describe()


@pytest.mark.parametrize(("machine", "emulated"), [("qemu", True), ("kvm", False), ("none", False)])
def test_an_emulated_machine_is_told_apart(machine: str, emulated: bool) -> None:
    assert ("absolute numbers mean nothing" in result(machine).describe()) == emulated


class Recorder:
    """A host whose every command but the measurement works."""

    def __init__(self, answer: dict[str, Any] | None) -> None:
        self.answer, self.files, self.commands = answer, list[str](), list[list[str]]()

    def put(self, content: str | bytes | Path, destination: str, mode: int = 0o644) -> None:
        assert isinstance(content, Path)
        assert content.is_file()
        assert mode == 0o644
        self.files.append(destination)

    def run(
        self, argv: list[str], *, data: str | None = None, check: bool = True, timeout: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        self.commands.append(argv)
        if data is not None:
            assert check
            assert timeout > json.loads(data)["limit"]
            if self.answer is None:
                raise OSError("it broke")
        return subprocess.CompletedProcess(argv, 0, json.dumps(self.answer), "")


def test_measure_takes_the_programs_there_and_away() -> None:
    fields = ("datapath", "kernel", "switch", "cores", "machine", "samples", "counted")
    host = Recorder({name: getattr(result(), name) for name in fields})
    measured = bench_forwarding.measure(host, seconds=1.0, rounds=3)
    assert measured.rules[NORMAL] == 1
    assert measured.ratio("throughput", NORMAL) == 0.8
    assert [Path(name).name for name in host.files] == ["forwarding_traffic.py", "forwarding_host.py"]
    assert host.commands[-1] == ["rm", "-rf", bench_forwarding.DIRECTORY]


def test_measure_takes_the_programs_away_also_after_a_failure() -> None:
    host = Recorder(None)
    with pytest.raises(OSError, match="it broke"):
        bench_forwarding.measure(host)
    assert host.commands[-1] == ["rm", "-rf", bench_forwarding.DIRECTORY]
