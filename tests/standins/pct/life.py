# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting and stopping: a process in a network namespace of its own is the container."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from . import network, options
from .configfile import Config
from .failure import Failure

RUN = Path("/run/pct-stand-in")
GENERATED = Path("/run/pct-stand-in-generated")
"""In place of /var/lib/lxc."""

OWN_SCRIPT = "/usr/share/lxc/lxcnetaddbr"
GUEST_DELAY = "0.4"
"""Seconds after which a guest has configured its network: `pct start` does not wait for it."""


def pid(vmid: str) -> int:
    """Of the container's init; 0 when it does not run."""
    try:
        number = int((RUN / vmid).read_text())
        os.kill(number, 0)
    except (OSError, ValueError):
        return 0
    return number


def is_running(vmid: str) -> bool:
    return pid(vmid) != 0


def start(vmid: str, config: Config) -> None:
    """As lxc-start does with the configuration that Proxmox has just generated."""
    net = options.network(config.current.values["net0"])
    generated = _generate(vmid, config, net)
    RUN.mkdir(parents=True, exist_ok=True)
    nothing = subprocess.DEVNULL
    init = subprocess.Popen(
        ["unshare", "--net", "sleep", "infinity"], stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True
    )
    (RUN / vmid).write_text(str(init.pid))
    while os.readlink(f"/proc/{init.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
        os.sched_yield()
    create_device(vmid, net)
    up = _script(vmid, generated["lxc.net.0.script.up"], "up")
    if up.returncode:
        network.delete(network.veth(vmid))
        _end(vmid)
        raise Failure(f"{up.stderr}startup for container '{vmid}' failed")
    if config.current.values.get("ostype") != "unmanaged":
        configure_guest(vmid, net)


def stop(vmid: str) -> None:
    config = GENERATED / vmid / "config"
    generated = dict(line.split(" = ", 1) for line in config.read_text().splitlines())
    if "lxc.net.0.script.down" in generated:
        _script(vmid, generated["lxc.net.0.script.down"], "down")
    _end(vmid)
    network.delete(network.veth(vmid))


def create_device(vmid: str, net: dict[str, str]) -> None:
    device = network.veth(vmid)
    mtu = net.get("mtu") or network.bridge_mtu(net["bridge"])
    outer = ["ip", "link", "add", device, "mtu", mtu, "type", "veth"]
    inner = ["name", net["name"], "mtu", mtu, "address", net["hwaddr"], "netns", str(pid(vmid))]
    network.run(*outer, "peer", *inner)


def configure_guest(vmid: str, net: dict[str, str]) -> None:
    """What the guest's own programs make of the files that Proxmox has written for them, in their own time."""
    name = net["name"]
    lines = [f"link set {name} up"]
    if "/" in net.get("ip", ""):
        lines.append(f"address replace {net['ip']} broadcast + dev {name}")
    if "gw" in net:
        lines.append(f"route replace default via {net['gw']} dev {name}")
    batch = f"sleep {GUEST_DELAY}; exec ip -batch - <<'EOF'\n" + "\n".join(lines) + "\nEOF\n"
    nothing = subprocess.DEVNULL
    enter = ["nsenter", f"--net=/proc/{pid(vmid)}/ns/net", "sh", "-c", batch]
    subprocess.Popen(enter, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)


def guest(vmid: str, *argv: str) -> int:
    return subprocess.run(["nsenter", f"--net=/proc/{pid(vmid)}/ns/net", *argv], timeout=60, check=False).returncode


def status(vmid: str, config: Config, verbose: bool) -> str:
    state = "running" if is_running(vmid) else "stopped"
    if not verbose:
        return f"status: {state}\n"
    values = {
        "cpus": "2",
        "lock": config.current.values.get("lock", ""),
        "maxmem": str(int(config.current.values.get("memory", "512")) * 2**20),
        "name": config.current.values.get("hostname", f"CT{vmid}"),
        "pid": str(pid(vmid)) if is_running(vmid) else "",
        "status": state,
        "type": "lxc",
        "vmid": vmid,
    }
    return "".join(f"{key}: {value}\n" for key, value in values.items() if value)


def _generate(vmid: str, config: Config, net: dict[str, str]) -> dict[str, str]:
    """The part of LXC's configuration that counts here. Raw keys come last, and LXC takes the last of its kind."""
    network.check_mtu(net)
    lines = [
        ("lxc.net.0.type", "veth"),
        ("lxc.net.0.veth.pair", network.veth(vmid)),
        ("lxc.net.0.hwaddr", net["hwaddr"]),
        ("lxc.net.0.script.up", OWN_SCRIPT),
        *config.current.raw,
    ]
    directory = GENERATED / vmid
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config").write_text("".join(f"{key} = {value}\n" for key, value in lines))
    return dict(lines)


def _script(vmid: str, script: str, what: str) -> subprocess.CompletedProcess[str]:
    argv = [script, vmid, "net", what, "veth", network.veth(vmid)]
    environment = {"LXC_NAME": vmid, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LXC_HOOK_VERSION": "0"}
    try:
        return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False)
    except OSError as error:
        return subprocess.CompletedProcess(argv, 127, "", f"{script}: {error.strerror}\n")


def _end(vmid: str) -> None:
    number = pid(vmid)
    if number:
        os.kill(number, signal.SIGKILL)
        while Path(f"/proc/{number}/ns/net").exists() and _is_alive(number):
            os.sched_yield()
    (RUN / vmid).unlink(missing_ok=True)


def _is_alive(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
