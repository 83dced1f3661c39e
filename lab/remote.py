# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ssh and Ansible to the lab's hosts, through the lab's own namespace: no route of this machine is involved."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lab import base
from lab.base import REPOSITORY, LabError, wait_for

if TYPE_CHECKING:
    from lab.host import Host
    from lab.netns import Namespace


@dataclass(frozen=True, slots=True)
class PlaybookRun:
    """``returncode`` and output of ansible-playbook, and its recap as {host: {"changed": 0, "failed": 0, …}}."""

    returncode: int
    output: str
    recap: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def changed(self) -> int:
        return sum(counts["changed"] for counts in self.recap.values())


def install_keys(root: Path, directory: Path, name: str, address: str, fabric: Namespace) -> None:
    """Throw-away keys, the host's own and the one of its visitors, and ``directory``/ssh_config for their use."""
    host_key, login_key = directory / "host_key", directory / "login_key"
    for path in (host_key, login_key):
        base.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "socket-network lab", "-f", str(path)])
    for suffix, mode in (("", 0o600), (".pub", 0o644)):
        target = root / f"etc/ssh/ssh_host_ed25519_key{suffix}"
        shutil.copyfile(f"{host_key}{suffix}", target)
        target.chmod(mode)
    authorized = root / "root/.ssh/authorized_keys"
    authorized.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    authorized.write_text(login_key.with_suffix(".pub").read_text())
    known = directory / "known_hosts"
    known.write_text(f"{name} {' '.join(host_key.with_suffix('.pub').read_text().split()[:2])}\n")
    options = {
        "HostName": address,
        "HostKeyAlias": name,
        "User": "root",
        "IdentityFile": login_key,
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": known,
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "ProxyCommand": f"nsenter --net={fabric.path} nc %h %p",
        "LogLevel": "ERROR",
    }
    (directory / "ssh_config").write_text(f"Host {name}\n" + "".join(f"  {k} {v}\n" for k, v in options.items()))


def wait_for_ssh(fabric: Namespace, address: str, name: str) -> None:
    """Until the server greets; it also closes connections for a moment while it starts."""

    def greets() -> bool:
        probe = fabric.enter("nc", "-w", "2", address, "22")
        return base.run(probe, data="", check=False, timeout=5).stdout.startswith("SSH-")

    wait_for(f"ssh on {name}", greets, timeout=30.0, interval=0.2)


def forget_connections(fabric: Namespace, address: str) -> None:
    """End ssh connections that Ansible keeps open to a host that is down: they would hang when it is back."""
    for word in base.run(["ip", "netns", "pids", fabric.name], check=False).stdout.split():
        with contextlib.suppress(OSError):
            if Path(f"/proc/{word}/cmdline").read_bytes() == f"nc\0{address}\x0022\0".encode():
                os.kill(int(word), signal.SIGTERM)


def tool(name: str) -> str:
    """A command of the Python environment that runs us, else the one on PATH."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise LabError(f"{name} is not installed; lab/bootstrap.sh makes the environment that has it")
    return found


def ansible_environment(**extra: str) -> dict[str, str]:
    return {
        **os.environ,
        "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_FORCE_COLOR": "0",
        "LC_ALL": "C.UTF-8",
        **extra,
    }


def run_module(
    host: Host, module: str, arguments: Mapping[str, object], *, check: bool = False, diff: bool = False
) -> dict[str, object]:
    """Run one module on a host. Returns its result, ``failed`` being True or False."""
    with tempfile.TemporaryDirectory(prefix="snl-") as tree:
        plays = [{"hosts": "all", "gather_facts": False, "tasks": [{"name": "Run module", module: dict(arguments)}]}]
        keep = {"ANSIBLE_CALLBACKS_ENABLED": "ansible.builtin.tree", "ANSIBLE_CALLBACK_TREE_DIR": tree}
        done = run_playbook(host, plays, environment=keep, check=check, diff=diff)
        result = Path(tree, host.name)
        if not result.exists():
            raise LabError(f"{module} on {host.name} gave no result: {done.output[-2000:]}")
        return {"failed": done.returncode != 0, **json.loads(result.read_text())}


def run_playbook(
    host: Host,
    plays: object,
    *,
    check: bool = False,
    diff: bool = False,
    extra: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
) -> PlaybookRun:
    """Run plays given as data on one host."""
    with tempfile.TemporaryDirectory(prefix="snl-") as scratch:
        inventory, book = Path(scratch, "hosts.ini"), Path(scratch, "plays.yml")
        inventory.write_text(host.inventory_line + "\n")
        book.write_text(json.dumps(plays))
        book.chmod(0o600)
        flags = [flag for flag, wanted in (("--check", check), ("--diff", diff)) if wanted]
        return playbook(str(book), inventory=str(inventory), options=flags, extra=extra, environment=environment)


def playbook(
    book: str,
    *,
    inventory: str,
    options: Sequence[str] = (),
    extra: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    timeout: float = 900.0,
) -> PlaybookRun:
    """Run ansible-playbook from the repository's root. Extra variables travel in a file that only root reads."""
    with tempfile.TemporaryDirectory(prefix="snl-") as scratch:
        variables = Path(scratch, "extra.json")
        variables.write_text(json.dumps(dict(extra or {})))
        variables.chmod(0o600)
        argv = [tool("ansible-playbook"), "-i", inventory, book, "--extra-vars", f"@{variables}", *options]
        done = subprocess.run(
            argv,
            env=ansible_environment(**(environment or {})),
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
    return PlaybookRun(done.returncode, done.stdout, parse_recap(done.stdout))


def parse_recap(output: str) -> dict[str, dict[str, int]]:
    """The counts under PLAY RECAP."""
    recap = output.rpartition("PLAY RECAP")[2].splitlines()[1:]
    counts: dict[str, dict[str, int]] = {}
    for line in recap:
        name, _colon, words = line.partition(":")
        if " ok=" in words:
            counts[name.strip()] = {
                key: int(value) for key, _equals, value in (word.partition("=") for word in words.split())
            }
    return counts
