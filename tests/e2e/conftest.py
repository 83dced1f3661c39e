# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proofs run on the lab that is up (`lab/run up`, then the `site.yml` that it names).

Those marked `mesh` run only on a lab with that mesh (`lab/run up --mesh wireguard` or `netmaker`).
Each proof's docstring says what it proves; what it saw (counters, captures) stands beside it in the table at the end.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab import probe, remote
from lab.base import LabError
from lab.current import current
from lab.host import Host
from lab.mesh import NETMAKER
from lab.probe import Place
from lab.topology import Lab

PROOF_TIMEOUT = 600.0
MESH_TIMEOUT = 60.0
ORDER = (
    "test_hosts",
    "test_reach",
    "test_netmaker",
    "test_blocked",
    "test_kill_switch",
    "test_installed",
    "test_runs",
    "test_netmaker_runs",
    "test_kernel",
    "test_recovery",
)
HOME = "(src net 192.168.77.0/24 and dst net 192.168.77.0/24)"
TUNNELS = f"(udp and (((port 51821 or port 51822) and (host 192.0.2.10 or {HOME})) or (port 2408 and host 192.0.2.30)))"
REFUSED_PORTS = " or ".join(f"icmp[{at}:2] = {port}" for at in (28, 30) for port in (51821, 51822, 2408))
REFUSALS = f"(icmp[0] = 3 and icmp[17] = 17 and ({REFUSED_PORTS}))"
"""What hosts and the router answer to a tunnel's packets while its end is down: that its port, or its host, is away."""
CONTROL = "((tcp and host 192.0.2.10 and (port 4443 or port 8883)) or (icmp[0] = 3 and icmp[17] = 6))"
"""What hosts send to the droplet for themselves where Netmaker joins them: its API and its broker; and refusals."""
SERVER_DATA = tuple(f"file /var/lib/{name}/" for name in ("netmaker", "netmaker-broker", "netmaker-front"))
ALWAYS_WRITTEN = (*SERVER_DATA, "file /etc/netclient/")


@dataclass(frozen=True, slots=True)
class World:
    """The lab and the places in it that connections start from, by the names of the documents."""

    lab: Lab
    vps: Host
    home: Host
    client: Place
    gateway: Place
    xray_client: Place
    mcp: Place
    api: Place
    xray_server: Place

    @property
    def hosts(self) -> tuple[Host, ...]:
        return tuple(self.lab.hosts.values())

    @property
    def node3(self) -> Host:
        """Only on the lab with Netmaker."""
        return self.lab.hosts["node3"]

    @property
    def files(self) -> Place:
        """The container of node3."""
        return probe.container(self.node3, "files")

    @property
    def inventory(self) -> str:
        return self.lab.mesh.inventory

    @property
    def unexpected(self) -> str:
        """A capture's filter for all on the WAN but the tunnels, and Netmaker's own connections where it runs."""
        expected = f"{TUNNELS} or {REFUSALS}" + (f" or {CONTROL}" if self.lab.mesh is NETMAKER else "")
        return f"not ({expected}) and not arp"

    def state(self, host: Host) -> dict[str, Any]:
        """What a run could change on a host, without what Netmaker's programs write down all the time."""
        return probe.state(host, ignore=ALWAYS_WRITTEN)

    def through_warp(self) -> dict[str, str]:
        """The whole way: client, droplet, 202, mesh, 102, WARP, internet. Returns what the internet server answered."""
        return probe.get(self.client, "192.0.2.10", 443, proxy="203.0.113.7:80")

    def wait_for_mesh(self) -> None:
        """Call the droplet from home until it answers, then see the whole way work.

        A droplet whose tunnel was restarted does not know where to call a host behind NAT. That host notices 15 seconds
        after it sent something that nobody answered; keepalives do not count, without data it takes two minutes.
        """
        probe.until("the mesh", lambda: probe.get(self.xray_client, "10.1.0.200", 9573), timeout=MESH_TIMEOUT)
        probe.until("the whole way to work", self.through_warp, timeout=MESH_TIMEOUT)


@pytest.fixture(scope="session")
def world() -> World:
    lab = current()
    if not lab.is_up:
        pytest.exit("no lab is up: `lab/run up`, then the site.yml that it names", 2)
    vps, home = lab.hosts["vps-gateway"], lab.hosts["oo1424oo"]
    world = World(
        lab=lab,
        vps=vps,
        home=home,
        client=probe.namespace(lab.client),
        gateway=probe.container(home, "gateway"),
        xray_client=probe.container(home, "xray-client"),
        mcp=probe.container(vps, "mcp-server"),
        api=probe.container(vps, "op-dbus-api"),
        xray_server=probe.container(vps, "xray-server"),
    )
    with contextlib.suppress(LabError):  # the proofs will tell
        world.wait_for_mesh()
    return world


@pytest.fixture
def seen(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Tell what the proof saw, for the table."""
    return lambda text: record_property("seen", text)


@pytest.fixture
def site(world: World) -> Callable[..., remote.PlaybookRun]:
    """Run site.yml on the lab; fails the test when the run fails."""

    def run(*options: str, inventory: str = "", book: str = "site.yml", **extra: object) -> remote.PlaybookRun:
        place = inventory or world.inventory
        done = remote.playbook(book, inventory=place, options=options, extra=extra, timeout=PROOF_TIMEOUT)
        assert done.returncode == 0, done.output[-4000:]
        return done

    return run


@pytest.fixture
def plays(tmp_path: Path) -> Callable[[object], str]:
    """Write plays, given as the data that their YAML would hold, and return the path."""

    def write(data: object) -> str:
        book = tmp_path / "plays.yml"
        book.write_text(json.dumps(data))
        return str(book)

    return write


@pytest.fixture
def watch(tmp_path: Path) -> Callable[..., probe.Capture]:
    """A capture on a device of a host or namespace of the lab."""
    count = iter(range(1000))
    return lambda space, device, expression: probe.capture(space, device, expression, tmp_path / f"{next(count)}.txt")


@pytest.fixture(scope="session", autouse=True)
def _hosts_stay(world: World) -> Iterator[None]:
    """No proof may leave a host down for the next one."""
    yield
    for host in world.hosts:
        if not host.is_running:
            host.boot()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "drift: changes hosts of the lab and runs site.yml again")
    config.addinivalue_line("markers", "machines: is about hosts with kernels of their own and runs on no others")
    config.addinivalue_line("markers", "mesh(name): is about a lab with this mesh and runs on no other")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """First what works, then what must not, at last what disturbs the hosts; nothing that is about another lab.

    Virtual machines are spared the proofs that need many runs of site.yml: they are as true in containers.
    """
    lab = current()
    wrong = "drift" if lab.has_kernels else "machines"
    foreign = [
        item
        for item in items
        if item.get_closest_marker(wrong) or any(mark.args != (lab.mesh.name,) for mark in item.iter_markers("mesh"))
    ]
    config.hook.pytest_deselected(items=foreign)
    items[:] = sorted((item for item in items if item not in foreign), key=lambda item: ORDER.index(item.path.stem))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows: list[tuple[float, str, str, str]] = []
    for outcome, word in (("passed", "proven"), ("failed", "FAILED"), ("error", "ERROR")):
        for report in terminalreporter.getreports(outcome):
            if outcome != "passed" or report.when == "call":
                about = dict(getattr(report, "user_properties", ()))
                proof, saw = str(about.get("proof", report.nodeid)), str(about.get("seen", ""))
                rows.append((getattr(report, "start", 0.0), word, proof, saw))
    if not rows:
        return
    terminalreporter.section("proofs")
    for _start, word, proof, saw in sorted(rows):
        terminalreporter.write_line(f"{word:7} {proof}")
        for line in saw.splitlines():
            terminalreporter.write_line(f"          {line}")
    passed = sum(word == "proven" for _start, word, _proof, _saw in rows)
    terminalreporter.write_line(f"{passed} of {len(rows)} proofs hold{current().remark}")


@pytest.fixture(autouse=True)
def _proof(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> None:
    text = request.function.__doc__ or request.node.name
    parameters = getattr(request.node, "callspec", None)
    record_property("proof", " ".join(text.split()) + (f" [{parameters.id}]" if parameters else ""))
