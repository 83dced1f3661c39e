# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands. As ``lxcnetaddbr`` the same file is the script that LXC calls when a container starts."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from . import changes, configfile, life, network, options
from .configfile import Config
from .failure import Failure, wrong_parameter

LOG = Path("/run/pct-stand-in.log")
STORAGES = {"local": {"vztmpl", "iso", "snippets"}, "local-lvm": {"rootdir", "images"}, "local-zfs": {"rootdir"}}


def main() -> int:
    words = sys.argv[1:]
    with LOG.open("a") as log:
        log.write(json.dumps([Path(sys.argv[0]).name, *words]) + "\n")
    try:
        if Path(sys.argv[0]).name == "lxcnetaddbr":
            _plug(words)
            return 0
        if not words or words[0] not in COMMANDS:
            raise Failure(f"ERROR: unknown command 'pct {' '.join(words[:1])}' (this is a stand-in for Proxmox' pct)")
        return COMMANDS[words[0]](words[1:]) or 0
    except Failure as failure:
        print(failure, file=sys.stderr)
        return failure.status


def _plug(words: Sequence[str]) -> None:
    if len(words) != 5:
        raise Failure("got unexpected argument count")
    vmid, section, what, kind, device = words
    if (section, what, kind) != ("net", "up", "veth") or os.environ.get("LXC_NAME") != vmid:
        raise Failure("got unexpected argument or environment")
    net = options.network(configfile.load(vmid).current.values["net0"])
    network.run("ip", "link", "set", "dev", device, "up", "mtu", network.bridge_mtu(net["bridge"]))
    network.plug(device, net)


def create(words: Sequence[str]) -> None:
    known = options.ALL | {"storage", "password", "force", "start", "pool", "bwlimit", "unique"}
    given, wanted = options.parse(words, ["vmid", "ostemplate"], known)
    vmid, archive = given["vmid"], given["ostemplate"]
    configfile.check_unused(vmid)
    storage, _colon, size = wanted.pop("rootfs", "local:4").partition(":")
    if storage not in STORAGES:
        raise Failure(f"storage '{storage}' does not exist")
    if "rootdir" not in STORAGES[storage]:
        raise wrong_parameter(storage=f"storage '{storage}' does not support container directories")
    if not archive.startswith("/") or not re.search(r"\.tar(\.(gz|bz2|xz|lzo|zst))?$", archive):
        raise Failure(f"unable to create CT {vmid} - file does not look like a template archive: {archive}")
    if not Path(archive).is_file():
        raise Failure(f"unable to create CT {vmid} - can't find file '{archive}'")
    config = Config()
    unprivileged = options.boolean("unprivileged", wanted.pop("unprivileged", "1"))
    values = {"hostname": f"CT{vmid}", "memory": "512", "swap": "512"}
    values |= {key: options.canonical(key, value) for key, value in wanted.items() if key in options.ALL}
    if "net0" in values:
        network.check_mtu(options.network(values["net0"]))
    config.current.description = values.pop("description", "")
    values |= {"arch": "amd64", "ostype": "debian", "rootfs": f"{storage}:vm-{vmid}-disk-0,size={size}G"}
    values |= {"unprivileged": "1"} if unprivileged == "1" else {}
    config.current.values = values
    with configfile.locked(vmid):
        configfile.save(vmid, config)
    print("extracting archive '" + archive + "'")


def set_options(words: Sequence[str]) -> None:
    given, wanted = options.parse(words, ["vmid"], options.ALL | {"delete", "revert", "digest"})
    vmid = given["vmid"]
    deleted, reverted = (re.findall(r"[a-z]+\d*", wanted.pop(key, "")) for key in ("delete", "revert"))
    with configfile.locked(vmid):
        config = configfile.load(vmid)
        changes.change(vmid, config, wanted, deleted, reverted)
        configfile.save(vmid, config)


def start(words: Sequence[str]) -> None:
    vmid = options.parse(words, ["vmid"], {"debug", "skiplock"})[0]["vmid"]
    if life.is_running(vmid):
        raise Failure(f"CT {vmid} already running")
    with configfile.locked(vmid):
        config = configfile.load(vmid)
        config.check_lock()
        changes.apply(vmid, config)
        configfile.save(vmid, config)
        life.start(vmid, config)


def shutdown(words: Sequence[str]) -> None:
    vmid = options.parse(words, ["vmid"], {"timeout", "forceStop", "skiplock"})[0]["vmid"]
    if not life.is_running(vmid):
        raise Failure(f"CT {vmid} not running")
    with configfile.locked(vmid):
        configfile.load(vmid).check_lock()
        life.stop(vmid)
        config = configfile.load(vmid)
        changes.apply(vmid, config)
        configfile.save(vmid, config)


def destroy(words: Sequence[str]) -> None:
    vmid = options.parse(words, ["vmid"], {"purge", "force", "destroy-unreferenced-disks"})[0]["vmid"]
    config = configfile.load(vmid)
    if config.current.values.get("protection") == "1":
        raise Failure(f"can't remove CT {vmid} - protection mode enabled")
    config.check_lock()
    if life.is_running(vmid):
        raise Failure(f"unable to destroy CT {vmid} - container is running")
    with configfile.locked(vmid):
        configfile.remove(vmid)


def status(words: Sequence[str]) -> None:
    given, flags = options.parse(words, ["vmid"], {"verbose"})
    print(life.status(given["vmid"], configfile.load(given["vmid"]), "verbose" in flags), end="")


def show(words: Sequence[str]) -> None:
    config = configfile.load(options.parse(words, ["vmid"], {"current", "snapshot"})[0]["vmid"])
    print(config.current.text(), end="")


def pending(words: Sequence[str]) -> None:
    config = configfile.load(options.parse(words, ["vmid"], set())[0]["vmid"])
    print("\n".join(changes.pending_lines(config)))


def listed(_words: Sequence[str]) -> None:
    print(f"{'VMID':<10} {'Status':<10} {'Lock':<12} {'Name':<20}")
    for vmid in configfile.vmids():
        values = configfile.load(vmid).current.values
        state = "running" if life.is_running(vmid) else "stopped"
        print(f"{vmid:<10} {state:<10} {values.get('lock', ''):<12} {values.get('hostname', ''):<20}")


def execute(words: Sequence[str]) -> int:
    vmid, command = words[0], list(words[1:])
    if command[:1] == ["--"]:
        del command[0]
    configfile.load(vmid)
    if not life.is_running(vmid):
        raise Failure(f"CT {vmid} not running")
    return life.guest(vmid, *command)


def unlock(words: Sequence[str]) -> None:
    vmid = options.parse(words, ["vmid"], set())[0]["vmid"]
    config = configfile.load(vmid)
    config.current.values.pop("lock", None)
    configfile.save(vmid, config)


def snapshot(words: Sequence[str]) -> None:
    given, _options = options.parse(words, ["vmid", "snapname"], {"description"})
    config = configfile.load(given["vmid"])
    kept = configfile.Section(dict(config.current.values), list(config.current.raw), config.current.description)
    kept.values["snaptime"] = "1795000000"
    config.snapshots[given["snapname"]] = kept
    config.current.values["parent"] = given["snapname"]
    configfile.save(given["vmid"], config)


COMMANDS: dict[str, Callable[[Sequence[str]], int | None]] = {
    "config": show,
    "create": create,
    "destroy": destroy,
    "exec": execute,
    "list": listed,
    "pending": pending,
    "set": set_options,
    "shutdown": shutdown,
    "snapshot": snapshot,
    "start": start,
    "status": status,
    "stop": shutdown,
    "unlock": unlock,
}
