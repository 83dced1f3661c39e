# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What is on the host now, and whether the request may be carried out at all."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from .._errors import RefusedError
from .._runner import Runner
from . import layout, texts
from .layout import Wanted

DOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+")
_PATH = re.compile(r"/[\w./@+-]*")
_DESCRIPTION = re.compile(r"^Description=Netmaker: server (\S+)$", re.MULTILINE)
TOOLS = {"nft": "nftables", "openssl": "openssl", "sqlite3": "sqlite3", "caddy": "caddy", "mosquitto": "mosquitto"}


def wanted_of(params: dict[str, Any]) -> Wanted:
    """The module's parameters, checked for what would break out of a file that they are written to."""
    if not DOMAIN.fullmatch(params["domain"]):
        raise RefusedError(f"domain {params['domain']!r} is no domain name.", fix="write it like nm.example.org.")
    for name in ("program", "certificate_file", "key_file", "backup_directory"):
        if params[name] is not None and not _PATH.fullmatch(params[name]):
            raise RefusedError(
                f"{name} {params[name]!r} is no plain absolute path.", fix="use letters, digits and ._@+-/."
            )
    return Wanted(
        program=params["program"],
        version=params["version"],
        domain=params["domain"],
        address=params["public_address"],
        api_port=params["api_port"],
        broker_port=params["broker_port"],
        admin=params["admin_username"],
        master_key=params["master_key"],
        admin_password=params["admin_password"],
        broker_password=params["broker_password"],
        certificate=params["certificate_file"],
        key=params["key_file"],
        settings=params["settings"],
        backups=params["backup_directory"],
        keep=params["backup_keep"],
    )


def check_tools(wanted: Wanted) -> None:
    """Refuse to go on without the programs; check mode does, on a host that has nothing yet."""
    missing = sorted(package for tool, package in TOOLS.items() if shutil.which(tool) is None)
    if missing:
        raise RefusedError(
            f"Programs are missing on the host: {', '.join(missing)}.", fix=f"apt install {' '.join(missing)}"
        )
    if not Path(wanted.program).exists():
        raise RefusedError(f"There is no program {wanted.program}.", fix="set netmaker_server_program.")


def version_on_disk() -> str | None:
    """What the unit says that we wrote; None without one."""
    try:
        found = _DESCRIPTION.search(Path(layout.UNITS, layout.SERVER).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return found[1] if found else None


def old_programs(wanted: Wanted | None) -> list[str]:
    """Programs of other versions than the wanted one; of all versions without one."""
    directory, prefix = Path(layout.PROGRAMS).parent, Path(layout.PROGRAMS).name
    found = (str(path) for path in directory.glob(f"{prefix}[0-9]*"))
    return sorted(path for path in found if wanted is None or path != wanted.program)


def filter_stands(runner: Runner) -> bool:
    """Whether the kernel has our table as it should be."""
    if shutil.which("nft") is None:
        return False
    argv = ["nft", "--stateless", "list", "table", "inet", layout.TABLE]
    return runner.run(argv, ok=(0, 1), what="Reading the packet filter").stdout == texts.table()


def unused_units(runner: Runner, names: list[str]) -> list[str]:
    """Those of Debian's units ``names`` whose configuration nobody touched: they are on because the package is."""
    changed = runner.run(["dpkg", "--verify", "mosquitto", "caddy"], ok=(0, 1), what="Looking for changes").stdout
    own = any(Path("/etc/mosquitto/conf.d").glob("*.conf"))
    return [
        name
        for name in names
        if layout.DEBIAN[name] not in changed.split() and not (own and name == "mosquitto.service")
    ]
