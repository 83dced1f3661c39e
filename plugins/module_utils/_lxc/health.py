# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Whether the services of a running container work, asked from inside its own network: no flow rule is in the way."""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .._errors import SocketNetworkError
from .._runner import Runner
from .spec import ContainerSpec, ServiceSpec

CLONE_NEWNET = 0x40000000
TRY = 3.0
"""Seconds that one attempt may take."""

PAUSE = 0.25


@dataclass(frozen=True, slots=True)
class Verdict:
    """Outcome for one service: ``detail`` says why not, or what was seen."""

    service: str
    kind: str
    healthy: bool
    detail: str

    def as_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "healthy": self.healthy, "detail": self.detail}


class UnhealthyError(SocketNetworkError):
    """Services that did not work before the deadline. What the module changed stays."""

    def __init__(self, name: str, verdicts: Sequence[Verdict], timeout: float, attach: Sequence[str]) -> None:
        self.verdicts = tuple(verdicts)
        bad = "; ".join(f"{item.service} ({item.kind}): {item.detail}" for item in verdicts if not item.healthy)
        super().__init__(
            f"Container {name}: not healthy within {timeout:g} s: {bad}.",
            fix=f"look at `{' '.join(attach)} journalctl -b`, or mend the service's health check.",
        )

    def result(self) -> dict[str, object]:
        return {"health": as_dict(self.verdicts)}


def as_dict(verdicts: Sequence[Verdict]) -> dict[str, object]:
    return {verdict.service: verdict.as_dict() for verdict in verdicts}


def probe(
    spec: ContainerSpec, pid: int, attach: Sequence[str], runner: Runner, timeout: float = 0.0
) -> tuple[Verdict, ...]:
    """Try every check until it succeeds or ``timeout`` seconds are over; with 0 there is one attempt.

    ``attach`` is the argv in front of a command that shall run in the container.
    """
    deadline = time.monotonic() + timeout
    pending = [service for service in spec.services if service.health is not None]
    done: dict[str, Verdict] = {}
    while pending:
        for service in pending:
            done[service.name] = _attempt(spec, service, pid, attach, runner)
        pending = [service for service in pending if not done[service.name].healthy]
        if time.monotonic() >= deadline:
            break
        if pending:
            time.sleep(PAUSE)
    return tuple(done[service.name] for service in spec.services if service.name in done)


def _attempt(spec: ContainerSpec, service: ServiceSpec, pid: int, attach: Sequence[str], runner: Runner) -> Verdict:
    kind = service.health.kind if service.health else ""
    argument = service.health.argument if service.health else ""
    address = (str(spec.address.ip), service.port)
    try:
        if kind == "command":
            detail = _command(spec.name, attach, argument, runner)
        elif kind == "http":
            detail = in_network_of(pid, lambda: _http(address, argument))
        else:
            detail = in_network_of(pid, lambda: _tcp(address))
    except (OSError, http.client.HTTPException, SocketNetworkError) as error:
        return Verdict(service.name, kind, False, str(error) or type(error).__name__)
    return Verdict(service.name, kind, True, detail)


def _tcp(address: tuple[str, int]) -> str:
    with socket.create_connection(address, timeout=TRY):
        return "connected"


def _http(address: tuple[str, int], path: str) -> str:
    connection = http.client.HTTPConnection(*address, timeout=TRY)
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"Connection": "close"})
        status = connection.getresponse().status
    if status >= 400:
        raise SocketNetworkError(f"GET {path} answered {status}")
    return f"status {status}"


def _command(name: str, attach: Sequence[str], code: str, runner: Runner) -> str:
    argv = ["timeout", "10", *attach, "/bin/sh", "-c", code]
    result = runner.run(argv, ok=range(256), what=f"Checking container {name}")
    if result.rc != 0:
        raise SocketNetworkError(f"ended with {result.rc}: {(result.stderr or result.stdout).strip()[:200]}")
    return "ended with 0"


def in_network_of(pid: int, ask: Callable[[], str]) -> str:
    """Run ``ask`` in the network namespace of process ``pid``: a thread of its own enters it, and ends there."""
    outcome: list[str] = []
    failure: list[BaseException] = []

    def visit() -> None:
        try:
            _enter(pid)
            outcome.append(ask())
        except BaseException as error:  # handed on to the caller's thread
            failure.append(error)

    thread = threading.Thread(target=visit)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


def _enter(pid: int) -> None:
    descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "cannot enter the container's network namespace")
    finally:
        os.close(descriptor)
