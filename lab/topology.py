# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's world: two or three hosts, a NAT router, a WARP peer, an internet server and a public client.

::

    client .50   vps-gateway .10   internet .1   warp .30   nat .20
       |               |               | |        |  |        |  |
    ===+===============+===============+=|========+==|========+==|===  wan  192.0.2.0/24
                                         +-----------+           |     core 203.0.113.0/24: internet .7, warp .1
                         oo1424oo .2 (and node3 .3) --- lan -----+     lan  192.168.77.0/24: nat .1

The internet server has a leg on both sides on purpose: traffic that leaks past WARP reaches it too, and shows.
The bridges are snl-wan, snl-core and snl-lan. Nothing here has a route out of this machine. ssh uses ``mgmt``
198.18.0.0/24, which carries nothing else.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, cast

from lab import base, debian, kernel, netmaker, probe
from lab.base import LabError, wait_for
from lab.host import MANAGEMENT, Host, Link
from lab.ledger import Ledger, is_alive, start_time
from lab.mesh import MESHES, NETMAKER, WIREGUARD, Mesh
from lab.netns import Namespace
from lab.node import Node
from lab.rootfs import Systems

WAN, LAN, CORE = "snl-wan", "snl-lan", "snl-core"
LINKS = {
    "vps-gateway": (Link("mgmt0", MANAGEMENT, "198.18.0.10/24"), Link("wan0", WAN, "192.0.2.10/24", "192.0.2.1")),
    "oo1424oo": (Link("mgmt0", MANAGEMENT, "198.18.0.11/24"), Link("lan0", LAN, "192.168.77.2/24", "192.168.77.1")),
    "node3": (Link("mgmt0", MANAGEMENT, "198.18.0.12/24"), Link("lan0", LAN, "192.168.77.3/24", "192.168.77.1")),
}
INTERNET, WARP_EXIT, WARP_ENDPOINT, WARP_PORT = "203.0.113.7", "203.0.113.1", "192.0.2.30", 2408
VPS, NAT, CLIENT = "192.0.2.10", "192.0.2.20", "192.0.2.50"
WARP_DEVICE = "snl-warp"
IMAGE = "var/lib/op-dbus/images/guest.tar.zst"
DIRECTORY = base.STATE / "lab"
ABOUT = "about.json"

NAT_RULES = """
table ip lab {
    chain postrouting {
        type nat hook postrouting priority srcnat
        oifname "wan0" masquerade
    }
    chain forward {
        type filter hook forward priority filter; policy drop
        ct state established,related accept
        iifname "lan0" oifname "wan0" accept
    }
}
"""
WARP_RULES = """
table ip lab {
    chain postrouting {
        type nat hook postrouting priority srcnat
        oifname "core0" masquerade
    }
    chain forward {
        type filter hook forward priority filter; policy drop
        ct state established,related accept
        iifname "snl-warp" oifname "core0" accept
    }
}
"""


class Lab:
    """The one full lab of this machine. Its state is on disk, so any process can use it or take it down.

    Without ``mesh`` it is the lab that is there, if any; `lab.current` knows which class that has.
    """

    meshes: ClassVar[Mapping[str, Mesh]] = MESHES
    has_kernels: ClassVar[bool] = False
    """Whether each host has a kernel of its own."""
    wan_device: ClassVar[str] = "wan0"
    """The droplet's, with its public address."""

    def __init__(self, mesh: str | None = None, directory: Path = DIRECTORY) -> None:
        self.directory = directory
        self.mesh = self.meshes[mesh or about(directory).get("mesh", WIREGUARD.name)]
        self.ledger = Ledger(directory / "ledger")
        self.nat, self.warp, self.internet, self.client = (
            Namespace(f"snl-{name}", self.ledger) for name in ("nat", "warp", "internet", "client")
        )
        self.fabric = self._make_fabric()
        self.hosts: dict[str, Node] = {name: self._host(name) for name in self.mesh.hosts}

    @property
    def release(self) -> str:
        """Code name of the Debian release that runs in the containers."""
        return debian.release()[0]

    @property
    def is_up(self) -> bool:
        return (self.directory / "up").exists() and all(host.is_running for host in self.hosts.values())

    @property
    def ssh_config(self) -> Path:
        return base.RUN / "ssh_config"

    @property
    def inventory(self) -> Path:
        """A link to the inventory of the lab that is up."""
        return base.RUN / "inventory"

    @property
    def remark(self) -> str:
        """Whose programs the lab runs that is up, where that is a question: " (stand-in Netmaker)"."""
        programs = about(self.directory).get("programs", "")
        return f" ({programs})" if programs else ""

    def owner(self) -> int | None:
        """The living process whose lab this is; None for one that was left up on purpose or whose process died."""
        path = self.directory / "owner"
        pid, _space, started = path.read_text().strip().partition(" ") if path.exists() else ("0", "", "")
        return int(pid) if is_alive(int(pid), started) else None

    def up(self, systems: Systems, say: Callable[[str], None], *, owner: int | None = None) -> Lab:
        """Make everything. What an earlier lab left is taken down first; after a failure call down()."""
        if self.owner() not in (None, owner):
            raise LabError(f"process {self.owner()} runs a lab on this machine already; there can be one at a time")
        if self.directory.exists():
            from lab.current import current  # noqa: PLC0415 - that module knows all classes of labs, this one too

            say("taking down what an earlier lab left")
            current().down()
        self.directory.mkdir(parents=True)
        if owner is not None:
            (self.directory / "owner").write_text(f"{owner} {start_time(owner)}\n")
        extra = self._find_programs(say)
        offered = kernel.look()
        for line in offered.describe():
            say(line)
        self._make_networks()
        keys = self._make_keys()
        self._start_internet()
        self._start_warp(keys, offered.wireguard)
        self._write_inventory({"lab_keys": keys, **extra}, systems)
        self._start_hosts(systems, say)
        if not self.has_kernels:  # emulated it takes a minute, and the proofs that need it run in containers
            with ThreadPoolExecutor(len(self.hosts)) as pool:
                list(pool.map(self._look_at_fresh, self.hosts.values()))
        (self.directory / "up").touch()
        return self

    def fresh_state(self, host: Node) -> dict[str, Any]:
        """What probe.state told of a host in a container before anything was provisioned."""
        state: dict[str, Any] = json.loads(self._fresh_file(host).read_text())
        return state

    def down(self) -> None:
        """Take everything down, also what a start that failed half way left. Raises LabError when something stays."""
        faults = self._end_hosts()
        faults += self.ledger.release()
        if faults:
            raise LabError("the lab could not be taken down: " + "; ".join(faults))
        for path in (*(mesh.generated for mesh in self.meshes.values()), self.ssh_config, self.inventory):
            path.unlink(missing_ok=True)
        if self.directory.exists():
            shutil.rmtree(self.directory)
            with contextlib.suppress(OSError):
                self.directory.parent.rmdir()

    # ---------------------------------------------------------------- parts

    def _make_fabric(self) -> Namespace:
        """Where the bridges are."""
        return Namespace("snl-fabric", self.ledger)

    def _host(self, name: str) -> Any:
        directory = self.directory / "hosts" / name
        return Host(name, fabric=self.fabric, links=LINKS[name], directory=directory, names=self.mesh.names)

    def _end_hosts(self) -> list[str]:
        """Returns what could not be taken down."""
        faults = []
        for name in LINKS:  # also those of another mesh
            try:
                self._host(name).destroy()
            except LabError as error:
                faults.append(str(error))
        return faults

    def _find_programs(self, say: Callable[[str], None]) -> dict[str, Any]:
        """Write down what this lab is. Returns what the mesh adds to the inventory."""
        known, extra = {"mesh": self.mesh.name, "hosts": type(self).__name__}, {}
        if self.mesh is NETMAKER:
            found = netmaker.programs(self.directory / "programs")
            say(found.describe())
            known["programs"] = found.remark
            extra["lab_netmaker"] = netmaker.inventory(found)
        (self.directory / ABOUT).write_text(json.dumps(known) + "\n")
        return extra

    def _make_networks(self) -> None:
        for namespace in (self.fabric, self.nat, self.warp, self.internet, self.client):
            namespace.create()
        for bridge in (WAN, LAN, CORE):
            self.fabric.add_bridge(bridge)
        connect = self.fabric.connect
        connect(WAN, self.nat, "wan0", f"{NAT}/24")
        connect(LAN, self.nat, "lan0", "192.168.77.1/24")
        connect(WAN, self.warp, "wan0", f"{WARP_ENDPOINT}/24")
        connect(CORE, self.warp, "core0", f"{WARP_EXIT}/24")
        connect(WAN, self.internet, "wan0", "192.0.2.1/24")
        connect(CORE, self.internet, "core0", f"{INTERNET}/24")
        connect(WAN, self.client, "wan0", f"{CLIENT}/24")
        for namespace in (self.nat, self.client):
            namespace.ip("route", "add", "default", "via", "192.0.2.1")
        for namespace, rules in ((self.nat, NAT_RULES), (self.warp, WARP_RULES)):
            namespace.sysctl(ipv4__ip_forward=1)
            namespace.run("nft", "-f", "-", data=rules)

    def _make_keys(self) -> dict[str, dict[str, str]]:
        """Throw-away WireGuard keys: of each host on the mesh, of the WARP peer, and of its one client."""
        keys = {}
        for name in (*self.mesh.hosts, "warp_peer", "warp_client"):
            private = base.run(["wg", "genkey"]).stdout.strip()
            public = base.run(["wg", "pubkey"], data=private + "\n").stdout.strip()
            keys[name] = {"private_key": private, "public_key": public}
        return keys

    def _start_internet(self) -> None:
        server = str(Path(__file__).with_name("internet.py"))
        self.internet.start(sys.executable, "-u", server, INTERNET, "80", log=self.directory / "internet.log")
        probe = ("nc", "-z", "-w", "1", INTERNET, "80")
        wait_for("the internet server", lambda: _succeeds(self.internet, *probe), timeout=20.0)
        way = "frames to pass the lab's bridges (does a firewall drop them? see net.bridge.bridge-nf-call-iptables)"
        wait_for(way, lambda: _succeeds(self.client, *probe), timeout=10.0)

    def _start_warp(self, keys: dict[str, dict[str, str]], in_kernel: bool) -> None:
        if in_kernel:
            self.warp.ip("link", "add", WARP_DEVICE, "type", "wireguard")
        else:
            self.warp.start("wireguard-go", "-f", WARP_DEVICE, log=self.directory / "warp.log")
            wait_for("wireguard-go", lambda: _succeeds(self.warp, "wg", "show", WARP_DEVICE))
        setup = (
            f"[Interface]\nPrivateKey = {keys['warp_peer']['private_key']}\nListenPort = {WARP_PORT}\n"
            f"[Peer]\nPublicKey = {keys['warp_client']['public_key']}\nAllowedIPs = 172.16.0.2/32\n"
        )
        self.warp.run("wg", "setconf", WARP_DEVICE, "/dev/stdin", data=setup)
        self.warp.ip("address", "add", "172.16.0.1/24", "dev", WARP_DEVICE)
        self.warp.ip("link", "set", WARP_DEVICE, "mtu", "1280", "up")

    def _write_inventory(self, known: dict[str, Any], systems: Systems) -> None:
        """Only root may read it: private keys are in it."""
        values = {
            **known,
            "lab_image": {"path": f"/{IMAGE}", "sha256": systems.sha256},
            "lab_template": systems.template,
        }
        path = self.mesh.generated
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.chmod(0o600)
        path.write_text(json.dumps(values, indent=2) + "\n")
        base.RUN.mkdir(parents=True, exist_ok=True)
        self.inventory.unlink(missing_ok=True)
        self.inventory.symlink_to(base.REPOSITORY / self.mesh.inventory)

    def _start_hosts(self, systems: Systems, say: Callable[[str], None]) -> None:
        """Boot them all, and leave ``ssh_config`` for those who want to go there."""
        self.fabric.add_bridge(MANAGEMENT, "198.18.0.1/24")
        say(f"{len(self.hosts)} hosts in containers of systemd-nspawn")
        with ThreadPoolExecutor(len(self.hosts)) as pool:
            list(pool.map(lambda host: self._start_host(cast("Host", host), systems), self.hosts.values()))
        self._write_ssh_config(self.directory / "hosts" / name / "ssh_config" for name in self.hosts)

    def _start_host(self, host: Host, systems: Systems) -> None:
        host.create(systems.rootfs)
        image = host.root / IMAGE
        image.parent.mkdir(parents=True)
        shutil.copyfile(systems.image, image)
        host.boot()

    def _look_at_fresh(self, host: Node) -> None:
        self._fresh_file(host).write_text(json.dumps(probe.state(host)))

    def _fresh_file(self, host: Node) -> Path:
        return self.directory / f"fresh-{host.name}.json"

    def _write_ssh_config(self, parts: Iterable[Path]) -> None:
        base.RUN.mkdir(parents=True, exist_ok=True)
        self.ssh_config.write_text("".join(f"Include {part}\n" for part in parts))


def about(directory: Path = DIRECTORY) -> dict[str, str]:
    """What a lab wrote down of itself; empty where there is none."""
    path = directory / ABOUT
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    return known


def _succeeds(namespace: Namespace, *argv: str) -> bool:
    return base.run(namespace.enter(*argv), check=False, timeout=10).returncode == 0
