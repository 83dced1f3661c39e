# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Our own files about each container: the mark that it is ours, and what the state manager knows it by."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from .._files import FileSpec
from . import port
from .spec import ContainerSpec


def json_path(name: str) -> str:
    return f"{port.SIDECARS}/{name}.json"


def settings_path(name: str) -> str:
    return f"{port.SIDECARS}/{name}.port"


def files(spec: ContainerSpec, source: str) -> list[FileSpec]:
    return [
        FileSpec(json_path(spec.name), json.dumps(_content(spec, source), indent=2, sort_keys=True) + "\n"),
        FileSpec(settings_path(spec.name), port.settings(spec)),
    ]


def load(name: str) -> dict[str, Any] | None:
    """What the sidecar holds; None when there is none of ours."""
    with contextlib.suppress(OSError, ValueError):
        content = json.loads(Path(json_path(name)).read_text(encoding="utf-8"))
        if isinstance(content, dict) and content.get("owner") == port.OWNER:
            return content
    return None


def names() -> list[str]:
    """Containers with a sidecar of ours on this host."""
    return sorted(path.stem for path in Path(port.SIDECARS).glob("*.json") if load(path.stem) is not None)


def _content(spec: ContainerSpec, source: str) -> dict[str, Any]:
    keys = ("id", "name", "veth", "bridge", "mac", "ofport", "mtu", "template", "unprivileged", "running", "autostart")
    return {
        "owner": port.OWNER,
        **{key: getattr(spec, key) for key in keys},
        "ipv4_address": spec.address.with_prefixlen,
        "gateway": str(spec.gateway),
        "source": source,
        "services": [service.as_dict() for service in spec.services],
    }
