# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Vagrant is told of the machines, and the first steps on each of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Any

from lab.ledger import URI
from lab.rootfs import DISABLED_UNITS, HOST_PACKAGES
from lab.topology import LINKS
from lab.vm.box import COMMAND_LINE, Box
from lab.vm.machine import PREFIX, console

POOL = "snl"
MANAGEMENT_NETWORK, MANAGEMENT_ADDRESSES = "snl-mgmt", "198.18.121.0/24"
MEMORY, CPUS = 1536, 2
"""Megabytes each. With one processor Open vSwitch 3.1 and kernel 6.1 lose packets between kernel and daemon."""

FIRST_STEPS = """\
hostname {name}
echo {name} >/etc/hostname
printf '%s\\n' {hosts} >/etc/hosts
mkdir -p /var/lib/apt/periodic
touch /var/lib/apt/periodic/update-success-stamp /var/lib/apt/lists
"""

ORDINARY_STEPS = """\
systemctl mask --quiet --now {talkative} 2>/dev/null || true
systemctl reset-failed
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq </dev/null
apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 {packages} </dev/null
systemctl disable --quiet --now {disabled}
echo net.ipv6.conf.eth1.disable_ipv6=1 >/etc/sysctl.d/90-lab.conf
sysctl -qp /etc/sysctl.d/90-lab.conf
rm -f /etc/resolv.conf
touch /etc/resolv.conf
cat >/etc/systemd/system/lab-route.service <<'UNIT'
[Unit]
Description=The lab's default route
After=network-online.target
Wants=network-online.target

[Service]
Type=oneshot
ExecStart=/bin/sh -c 'ip route flush exact 0.0.0.0/0; ip route add default via {gateway} dev eth1'

[Install]
WantedBy=multi-user.target
UNIT
cat >/etc/systemd/system/lab-no-detour.service <<'UNIT'
[Unit]
Description=Nothing of the host itself by the default route of DHCP, which it has until lab-route.service
DefaultDependencies=no
After=local-fs.target
Wants=network-pre.target
Before=network-pre.target shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
ExecStart=/usr/sbin/nft 'table ip lab {{ chain output {{ type filter hook output priority 0;' \\
    'oifname eth0 ip daddr != {management} drop; }}; }}'

[Install]
WantedBy=multi-user.target
UNIT
systemctl enable --now --quiet lab-no-detour.service lab-route.service
"""
"""An ordinary box reaches the internet by its first device, and has to lose that way once it has its packages.

Only what the host itself sends is dropped there: a packet of a container would still be seen by the proofs.
"""

TALKATIVE = [
    *("apt-daily.timer", "apt-daily-upgrade.timer", "apt-daily.service", "apt-daily-upgrade.service"),
    *("unattended-upgrades.service", "systemd-timesyncd.service", "chrony.service", "ntpsec.service"),
    *("systemd-resolved.service", "avahi-daemon.service"),
]
"""What an ordinary box may have that speaks of its own accord: no packet but those of the proofs is wanted."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The box, whether it runs under KVM, and where Vagrant keeps it. ``own`` is None for an ordinary one."""

    name: str
    own: Box | None
    kvm: bool
    vagrant_home: Path

    def describe(self) -> str:
        return f"box {self.name}, {'with KVM' if self.kvm else 'emulated: there is no KVM here that boots Linux'}"


def describe(name: str, chosen: Choice) -> dict[str, Any]:
    """One of the instances of Molecule's module for Vagrant."""
    link = next(link for link in LINKS[name] if link.gateway)
    address = IPv4Interface(link.address)
    plug: dict[str, Any] = {"network_name": "public_network", "dev": link.bridge, "type": "bridge", "mode": "bridge"}
    options: dict[str, Any] = {
        "uri": URI,
        "driver": "kvm" if chosen.kvm else "qemu",
        "cpu_mode": "host-passthrough" if chosen.kvm else "maximum",
        "graphics_type": "none",
        "video_type": "none",
        "memballoon_enabled": False,
        "storage_pool_name": POOL,
        "default_prefix": PREFIX,
        "management_network_name": MANAGEMENT_NETWORK,
        "management_network_address": MANAGEMENT_ADDRESSES,
    }
    if chosen.own:
        plug["auto_config"] = False
        options["management_network_mode"] = "none"
        options["cmd_line"] = _command_line(name, address, str(link.gateway))
    else:
        plug |= {"ip": str(address.ip), "netmask": str(address.netmask)}
    return {
        "name": name,
        "hostname": False,
        "box": chosen.name,
        **({"box_url": f"file://{chosen.own.path}"} if chosen.own else {}),
        "memory": MEMORY,
        "cpus": CPUS,
        "config_options": {"synced_folder": False, "ssh.insert_key": False, "vm.boot_timeout": 600},
        "provider_options": options,
        "provider_raw_config_args": [
            "disk_driver :cache => 'unsafe'",
            f"serial :type => 'file', :source => {{:path => '{console(name)}'}}",
        ],
        "interfaces": [plug],
    }


def _command_line(name: str, address: IPv4Interface, gateway: str) -> str:
    """Name, identity and network by the kernel's command line save slow steps over ssh."""
    identity = hashlib.sha256(f"lab {name}".encode()).hexdigest()[:32]
    network = f"ip={address.ip}::{gateway}:{address.netmask}::eth1:none"
    return f"{COMMAND_LINE} systemd.hostname={name} systemd.machine_id={identity} {network}"


def first_steps(name: str, names: Mapping[str, str], chosen: Choice) -> str:
    """A shell script for root."""
    known = {"localhost": "127.0.0.1", name: "127.0.1.1", **names}
    lines = " ".join(f"'{address} {each}'" for each, address in known.items())
    script = FIRST_STEPS.format(name=name, hosts=lines)
    if chosen.own:
        return script
    gateway = next(link.gateway for link in LINKS[name] if link.gateway)
    return script + ORDINARY_STEPS.format(
        packages=" ".join(HOST_PACKAGES),
        disabled=" ".join(DISABLED_UNITS),
        talkative=" ".join(TALKATIVE),
        gateway=gateway,
        management=MANAGEMENT_ADDRESSES,
    )
