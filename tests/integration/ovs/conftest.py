# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A private Open vSwitch for each test, and the real modules run against it."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from ansible.module_utils import basic

from tests.integration.ovs.private_ovs import PrivateOvs, private_ovs

ROOT = Path(__file__).resolve().parents[3]
MODULES = "ansible_collections.op_dbus.socket_network.plugins.modules"
Module = Callable[..., dict[str, Any]]


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory with a path short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="ovs-", dir="/tmp") as path:
        yield Path(path)


@pytest.fixture
def ovs(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PrivateOvs]:
    """Every device name is a working dummy device, and every bridge has the userspace datapath."""
    with private_ovs(directory, "--enable-dummy=override") as switch:
        for name, value in switch.environment.items():
            monkeypatch.setenv(name, value)
        yield switch


def main(module: str, arguments: str) -> None:
    """Run ``module`` with ``arguments`` (JSON), as Ansible would: result on stdout, then exit."""
    basic._ANSIBLE_ARGS = arguments.encode()
    basic._ANSIBLE_PROFILE = "legacy"
    importlib.import_module(f"{MODULES}.{module}").main()


def encoded(check: bool, arguments: Mapping[str, Any]) -> str:
    settings = {"_ansible_check_mode": check, "_ansible_diff": True}
    return json.dumps({"ANSIBLE_MODULE_ARGS": {**arguments, **settings}})


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Module:
    """Call ``run("ovs_bridge", name=…, check=True)``: the module in this process, its result as a dict.

    Its warnings are caught, since Ansible prints them instead in a process that has loaded the controller's code too.
    """
    warnings: list[str] = []
    monkeypatch.setattr(basic.AnsibleModule, "warn", lambda _module, text, **_options: warnings.append(text))

    def call(module: str, *, check: bool = False, **arguments: Any) -> dict[str, Any]:
        output = io.StringIO()
        warnings.clear()
        with contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
            main(module, encoded(check, arguments))
        result: dict[str, Any] = json.loads(output.getvalue())
        return {**result, "warnings": list(warnings)} if warnings else result

    return call


@pytest.fixture
def durable(directory: Path) -> Path:
    return directory / "mesh.flows"


class Apply:
    """Call ``apply(flows, check=True, …)``: ovs_bridge_flows on bridge mesh, which carries veth100 and veth102.

    Flows of most tests are about something else than what the checker says, so its findings are warnings here.
    """

    PORTS: ClassVar = {"veth100": 32868, "veth102": 32870}

    def __init__(self, run: Module, durable: Path) -> None:
        self._run = run
        self._common = {"bridge": "mesh", "ports": self.PORTS, "durable": str(durable), "on_finding": "warn"}

    def __call__(self, flows: Sequence[str], *, check: bool = False, **more: Any) -> dict[str, Any]:
        return self._run("ovs_bridge_flows", check=check, **{**self._common, "flows": list(flows), **more})

    def apart(
        self, flows: Sequence[str], *, check: bool = False, path: str = "", **more: Any
    ) -> subprocess.CompletedProcess[str]:
        """The same call in a process of its own, which looks for tools in ``path`` first."""
        code = "from tests.integration.ovs.conftest import main; main('ovs_bridge_flows', {!r})"
        arguments = encoded(check, {**self._common, "flows": list(flows), **more})
        environment = {
            **os.environ,
            "PATH": f"{path}:{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT / '.collections'}:{ROOT}",
        }
        argv = [sys.executable, "-c", code.format(arguments)]
        return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def apply(ovs: PrivateOvs, run: Module, durable: Path) -> Apply:
    command = ["add-br", "mesh", "--", "set", "Bridge", "mesh", "datapath_type=netdev", "fail_mode=secure"]
    command += ["protocols=OpenFlow10,OpenFlow15", "external_ids:op-dbus-owner=socket_bridge"]
    for name, number in Apply.PORTS.items():
        command += ["--", "add-port", "mesh", name, "--", "set", "Interface", name, f"ofport_request={number}"]
    ovs.vsctl(*command)
    return Apply(run, durable)


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The argv of every process started from here on."""
    started: list[list[str]] = []
    real = subprocess.Popen

    class Counted(real):  # type: ignore[type-arg, misc, valid-type]
        def __init__(self, args: Any, *more: Any, **options: Any) -> None:
            started.append([os.fsdecode(word) for word in args])
            super().__init__(args, *more, **options)

    monkeypatch.setattr(subprocess, "Popen", Counted)
    return started
