# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints the state of the host it runs on as JSON: {what: value}. The lab hands it to a host's python3 on stdin."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator

TOPS = ("/etc", "/usr/local", "/var/lib", "/root")
VOLATILE = (
    "/etc/.updated",
    "/etc/ld.so.cache",
    "/etc/openvswitch/",
    "/root/.ansible",
    "/var/lib/apt/",
    "/var/lib/dpkg/lock",
    "/var/lib/lxc/",
    "/var/lib/lxcfs",
    "/var/lib/openvswitch/",
    "/var/lib/private",
    "/var/lib/systemd/",
)
"""Changed by the system itself, or seen better another way (OVSDB by its tables, containers by their list)."""
OVSDB = {
    "Bridge": "name,fail_mode,protocols,datapath_type,external_ids",
    "Port": "name,external_ids",
    "Interface": "name,type,mac,ofport_request,external_ids",
}


def files() -> Iterator[tuple[str, list[object]]]:
    for top in TOPS:
        for folder, _folders, names in os.walk(top):
            for path in [folder + "/", *(os.path.join(folder, name) for name in names)]:
                if not path.startswith(VOLATILE):
                    yield path, describe(path)


def describe(path: str) -> list[object]:
    status = os.lstat(path)
    about: list[object] = [stat.filemode(status.st_mode), status.st_uid, status.st_gid]
    if stat.S_ISLNK(status.st_mode):
        about.append(os.readlink(path))
    elif stat.S_ISREG(status.st_mode):
        with open(path, "rb") as file:
            about.append(hashlib.sha256(file.read()).hexdigest())
    return about


def said(*argv: str) -> list[str]:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return [line.rstrip() for line in done.stdout.splitlines()] if done.returncode == 0 else []


def switch() -> Iterator[str]:
    for table, columns in OVSDB.items():
        listing = said("ovs-vsctl", "--format=csv", "--no-headings", f"--columns={columns}", "list", table)
        yield from (f"ovs {table} {line}" for line in listing)
    for bridge in said("ovs-vsctl", "list-br"):
        dump = said("ovs-ofctl", "-O", "OpenFlow15", "--names", "--no-stats", "dump-flows", bridge)
        yield from (f"flow {bridge} {line}" for line in dump)


def network() -> Iterator[tuple[str, object]]:
    for link in json.loads("\n".join(said("ip", "-j", "address")) or "[]"):
        if link["ifname"] != "ovs-netdev":
            addresses = [entry["local"] for entry in link["addr_info"] if entry["family"] == "inet"]
            yield f"link {link['ifname']}", [link.get("address"), link["mtu"], addresses]
    for line in said("ip", "-4", "rule") + said("ip", "-4", "route", "show", "table", "all"):
        yield f"route {line}", True
    for line in said("nft", "--stateless", "list", "ruleset"):
        yield f"nft {line}", True


def units() -> Iterator[tuple[str, object]]:
    """Which units exist, and for those of services that run the process id, which tells of a restart."""
    for line in said("systemctl", "list-unit-files", "--no-legend", "--no-pager"):
        yield "unit " + " ".join(line.split()[:2]), True
    active = said("systemctl", "list-units", "--no-legend", "--plain", "--type=service", "--state=active")
    for unit in (line.split()[0] for line in active):
        if not unit.startswith(("user", "systemd-", "session", "apt")):
            yield f"active {unit}", said("systemctl", "show", "--property=MainPID", "--value", unit)


if __name__ == "__main__":
    state: dict[str, object] = {f"file {path}": about for path, about in files()}
    state |= dict.fromkeys(switch(), True)
    state |= dict(network())
    state |= dict(units())
    state |= {"lxc " + " ".join(line.split()): True for line in said("lxc-ls", "-f", "-F", "NAME,STATE,PID,IPV4")}
    json.dump(state, sys.stdout)
