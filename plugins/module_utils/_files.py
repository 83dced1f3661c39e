# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Files that this collection owns on a host: compared whole, replaced atomically, diffed without secrets."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ._plan import Plan, Step


@dataclass(frozen=True, slots=True)
class FileSpec:
    """A file as it should be. ``secret`` files show a digest instead of text in diffs."""

    path: str
    content: str
    mode: int = 0o644
    secret: bool = False


def write_atomic(path: str, content: str, mode: int = 0o644) -> None:
    """Replace ``path`` in one rename; a reader sees the old or the new text, never half of it."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def found(path: str, *, secret: bool = False) -> FileSpec | None:
    """The file as it is on this host, or None when there is none."""
    try:
        status = os.stat(path)
        content = Path(path).read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return None
    return FileSpec(path, content, stat.S_IMODE(status.st_mode), secret)


def shown(spec: FileSpec | None) -> str:
    """``spec`` as lines of a diff."""
    if spec is None:
        return ""
    if spec.secret:
        digest = hashlib.sha256(spec.content.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        body = f"(secret content, sha256 {digest})\n"
    else:
        body = spec.content
    return f"# {spec.path} mode {spec.mode:04o}\n{body}"


def plan_files(
    want: Iterable[FileSpec], absent: Iterable[str] = (), on_change: Callable[[str], None] | None = None
) -> Plan:
    """Plan that makes the files in ``want`` exact and removes those in ``absent``.

    ``on_change`` is told each path after it has been changed, so that a caller can reload only what is concerned.
    """
    steps: list[Step] = []
    before: list[str] = []
    after: list[str] = []

    def write(spec: FileSpec) -> None:
        write_atomic(spec.path, spec.content, spec.mode)
        if on_change:
            on_change(spec.path)

    def remove(path: str) -> None:
        Path(path).unlink(missing_ok=True)
        if on_change:
            on_change(path)

    for spec in sorted(want, key=lambda item: item.path):
        have = found(spec.path, secret=spec.secret)
        if have != spec:
            steps.append(Step(f"{'create' if have is None else 'update'} {spec.path}", partial(write, spec)))
            before.append(shown(have))
            after.append(shown(spec))
    for path in sorted(absent):
        have = found(path)
        if have is not None:
            steps.append(Step(f"remove {path}", partial(remove, path)))
            before.append(f"# {path}\n")
    return Plan(tuple(steps), "".join(before), "".join(after))
