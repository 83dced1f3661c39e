# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Files in the guest that keep its own network programs from taking the address that LXC has set.

The guest owns its file system and may plant symbolic links: no path in it is followed through one.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath

from .._errors import SocketNetworkError
from .._plan import Plan, Step
from .config import FIRST_ID
from .spec import ContainerSpec

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class GuestFile:
    """A file of the guest, written where ``when`` (a path in the guest, "" = always) exists."""

    path: str
    content: str
    when: str = ""


def guest_files(spec: ContainerSpec) -> list[GuestFile]:
    """Host name, and a file for each program that configures networks in common images."""
    networkd = (
        "# Written by op_dbus.socket_network: the address is set by LXC and kept.\n"
        "[Match]\nName=eth0\n\n"
        "[Network]\nDHCP=no\nLinkLocalAddressing=no\nIPv6AcceptRA=no\nKeepConfiguration=yes\n"
        f"Address={spec.address.with_prefixlen}\nGateway={spec.gateway}\n"
    )
    interfaces = (
        "# Written by op_dbus.socket_network: the address of eth0 is set by LXC and kept.\n"
        "auto lo\niface lo inet loopback\n\nauto eth0\niface eth0 inet manual\n"
    )
    return [
        GuestFile("etc/hostname", f"{spec.name}\n"),
        GuestFile("etc/systemd/network/00-op-dbus-eth0.network", networkd, "etc/systemd/network"),
        GuestFile("etc/network/interfaces", interfaces, "etc/network"),
        GuestFile(
            "etc/NetworkManager/conf.d/00-op-dbus.conf",
            "[keyfile]\nunmanaged-devices=interface-name:eth0\n",
            "etc/NetworkManager/conf.d",
        ),
        GuestFile("etc/cloud/cloud.cfg.d/99-op-dbus.cfg", "network: {config: disabled}\n", "etc/cloud/cloud.cfg.d"),
    ]


def plan_guest(spec: ContainerSpec, root: str, *, first_boot: bool = False) -> Plan:
    """Plan that makes the guest's files exact under ``root``; ``first_boot`` also empties an inherited machine id."""
    owner = FIRST_ID if spec.unprivileged else 0
    files = guest_files(spec)
    if first_boot:
        files.append(GuestFile("etc/machine-id", "", "etc/machine-id"))
    steps, before, after = [], [], []
    for file in files:
        if file.when and not exists(root, file.when):
            continue
        have = read(root, file.path)
        if have != file.content:
            steps.append(Step(f"write {file.path} in the guest", partial(write, root, file.path, file.content, owner)))
            before.append("" if have is None else f"# guest {file.path}\n{have}")
            after.append(f"# guest {file.path}\n{file.content}")
    return Plan(tuple(steps), "".join(before), "".join(after))


def exists(root: str, path: str) -> bool:
    with contextlib.suppress(OSError), _parent(root, path) as (parent, name):
        os.stat(name, dir_fd=parent, follow_symlinks=False)
        return True
    return False


def read(root: str, path: str) -> str | None:
    """Text of a regular file of the guest; None when it is missing or anything else."""
    with contextlib.suppress(OSError), _parent(root, path) as (parent, name):
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
        with os.fdopen(descriptor, encoding="utf-8", errors="replace") as stream:
            if stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                return stream.read(65536)
    return None


def write(root: str, path: str, content: str, owner: int) -> None:
    """Replace a file of the guest in one rename; ``owner`` is the host's id of the guest's root."""
    try:
        with _parent(root, path) as (parent, name):
            temporary = f".{name}.{secrets.token_hex(4)}"
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644, dir_fd=parent)
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                os.fchown(stream.fileno(), owner, owner)
                os.fchmod(stream.fileno(), 0o644)
                stream.write(content)
            os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
    except OSError as error:
        raise SocketNetworkError(
            f"Writing {path} into the guest under {root} failed: {error}.",
            fix="its directories must be real ones, without symbolic links.",
        ) from error


@contextlib.contextmanager
def _parent(root: str, path: str) -> Iterator[tuple[int, str]]:
    """The directory of ``path`` below ``root``, opened without following a link, and the last name."""
    parts = PurePosixPath(path).parts
    descriptor = os.open(root, _DIRECTORY)
    try:
        for part in parts[:-1]:
            deeper = os.open(part, _DIRECTORY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = deeper
        yield descriptor, parts[-1]
    finally:
        os.close(descriptor)
