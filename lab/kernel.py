# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the machine's kernel offers the lab. Where it lacks a module, the userspace counterpart is used, and said so."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lab import base


@dataclass(frozen=True, slots=True)
class Kernel:
    openvswitch: bool
    wireguard: bool

    def describe(self) -> list[str]:
        switch = "in the kernel" if self.openvswitch else "in userspace (netdev): no kernel module openvswitch here"
        tunnel = "in the kernel" if self.wireguard else "in userspace (wireguard-go): no kernel module wireguard here"
        return [f"Open vSwitch datapath: {switch}", f"WireGuard: {tunnel}"]


def look() -> Kernel:
    """Load the modules where that is possible; containers cannot do it themselves."""
    for module in ("openvswitch", "wireguard"):
        base.run(["modprobe", "--quiet", module], check=False)
    probe = ["unshare", "--net", "ip", "link", "add", "probe", "type", "wireguard"]
    wireguard = base.run(probe, check=False).returncode == 0
    return Kernel(openvswitch=Path("/sys/module/openvswitch").is_dir(), wireguard=wireguard)
