# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Container xray-client of host oo1424oo: what the filter container_specs tells is what the module lxc_service gets."""

from __future__ import annotations

from typing import Any

XRAY_CLIENT: dict[str, Any] = {
    "id": "102",
    "name": "xray-client",
    "veth": "veth102",
    "bridge": "mesh",
    "ipv4_address": "10.0.0.102/24",
    "gateway": "10.0.0.1",
    "mac": "02:00:0a:00:00:66",
    "ofport": 32870,
    "mtu": 1280,
    "memory": 512,
    "swap": 256,
    "cpus": 1.5,
    "nesting": False,
    "running": True,
    "autostart": True,
    "unprivileged": True,
    "template": "debian-13",
}
"""Without image, tree and services."""
