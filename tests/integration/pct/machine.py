# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for a Proxmox host: namespaces over this machine, with the stand-in for `pct` and a real Open vSwitch."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.base import wait_for
from tests.standins.programs import build_pct

ROOT = Path(__file__).resolve().parents[3]
CALL = "from tests.integration.ovs.conftest import main; main({!r}, {!r})"
SETUP = r"""
set -e
mount -t tmpfs tmpfs "$1"
for tree in etc usr/share usr/local/lib; do
    mkdir -p "$1/$tree" "$1/scratch/$tree"
    mount -t overlay overlay -o "lowerdir=/$tree,upperdir=$1/$tree,workdir=$1/scratch/$tree" "/$tree"
done
mount -t tmpfs tmpfs /run
mount -t sysfs sysfs /sys
rm -rf /etc/op-dbus /usr/local/lib/op-dbus
mkdir -p /etc/pve/lxc /usr/share/lxc /run/openvswitch
echo '{"ids": {}}' > /etc/pve/.vmlist
install -m 755 "$2" /usr/share/lxc/lxcnetaddbr
echo template > /run/debian.tar.zst
ip link set lo up
ovsdb-tool create /run/openvswitch/conf.db /usr/share/openvswitch/vswitch.ovsschema
set -- --detach --no-chdir --pidfile -vconsole:off
ovsdb-server "$@" --log-file=/run/openvswitch/ovsdb.log --remote=punix:/run/openvswitch/db.sock /run/openvswitch/conf.db
ovs-vsctl --no-wait init
ovs-vswitchd "$@" --log-file=/run/openvswitch/vswitchd.log --enable-dummy=system
ovs-vsctl --timeout=20 add-br mesh -- set Bridge mesh fail_mode=secure protocols=OpenFlow10,OpenFlow15 \
    external_ids:op-dbus-owner=socket_bridge
ip link add mesh type veth peer name mesh-end
"""
"""Kernel devices are real. The switch takes them by their name only (a dummy datapath of type system), so the bridge's
own device is put beside it.
"""

TEARDOWN = "kill $(cat /run/pct-stand-in/* /run/openvswitch/*.pid 2>/dev/null) 2>/dev/null"
PROGRAM = "pct-stand-in"


class Machine:
    """``directory`` is for what the namespaces hold in place of this machine's directories."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "layers").mkdir()
        program = build_pct(directory)
        program.rename(directory / "pct")
        argv = ["unshare", "--mount", "--net", "--propagation", "private", "sleep", "infinity"]
        self.holder = subprocess.Popen(argv, start_new_session=True)
        here = os.readlink("/proc/self/ns/net")
        wait_for("the namespaces", lambda: os.readlink(f"/proc/{self.holder.pid}/ns/net") != here)
        wait_for("the program", lambda: Path(f"/proc/{self.holder.pid}/comm").read_text().strip() == "sleep")
        try:
            self.run("sh", "-c", SETUP, "setup", str(directory / "layers"), str(directory / "pct"))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self.run("sh", "-c", TEARDOWN, check=False)
        self.holder.kill()
        self.holder.wait()
        shutil.rmtree(self.directory)

    def enter(self, *argv: str) -> list[str]:
        return ["nsenter", f"--target={self.holder.pid}", "--mount", "--net", f"--wd={ROOT}", *argv]

    def run(
        self, *argv: str, check: bool = True, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PATH": f"{self.directory}:{os.environ['PATH']}", **(env or {})}
        done = subprocess.run(
            self.enter(*argv), env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        if check and done.returncode:
            raise RuntimeError(f"{argv} on the stand-in for Proxmox: {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def sh(self, script: str) -> str:
        return self.run("sh", "-c", script).stdout.strip()

    def pct(self, *words: str, check: bool = True) -> str:
        """Output of the stand-in for pct, as somebody else would call it."""
        done = self.run("pct", *words, check=check)
        return done.stdout + done.stderr

    def module(self, module: str, check: bool, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Run a module there as Ansible would. Returns its result."""
        settings = {"_ansible_check_mode": check, "_ansible_diff": True}
        encoded = json.dumps({"ANSIBLE_MODULE_ARGS": {**arguments, **settings}})
        path = f"{ROOT / '.collections'}:{ROOT}"
        done = self.run(sys.executable, "-c", CALL.format(module, encoded), check=False, env={"PYTHONPATH": path})
        if not done.stdout.lstrip().startswith("{"):
            raise RuntimeError(done.stdout + done.stderr)
        return {"failed": False, **json.loads(done.stdout)}

    def calls(self) -> list[list[str]]:
        """What changed something, of all that was asked of the stand-in since the last time; then it is forgotten."""
        log = "/run/pct-stand-in.log"
        lines = self.sh(f"cat {log}; : > {log}").splitlines()
        told = [[str(word) for word in json.loads(line)] for line in lines]
        return [words[1:] for words in told if words[0] == "pct" and words[1] not in ("status", "config")]
