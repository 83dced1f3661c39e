# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Root file systems: made from a checked archive or a tree beside their place, then put there in one rename."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from .._errors import RefusedError
from .._files import write_atomic
from .._runner import Runner
from . import guest
from .config import FIRST_ID, IDS, ROOT, directory
from .spec import ContainerSpec, Source

DECOMPRESS = {".gz": "--gzip", ".xz": "--xz", ".zst": "--zstd"}
_KEEP = ("--numeric-owner", "--xattrs", "--xattrs-include=*")
_FROM_IMAGE = 'cat -- "$1" | "${@:2}"'
_FROM_TREE = f'tar --create {" ".join(_KEEP[:2])} \'{_KEEP[2]}\' --one-file-system --directory="$1" . | "${{@:2}}"'
_INIT = ("sbin/init", "usr/sbin/init")


def staged(name: str) -> str:
    """Where a container is made ready. LXC takes no notice of it; what a broken run left there is thrown away."""
    return f"{ROOT}/.op-dbus-new-{name}"


def discarded(name: str) -> str:
    return f"{ROOT}/.op-dbus-old-{name}"


def check_source(spec: ContainerSpec) -> None:
    """Refuse a source that is missing or is not the pinned one."""
    source = spec.source
    if source is None:
        raise RefusedError(
            f"Container {spec.name} does not exist and has neither image nor tree to make it from.",
            fix="give it image: {path, sha256} or tree in lxc_service_containers.",
        )
    if not source.sha256:
        if not Path(source.path).is_dir():
            raise RefusedError(f"Container {spec.name}: tree {source.path} is no directory on this host.")
        return
    try:
        with open(source.path, "rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise RefusedError(
            f"Container {spec.name}: image {source.path} cannot be read: {error.strerror}.",
            fix="copy the image to this host before the role lxc_service.",
        ) from error
    if found != source.sha256:
        raise RefusedError(
            f"Container {spec.name}: image {source.path} has sha256 {found}, not the pinned {source.sha256}.",
            fix="get the right image, or pin the new digest.",
        )


def stage(spec: ContainerSpec, source: Source, config: str, runner: Runner) -> None:
    """Make the whole container beside its place: root file system, guest files, configuration."""
    discard(staged(spec.name), runner)
    top = Path(staged(spec.name))
    root = top / "rootfs"
    root.mkdir(parents=True)
    top.chmod(0o755)
    owner = FIRST_ID if spec.unprivileged else 0
    os.chown(root, owner, owner)
    script = _FROM_IMAGE if source.sha256 else _FROM_TREE
    runner.run(
        ["bash", "-o", "pipefail", "-c", script, "unpack", source.path, *_unpack(spec, source, root)],
        what=f"Unpacking {source.path} for container {spec.name}",
    )
    if not any(guest.exists(str(root), path) for path in _INIT):
        raise RefusedError(
            f"Container {spec.name}: {source.path} holds no root file system: it has no /sbin/init.",
            fix="the archive's top must be the guest's /, as mmdebstrap makes it.",
        )
    guest.plan_guest(spec, str(root), first_boot=True).apply()
    write_atomic(str(top / "config"), config)


def install(name: str, runner: Runner) -> None:
    """Put the staged container in its place; what was there is deleted."""
    discard(discarded(name), runner)
    place = Path(directory(name))
    if place.exists():
        place.rename(discarded(name))
    Path(staged(name)).rename(place)
    discard(discarded(name), runner)


def destroy(name: str, runner: Runner) -> None:
    discard(discarded(name), runner)
    place = Path(directory(name))
    if place.exists():
        place.rename(discarded(name))
    discard(discarded(name), runner)
    discard(staged(name), runner)
    Path(f"/var/log/lxc/{name}.log").unlink(missing_ok=True)


def discard(path: str, runner: Runner) -> None:
    """Delete a tree of ours that no container uses. Nothing mounted in it is followed."""
    if os.path.lexists(path):
        runner.run(["rm", "--recursive", "--force", "--one-file-system", "--", path], what=f"Deleting {path}")


def _unpack(spec: ContainerSpec, source: Source, root: Path) -> list[str]:
    """argv of what reads the archive from its standard input. LXC fills /dev itself, and a guest may make no nodes.

    In the guest's own user namespace owners are shifted and file capabilities are valid without a second pass.
    """
    maps = [word for kind in ("u", "g") for word in ("-m", f"{kind}:0:{FIRST_ID}:{IDS}")]
    inside = ["lxc-usernsexec", *maps, "--"] if spec.unprivileged else []
    options = [DECOMPRESS[Path(source.path).suffix]] if source.sha256 and Path(source.path).suffix in DECOMPRESS else []
    without = ["--anchored", "--exclude=./dev/*", "--exclude=dev/*"]
    return [*inside, "tar", "--extract", "--preserve-permissions", *_KEEP, *without, *options, f"--directory={root}"]
