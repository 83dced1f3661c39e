# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""On an emulated machine: keep what Python compiled of the archives that Ansible sends with each task.

Python does that for files and not for archives, so that every task compiles some hundred modules again; emulated, that
is a third of its time. The .pth file beside it loads it at each start of Python, so it imports only what is there.
"""

from __future__ import annotations

import _imp
import marshal
import os
import zipimport

WHERE = "/var/cache/lab-archives"
compile_source = zipimport._compile_source  # type: ignore[attr-defined]  # private, and there since Python 3.8


def compile_once(pathname: str, source: bytes) -> object:
    key = _imp.source_hash(0, pathname.rpartition(".zip/")[2].encode() + b"\0" + source)
    name = os.path.join(WHERE, key.hex())
    if os.path.exists(name):
        try:
            with open(name, "rb") as file:
                return marshal.load(file)
        except (OSError, EOFError, ValueError, TypeError):  # what a power cut left of it
            pass
    code = compile_source(pathname, source)
    keep(name, marshal.dumps(code))
    return code


def keep(name: str, data: bytes) -> None:
    try:
        os.makedirs(WHERE, exist_ok=True)
        part = name + "." + str(os.getpid())
        with open(part, "wb") as file:
            file.write(data)
        os.replace(part, name)
    except OSError:  # a full or read-only disk, or a user who may not write there: then without
        pass


zipimport._compile_source = compile_once  # type: ignore[attr-defined]
