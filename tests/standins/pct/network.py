# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices and ports: the calls that Proxmox makes to plug a container in, with and without its firewall bridge."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .failure import Failure


def run(*argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    if check and done.returncode:
        raise Failure(f"command '{' '.join(argv)}' failed: exit code {done.returncode}\n{done.stderr}")
    return done


def vsctl(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return run("ovs-vsctl", "--timeout=20", *words, check=check)


def veth(vmid: str) -> str:
    return f"veth{vmid}i0"


def exists(device: str) -> bool:
    return Path("/sys/class/net", device).is_dir()


def bridge_mtu(bridge: str) -> str:
    try:
        return Path("/sys/class/net", bridge, "mtu").read_text().strip()
    except OSError:
        raise Failure(f"bridge '{bridge}' does not exist") from None


def check_mtu(net: dict[str, str]) -> None:
    mtu, limit = net.get("mtu", "0"), bridge_mtu(net["bridge"])
    if int(mtu) > int(limit):
        raise Failure(f"net0: MTU size '{mtu}' is bigger than bridge MTU '{limit}'")


def plug(device: str, net: dict[str, str]) -> None:
    """Onto the bridge, whatever it was on before. The port is new, its number any."""
    if net.get("link_down") == "1":
        run("ip", "link", "set", device, "down")
        return
    bridge, firewall = net["bridge"], net.get("firewall") == "1"
    vsctl("del-port", device, check=False)
    if vsctl("br-exists", bridge, check=False).returncode:
        raise Failure(f"bridge '{bridge}' is neither a linux nor an OVS bridge!")
    clean_firewall(device)
    if firewall:
        run("ip", "link", "add", _fwbr(device), "type", "bridge")
        run("ip", "link", "set", _fwbr(device), "up")
        run("ip", "link", "set", device, "master", _fwbr(device))
        add_port(bridge, _fwln(device), net, "type=internal")
    else:
        add_port(bridge, device, net)
        off = Path("/proc/sys/net/ipv6/conf", device, "disable_ipv6")
        if off.exists():
            off.write_text("1")
    run("ip", "link", "set", device, "up")


def add_port(bridge: str, port: str, net: dict[str, str], *settings: str) -> None:
    tag = [f"tag={net['tag']}"] if "tag" in net else []
    mtu = f"mtu_request={bridge_mtu(bridge)}"
    vsctl("--", "add-port", bridge, port, *tag, "--", "set", "Interface", port, mtu, *settings)


def unplug(device: str) -> None:
    if exists(device):
        run("ip", "link", "set", device, "nomaster", check=False)
    clean_firewall(device)
    vsctl("del-port", device, check=False)


def clean_firewall(device: str) -> None:
    vsctl("del-port", _fwln(device), check=False)
    if exists(_fwbr(device)):
        run("ip", "link", "delete", _fwbr(device))


def delete(device: str) -> None:
    """The device and, as its hook does after every stop, whatever the switch has of it."""
    if exists(device):
        run("ip", "link", "delete", device, check=False)  # it may go with the container's namespace in between
    unplug(device)


def _fwbr(device: str) -> str:
    return device.replace("veth", "fwbr")


def _fwln(device: str) -> str:
    return device.replace("veth", "fwln").replace("i", "o")
