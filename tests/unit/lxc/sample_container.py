# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One container as the filter container_specs tells it, and a runner that answers from recorded outputs."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.op_dbus.socket_network.plugins.module_utils._lxc.config import Limits, render
from ansible_collections.op_dbus.socket_network.plugins.module_utils._lxc.found import Found
from ansible_collections.op_dbus.socket_network.plugins.module_utils._lxc.spec import ContainerSpec, container_spec
from ansible_collections.op_dbus.socket_network.plugins.module_utils._runner import Result, checked

from tests.lib.containers import XRAY_CLIENT

DIGEST = "852233f225d58d4099bf17748a4c1f9a5436386bce9cb0f928ada140b1ed5eb8"
VLESS = {
    "name": "xray-vless",
    "protocol": "tcp",
    "port": 443,
    "exposed_to": ["local", "mesh"],
    "public_port": None,
    "health": {"tcp": True, "http": None, "command": None},
}
PARAMS: dict[str, Any] = {
    "state": "present",
    **XRAY_CLIENT,
    "image": {"path": "/srv/guest.tar.zst", "sha256": DIGEST},
    "tree": None,
    "services": [VLESS],
    "restart": "never",
    "recreate": False,
    "missing_controllers": "refuse",
    "health_timeout": 60,
    "backend": "lxc",
    "storage": "local-lvm",
    "disk": 8,
}
LIMITS = Limits((("memory.max", "536870912"), ("memory.swap.max", "268435456"), ("cpu.max", "150000 100000")))


def params(**changes: Any) -> dict[str, Any]:
    """The module's parameters for the container, with some changed."""
    return {**copy.deepcopy(PARAMS), **changes}


def spec(**changes: Any) -> ContainerSpec:
    return container_spec(params(**changes))


def found(state: ContainerSpec | None = None, **changes: Any) -> Found:
    """A stopped container that is just as ``state`` says."""
    state = state or spec()
    source = state.source.identity if state.source else "unknown"
    standard = {
        "exists": True,
        "config": render(state, LIMITS, source),
        "has_sidecar": True,
        "source": source,
        "unprivileged": state.unprivileged,
        "autostart": state.autostart,
    }
    return Found(**{**standard, **changes})


@dataclass
class Recorded:
    """Answers a program by the text recorded for its name, and notes what was run."""

    outputs: dict[str, str] = field(default_factory=dict)
    failing: dict[str, str] = field(default_factory=dict)
    calls: list[tuple[str, ...]] = field(default_factory=list)

    def run(self, argv: Sequence[str], *, stdin: str | None = None, ok: Sequence[int] = (0,), what: str = "") -> Result:
        del stdin
        self.calls.append(tuple(argv))
        error = self.failing.get(argv[0])
        result = Result(tuple(argv), 1 if error else 0, self.outputs.get(argv[0], ""), error or "")
        return checked(result, ok, what)
