# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""LXC's configuration: rendered whole, compared as what it is, an ordered list with repeated keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._lxc import config
from ansible_collections.op_dbus.socket_network.plugins.module_utils._lxc.config import Limits

from tests.unit.lxc.sample_container import LIMITS, spec

GOLDEN = Path(__file__).parent / "golden"
TREE: dict[str, Any] = {"image": None, "tree": "/srv/tree/"}


@pytest.mark.parametrize(
    ("name", "changes", "limits"),
    [
        ("unprivileged", {}, LIMITS),
        ("privileged", {"unprivileged": False, "nesting": True, **TREE}, Limits()),
        ("without-controllers", {"unprivileged": False}, Limits(clear_devices=True)),
    ],
)
def test_configuration_is_rendered_whole(name: str, changes: dict[str, Any], limits: Limits) -> None:
    wanted = spec(**changes)
    assert wanted.source is not None
    assert config.render(wanted, limits, wanted.source.identity) == (GOLDEN / f"{name}.config").read_text()


def test_parsing_keeps_order_and_repetition() -> None:
    text = "# note\n\nlxc.idmap = u 0 1 2\nlxc.idmap=g 0 1 2\n  lxc.a.b =\nlxc.net.0.script.up = /x = y\nstray\n"
    assert config.parse(text) == [
        ("lxc.idmap", "u 0 1 2"),
        ("lxc.idmap", "g 0 1 2"),
        ("lxc.a.b", ""),
        ("lxc.net.0.script.up", "/x = y"),
        ("stray", ""),
    ]
    assert config.values(config.parse(text), "lxc.idmap") == ["u 0 1 2", "g 0 1 2"]


def test_rendered_text_parses_back() -> None:
    entries = config.parse(config.render(spec(), LIMITS, "tree:/srv/tree"))
    assert config.values(entries, "lxc.idmap") == ["u 0 100000 65536", "g 0 100000 65536"]
    assert config.values(entries, "lxc.net.0.link") == []


def test_marks_are_comments_of_their_own() -> None:
    text = config.render(spec(), LIMITS, "sha256:abc")
    assert config.is_marked(text)
    assert config.source_of(text) == "sha256:abc"
    assert not config.is_marked("lxc.uts.name = x  # op-dbus-owner=lxc_service\n")
    assert config.source_of("lxc.uts.name = x\n") is None


@pytest.mark.parametrize(("cpus", "text"), [(1, "100000 100000"), (0.01, "1000 100000"), (1.5, "150000 100000")])
def test_cpus_are_time_of_a_period(cpus: float, text: str) -> None:
    assert dict(config.wanted_limits(spec(cpus=cpus)))["cpu.max"] == text


def test_no_swap_is_a_limit_and_none_is_not() -> None:
    assert dict(config.wanted_limits(spec(swap=0)))["memory.swap.max"] == "0"
    assert config.wanted_limits(spec(memory=None, swap=None, cpus=None)) == ()
