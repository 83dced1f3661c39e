# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Bring a backup back: database, CA and certificate, on this host or on a new one."""

from __future__ import annotations

import pwd
import shutil
import tarfile
from pathlib import Path

from .._errors import RefusedError
from . import layout
from .layout import Wanted
from .scripts import BACKED_UP
from .versions import check_step

_LARGEST = 1 << 20
_FROM_INVENTORY = (layout.ENVIRONMENT, layout.PASSWORDS)
"""In the backup for whoever has lost the inventory, too; here the inventory says it."""


def check_backup(path: str, wanted: Wanted) -> None:
    """Refuse what is no backup, and one of a version that the program must not take over."""
    try:
        with tarfile.open(path) as archive:
            version = _text(archive, "version")
            archive.getmember("./netmaker.db")
    except (OSError, tarfile.TarError, KeyError) as error:
        raise RefusedError(
            f"{path} is no backup of this role: {error}",
            fix="give one of the files netmaker-*.tar.gz that netmaker-backup made.",
        ) from None
    check_step(version.strip(), wanted.version, "The server that made the backup")


def restore(path: str) -> None:
    """Put the backup's files in place. The server must be stopped."""
    with tarfile.open(path) as archive:
        names = set(archive.getnames())
        for target in BACKED_UP:
            name = f"./{Path(target).name}"
            if name in names and target not in _FROM_INVENTORY:
                _write(archive, name, target, 0o644 if target.endswith(".crt") else 0o600)
        owner = pwd.getpwnam(layout.USER)
        for place in (Path(layout.DATA), Path(layout.DATABASE).parent):
            place.mkdir(mode=0o700, exist_ok=True)
            shutil.chown(place, owner.pw_uid, owner.pw_gid)
        for suffix in ("-wal", "-shm"):
            Path(layout.DATABASE + suffix).unlink(missing_ok=True)
        _write(archive, "./netmaker.db", layout.DATABASE, 0o600)
        shutil.chown(layout.DATABASE, owner.pw_uid, owner.pw_gid)


def _write(archive: tarfile.TarFile, name: str, target: str, mode: int) -> None:
    source = archive.extractfile(name)
    if source is None:
        raise RefusedError(f"{name} in the backup is no file.", fix="use another backup.")
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(f"{target}.restored")
    with source, temporary.open("wb") as stream:
        temporary.chmod(mode)
        shutil.copyfileobj(source, stream)
    temporary.replace(target)


def _text(archive: tarfile.TarFile, name: str) -> str:
    source = archive.extractfile(f"./{name}")
    if source is None:
        raise KeyError(name)
    with source:
        return source.read(_LARGEST).decode("utf-8", "replace")
