# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab with virtual machines: the same world, whose bridges are this machine's, so that libvirt can plug into them.

Vagrant makes the machines, by the module that molecule-plugins brings. Variables of the environment:

* ``SOCKET_NETWORK_DEBIAN``: release that the lab's own box and the containers are made of, `bookworm` or `trixie`; else
  this machine's.
* ``SOCKET_NETWORK_BOX``: an ordinary Debian box instead, such as `debian/bookworm64`, which Vagrant gets by itself. Its
  machines install what they need from Debian's mirrors through libvirt's NAT before they are cut off.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, cast

from lab import base, remote
from lab.base import LabError
from lab.ledger import Ledger, end_process
from lab.mesh import MESHES_OF_MACHINES, Mesh
from lab.netns import Namespace, ThisMachine
from lab.progress import LOGS
from lab.rootfs import Systems
from lab.topology import DIRECTORY, IMAGE, LINKS, Lab
from lab.vm import box, hypervisor, instances
from lab.vm.machine import PREFIX, Machine, write_instances

UP_TIMEOUT = 900.0
CUT_OFF_TABLE = "snl_management"
CUT_OFF = """
table inet {table} {{
    chain forward {{
        type filter hook forward priority filter - 10
        iifname "{bridge}" drop
        oifname "{bridge}" drop
    }}
}}
"""


class MachineLab(Lab):
    """Its hosts have kernels of their own. ``ledger`` also holds what libvirt was told."""

    meshes: ClassVar[Mapping[str, Mesh]] = MESHES_OF_MACHINES
    has_kernels: ClassVar[bool] = True
    wan_device: ClassVar[str] = "eth1"

    def __init__(self, mesh: str | None = None, directory: Path = DIRECTORY) -> None:
        self._libvirt = Ledger(directory / "libvirt-ledger")
        super().__init__(mesh, directory)

    @property
    def release(self) -> str:
        return os.environ.get("SOCKET_NETWORK_DEBIAN") or super().release

    def _make_fabric(self) -> Namespace:
        return ThisMachine(self.ledger)

    def _host(self, name: str) -> Machine:
        return Machine(name, self.directory / "hosts" / name, self.ledger)

    def _start_hosts(self, systems: Systems, say: Callable[[str], None]) -> None:
        hypervisor.start(self.directory, self._libvirt)
        machines = cast("list[Machine]", list(self.hosts.values()))
        self._prepare_libvirt(machines)
        chosen = self._choose_box(systems, say)
        say(f"{len(machines)} virtual machines of {chosen.describe()}")
        for machine in machines:
            self.ledger.record("domain", machine.domain)
        self._vagrant_up([instances.describe(machine.name, chosen) for machine in machines], chosen)
        key = self._make_login_key()
        vagrant_key = chosen.vagrant_home / "insecure_private_key"
        with ThreadPoolExecutor(len(machines)) as pool:
            list(pool.map(lambda machine: self._adopt(machine, key, vagrant_key, systems.image, chosen), machines))
        if chosen.own is None:
            self._cut_off()
        self._write_ssh_config(machine.ssh_config for machine in machines)
        if molecule := os.environ.get("MOLECULE_INSTANCE_CONFIG"):
            write_instances(machines, key, Path(molecule))

    def _end_hosts(self) -> list[str]:
        """The ledger has them, with all else."""
        return []

    def down(self) -> None:
        """libvirt has to be there for it, and ends last."""
        if any(self.ledger.entries(kind) for kind in ("domain", "network", "pool")):
            hypervisor.start(self.directory, self._libvirt)
        libvirt = self._libvirt.entries()  # super() removes the directory, and the list with it
        super().down()
        for _kind, pid, started in libvirt:
            end_process(int(pid), started)
        self._keep_logs()

    @property
    def management_bridge(self) -> str:
        """This machine's end of the network that ssh uses. Beyond it there is nothing for anybody."""
        about = hypervisor.virsh("net-info", instances.MANAGEMENT_NETWORK)
        return next(line.split()[1] for line in about.splitlines() if line.startswith("Bridge:"))

    # ---------------------------------------------------------------- parts

    def _keep_logs(self) -> None:
        """libvirt leaves what the machines said where others look for their own."""
        LOGS.mkdir(parents=True, exist_ok=True)
        for path in [hypervisor.LOGS / f"{PREFIX}{name}{kind}.log" for name in LINKS for kind in ("", "-console")]:
            if path.exists():
                shutil.move(path, LOGS / path.name)

    def _prepare_libvirt(self, machines: Sequence[Machine]) -> None:
        """Names that somebody else uses are left alone: what the ledger has is deleted in the end."""
        domains = [machine.domain for machine in machines]
        wanted = {"": domains, "net-": [instances.MANAGEMENT_NETWORK], "pool-": [instances.POOL]}
        for prefix, names in wanted.items():
            there = hypervisor.virsh(f"{prefix}list", "--all", "--name").split()
            if taken := sorted(set(there) & set(names)):
                raise LabError(f"libvirt has {', '.join(taken)}, which no lab wrote down; rename or undefine them")
        pool = self.directory / "pool"
        pool.mkdir()
        self.ledger.record("pool", instances.POOL)
        hypervisor.virsh("pool-define-as", instances.POOL, "dir", "--target", str(pool))
        hypervisor.virsh("pool-start", instances.POOL)
        self.ledger.record("network", instances.MANAGEMENT_NETWORK)

    def _choose_box(self, systems: Systems, say: Callable[[str], None]) -> instances.Choice:
        home = Path(os.environ.get("VAGRANT_HOME", Path.home() / ".vagrant.d"))
        if ordinary := os.environ.get("SOCKET_NETWORK_BOX"):
            running = Path(f"/boot/vmlinuz-{os.uname().release}")
            if not running.exists():
                say(f"{running} is not there to try KVM with")
            return instances.Choice(ordinary, None, hypervisor.works_with_kvm(running), home)
        own = box.build(self.release, systems.image, say)
        kvm = hypervisor.works_with_kvm(own.kernel)
        return instances.Choice(own.name, own, kvm, self.directory / "vagrant-home")

    def _vagrant_up(self, machines: list[dict[str, Any]], chosen: instances.Choice) -> None:
        """By Molecule's own module for Vagrant, which neither Molecule nor Ansible find where pip puts it."""
        work = self.directory / "vagrant"
        work.mkdir()
        arguments = {
            "instances": machines,
            "default_box": chosen.name,
            "provider_name": "libvirt",
            "cachier": "none",
            "parallel": True,
            "workdir": str(work),
        }
        argv = [remote.tool("ansible"), "localhost", "--inventory", "localhost,", "--connection", "local"]
        argv += ["--module-path", str(_molecule_modules()), "--module-name", "vagrant", "--args", json.dumps(arguments)]
        argv += ["--extra-vars", json.dumps({"ansible_python_interpreter": sys.executable})]
        environment = {"VAGRANT_HOME": str(chosen.vagrant_home), "VAGRANT_CHECKPOINT_DISABLE": "1"}
        environment = {**remote.ansible_environment(), **environment}
        done = base.run(argv, timeout=UP_TIMEOUT, env=environment, check=False, group=True)
        if done.returncode != 0:
            said = (done.stdout + done.stderr).strip()[-2000:]
            raise LabError(f"Vagrant did not start the machines; its own words are in {work}:\n{said}")

    def _cut_off(self) -> None:
        """Take away the way to the internet that libvirt gave ordinary boxes, for good."""
        self.ledger.record("table", "inet", CUT_OFF_TABLE)
        base.run(["nft", "-f", "-"], data=CUT_OFF.format(table=CUT_OFF_TABLE, bridge=self.management_bridge))

    def _make_login_key(self) -> Path:
        key = self.directory / "login_key"
        base.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "socket-network lab", "-f", str(key)])
        return key

    def _adopt(self, machine: Machine, key: Path, vagrant_key: Path, image: Path, chosen: instances.Choice) -> None:
        machine.adopt(key, vagrant_key, instances.first_steps(machine.name, self.mesh.names, chosen))
        machine.wait_until_up()
        if chosen.own is None:
            machine.put(image, f"/{IMAGE}")


def _molecule_modules() -> Path:
    found = importlib.util.find_spec("molecule_plugins")
    if found is None or not found.submodule_search_locations:
        raise LabError("molecule-plugins is not installed; requirements-machines.txt names its version")
    return Path(found.submodule_search_locations[0], "vagrant/modules")
