# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's commands: run, up, down, status. `lab/run` prepares the machine and calls this."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from types import FrameType

from lab import base, interrupted, probe, remote, rootfs
from lab.base import LabError
from lab.current import current
from lab.mesh import MESHES, NETMAKER
from lab.progress import LOGS, Progress, run_logged, tail
from lab.topology import Lab
from lab.vm.topology import MachineLab

PLAY_TIMEOUT, PROOF_TIMEOUT, LONG_PROOF_TIMEOUT = 600.0, 1800.0, 7200.0
TOLD_CHANGES = 40


class Interrupted(Exception):
    """A signal asked for the end."""


def run(progress: Progress, lab: Lab, *, every_proof: bool) -> None:
    """The main job: from nothing to a proven network that a second run leaves alone."""
    up(progress, lab, owner=os.getpid())
    check_fresh(progress, lab)
    site(progress, lab, "site.yml, first run")
    prove(progress, every_proof=every_proof)
    recap = site(progress, lab, "site.yml, second run")
    if any(counts["changed"] for counts in recap.values()):
        raise LabError("the second run changed something; a converged host must stay as it is")
    progress.say(f"second run: changed=0 on every host{lab.remark}")


def attempt(progress: Progress, work: Callable[[], None]) -> int:
    """Do some work and return the exit status; a failure is told at once, before anything is taken down."""
    try:
        work()
    except Exception as error:
        tell_failure(progress, error)
        return 130 if isinstance(error, Interrupted) else 1
    return 0


def tell_failure(progress: Progress, error: Exception) -> None:
    base.COMMANDS.resume()
    if isinstance(error, Interrupted):
        progress.show(f"==> {progress.clock} interrupted ({error}) in step: {progress.step}")
        return
    progress.show(f"==> {progress.clock} FAILED in step: {progress.step} (logs: {LOGS})\n{error}")
    if not isinstance(error, (LabError, OSError)):
        traceback.print_exception(error)


def up(progress: Progress, lab: Lab, owner: int | None = None) -> None:
    progress.start("systems of hosts and containers")
    systems = rootfs.build(progress.say, lab.release)
    progress.start(f"lab: networks, internet, WARP peer and {len(lab.hosts)} booted hosts, mesh {lab.mesh.name}")
    lab.up(systems, progress.say, owner=owner)


def down(progress: Progress, lab: Lab) -> None:
    progress.start("taking the lab down")
    if lab.has_kernels and lab.is_up:
        keep_journals(lab)
    lab.down()


def check_fresh(progress: Progress, lab: Lab) -> None:
    """`--check --diff` on hosts that nobody provisioned yet must tell of changes and make none."""
    recap = site(progress, lab, "site.yml --check --diff, fresh hosts", "--check", "--diff")
    if lab.has_kernels:
        return
    for host in lab.hosts.values():
        before, after = lab.fresh_state(host), probe.state(host)
        if changes := probe.difference(before, after):
            raise LabError(f"check mode changed {host.name}:\n" + "\n".join(changes[:TOLD_CHANGES]))
        progress.say(
            f"{host.name}: would change {recap[host.name]['changed']}; all {len(after)} items of state as before"
        )


def site(progress: Progress, lab: Lab, step: str, *options: str) -> dict[str, dict[str, int]]:
    """Run site.yml on the lab. Returns the recap."""
    progress.start(step)

    def on_line(line: str) -> None:
        if task := re.match(r"TASK \[(?:op_dbus\.socket_network\.)?(.*)\] \*", line):
            progress.say(task[1])

    argv = [remote.tool("ansible-playbook"), "-i", lab.mesh.inventory, "site.yml", *options]
    status, output = run_logged(
        step, argv, environment=remote.ansible_environment(), on_line=on_line, timeout=PLAY_TIMEOUT
    )
    if status != 0:
        raise LabError(f"ansible-playbook ended with {status}\n{tail(output)}")
    return remote.parse_recap(output)


def prove(progress: Progress, *, every_proof: bool) -> None:
    """Run the proofs of tests/e2e; they print their table themselves."""
    progress.start("proofs: connections, counters and captures")
    # Those that disturb hosts take minutes each: a line for every proof as it ends.
    options = ["-p", "no:cacheprovider", "--color=no", *(["--verbose"] if every_proof else ["-m", "not drift"])]
    argv = [sys.executable, "-m", "pytest", *options, "tests/e2e"]
    timeout = LONG_PROOF_TIMEOUT if interrupted.every_task() else PROOF_TIMEOUT
    status, _output = run_logged(
        "proofs", argv, environment={"PYTHONPATH": str(base.REPOSITORY)}, on_line=progress.show, timeout=timeout
    )
    if status != 0:
        raise LabError(f"proofs failed (pytest ended with {status})")


def keep_journals(lab: Lab) -> None:
    """What the hosts logged, for whoever looks at a failure after the lab is gone."""
    for host in lab.hosts.values():
        with contextlib.suppress(LabError, OSError):
            journal = host.run(["journalctl", "--boot", "--no-pager"], check=False).stdout
            (LOGS / f"journal-{host.name}.log").write_text(journal)


def leave_up(progress: Progress, lab: Lab) -> None:
    (lab.directory / "owner").unlink(missing_ok=True)
    progress.start("the lab stays up")
    progress.say(f"ansible-playbook -i {lab.mesh.inventory} site.yml -l oo1424oo")
    progress.say("ssh -F /run/socket-network-lab/ssh_config oo1424oo")
    progress.say("lab/run down")


def status(lab: Lab) -> None:
    if not lab.directory.exists():
        print("no lab is up")
        return
    print(f"mesh: {lab.mesh.name}{lab.remark}")
    for host in lab.hosts.values():
        print(f"{host.name}: {'running' if host.is_running else 'down'}, console log {host.log}")
    owner = lab.owner()
    print(f"owned by process {owner}" if owner else "owned by nobody: `lab/run down` takes it down")


@contextlib.contextmanager
def only_one() -> Iterator[None]:
    base.RUN.mkdir(parents=True, exist_ok=True)
    with (base.RUN / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise LabError("another command of the lab is at work on this machine") from error
        yield


def interrupt(number: int, _frame: FrameType | None) -> None:
    """The first signal ends the work; taking down is not to be disturbed by a second one."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    base.COMMANDS.interrupt()
    raise Interrupted(signal.Signals(number).name)


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="lab/run", description="The embedded lab of op_dbus.socket_network.")
    parser.add_argument("command", nargs="?", choices=("run", "up", "down", "status"), default="run")
    parser.add_argument(
        "--mesh", choices=tuple(MESHES), help=f"what joins the hosts of a new lab ({NETMAKER.name} if not given)"
    )
    parser.add_argument("--machines", action="store_true", help="virtual machines with kernels of their own as hosts")
    parser.add_argument("--keep", action="store_true", help="leave the lab up, also after a failure")
    parser.add_argument("--all", action="store_true", help="also the proofs that break and mend hosts (ten minutes)")
    return parser.parse_args(words)


def choose(arguments: argparse.Namespace) -> Lab:
    if arguments.command not in ("run", "up"):
        return current()
    mesh = arguments.mesh or NETMAKER.name
    return MachineLab(mesh) if arguments.machines else Lab(mesh)


def main(words: list[str]) -> int:
    arguments, progress = parse(words), Progress(float(os.environ.get("LAB_HEAD_START", "0")))
    lab = choose(arguments)
    if arguments.command == "status":
        status(lab)
        return 0
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, interrupt)
    work = {
        "run": lambda: run(progress, lab, every_proof=arguments.all),
        "up": lambda: up(progress, lab),
        "down": lambda: down(progress, lab),
    }[arguments.command]
    try:
        with only_one():
            result = attempt(progress, work)
            if result:
                keep_journals(lab)
            if lab.is_up and (arguments.keep or (arguments.command, result) == ("up", 0)):
                leave_up(progress, lab)
            elif arguments.command != "down":
                result = max(result, attempt(progress, lambda: down(progress, lab)))
    except LabError as error:
        result = 1
        progress.show(str(error))
    if result == 0:
        progress.show(f"==> {progress.clock} done (logs: {LOGS})")
    return result


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
