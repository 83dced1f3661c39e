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
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import basic

from tests.integration.ovs.private_ovs import PrivateOvs, private_ovs

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


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Module:
    """Call ``run("ovs_bridge", name=…, check=True)``: the module in this process, its result as a dict."""

    def call(module: str, *, check: bool = False, **arguments: Any) -> dict[str, Any]:
        settings = {"_ansible_check_mode": check, "_ansible_diff": True}
        text = json.dumps({"ANSIBLE_MODULE_ARGS": {**arguments, **settings}})
        monkeypatch.setattr(basic, "_ANSIBLE_ARGS", text.encode())
        monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
        output = io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
            importlib.import_module(f"{MODULES}.{module}").main()
        result: dict[str, Any] = json.loads(output.getvalue())
        return result

    return call


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
