# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger: every resource of a lab is written down before it is made, so that any later run can take it down."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from lab.base import LabError, run, wait_for

URI = "qemu:///system"
VIRSH = ("virsh", "--quiet", "--connect", URI)


def start_time(pid: int) -> str:
    """Start time of a process in clock ticks, which with its id identifies it; empty when there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return ""
    return "" if fields[0] == "Z" else fields[19]


def is_alive(pid: int, started: str) -> bool:
    return bool(started) and start_time(pid) == started


class Ledger:
    """Lines of ``kind value…``: process PID START, netns NAME, mount PATH, directory PATH, cgroup NAME, link NAME,
    table FAMILY NAME (of nft), and of libvirt: domain NAME, network NAME, pool NAME.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def record(self, kind: str, *words: object) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(" ".join([kind, *(str(word) for word in words)]) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def record_process(self, pid: int) -> None:
        self.record("process", pid, start_time(pid))

    def entries(self, kind: str | None = None) -> list[list[str]]:
        if not self.path.exists():
            return []
        lines = [line.split() for line in self.path.read_text().splitlines()]
        return [words for words in lines if words and kind in (None, words[0])]

    def release(self) -> list[str]:
        """Undo all entries, the last one first. Returns what could not be undone; those entries stay written down."""
        left: list[list[str]] = []
        faults: list[str] = []
        for words in reversed(self.entries()):
            try:
                UNDO[words[0]](*words[1:])
            except (LabError, OSError) as error:
                left.insert(0, words)
                faults.append(f"{' '.join(words)}: {error}")
        if left:
            self.path.write_text("".join(" ".join(words) + "\n" for words in left))
        else:
            self.path.unlink(missing_ok=True)
        return faults


def end_process(pid: int, started: str, *, grace: float = 3.0) -> None:
    """SIGTERM, then SIGKILL after ``grace`` seconds; nothing when the id belongs to another process by now."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not is_alive(pid, started):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        with contextlib.suppress(LabError):
            wait_for(f"process {pid} to end", lambda: not is_alive(pid, started), timeout=grace)
            return
    if is_alive(pid, started):
        raise LabError(f"process {pid} survived SIGKILL")


def _undo_process(pid: str, started: str = "") -> None:
    end_process(int(pid), started)


def _undo_netns(name: str) -> None:
    if not Path("/run/netns", name).exists():
        return
    inside = run(["ip", "netns", "pids", name], check=False).stdout.split()
    for pid in inside:
        end_process(int(pid), start_time(int(pid)), grace=1.0)
    run(["ip", "netns", "delete", name])


def remove_tree(path: Path) -> None:
    """Faster than Python's own way for the hundred thousand files of some containers; mounts are not entered."""
    run(["rm", "-rf", "--one-file-system", "--", str(path)], timeout=300)


def _undo_mount(path: str) -> None:
    mounted = any(line.split()[1] == path for line in Path("/proc/mounts").read_text().splitlines())
    if mounted and run(["umount", path], check=False).returncode != 0:
        run(["umount", "--lazy", path])


def _undo_directory(path: str) -> None:
    remove_tree(Path(path))


def cgroup_directories(name: str) -> list[Path]:
    """Where the cgroup ``name`` lives, or would live, in each mounted hierarchy."""
    lines = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return [Path(words[1], name) for words in lines if words[2] in ("cgroup", "cgroup2")]


def _undo_cgroup(name: str) -> None:
    """Whoever is still in it ends."""
    for top in cgroup_directories(name):
        deadline = time.monotonic() + 5.0
        while top.exists():
            for members in top.rglob("cgroup.procs"):
                with contextlib.suppress(OSError):
                    for pid in map(int, members.read_text().split()):
                        if pid > 0:  # zero is a process that this machine does not see
                            os.kill(pid, signal.SIGKILL)
            for directory in [*sorted((p for p in top.rglob("*") if p.is_dir()), reverse=True), top]:
                with contextlib.suppress(OSError):
                    directory.rmdir()
            if top.exists() and time.monotonic() > deadline:
                raise LabError(f"{top} is still in use")
            if top.exists():
                time.sleep(0.05)


def _undo_link(name: str) -> None:
    if Path("/sys/class/net", name).exists():
        run(["ip", "link", "delete", name])


def _undo_table(family: str, name: str) -> None:
    if f"table {family} {name}" in run(["nft", "list", "tables"]).stdout.splitlines():
        run(["nft", "delete", "table", family, name])


def _forgotten_by_libvirt(prefix: str, *options: str) -> Callable[[str], None]:
    """Stop and remove what virsh calls by commands with this prefix; nothing when libvirt knows none of that name."""
    listing = [*VIRSH, f"{prefix}list", "--all", "--name"]

    def undo(name: str) -> None:
        if name in run(listing).stdout.split():
            run([*VIRSH, f"{prefix}destroy", name], check=False)
            run([*VIRSH, f"{prefix}undefine", name, *options])

    return undo


UNDO: dict[str, Callable[..., None]] = {
    "process": _undo_process,
    "netns": _undo_netns,
    "mount": _undo_mount,
    "directory": _undo_directory,
    "cgroup": _undo_cgroup,
    "link": _undo_link,
    "table": _undo_table,
    "domain": _forgotten_by_libvirt("", "--managed-save", "--snapshots-metadata"),
    "network": _forgotten_by_libvirt("net-"),
    "pool": _forgotten_by_libvirt("pool-"),
}
