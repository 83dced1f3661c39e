# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian archives of this machine, read from its apt configuration: the lab's systems come from the same mirror."""

from __future__ import annotations

import re
from pathlib import Path

from lab.base import LabError, run

APT = Path("/etc/apt")
NUMBERS = {"bookworm": "12", "trixie": "13"}
"""Releases that hosts and containers can be made of."""


def release() -> tuple[str, str]:
    """This machine's Debian release as (code name, number), for example ("bookworm", "12")."""
    words = dict(re.findall(r'^(\w+)="?([^"\n]*)', Path("/etc/os-release").read_text(), re.MULTILINE))
    if words.get("ID") != "debian" or "VERSION_CODENAME" not in words:
        raise LabError("the lab runs on a Debian 12 or 13 machine; /etc/os-release tells of another system")
    codename: str = words["VERSION_CODENAME"]
    return codename, words.get("VERSION_ID") or codename


def _one_line_style(text: str) -> list[tuple[str, str, list[str]]]:
    found = re.findall(r"^\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+(.+)$", text, re.MULTILINE)
    return [(uri, suite, components.split("#")[0].split()) for uri, suite, components in found]


def _deb822_style(text: str) -> list[tuple[str, str, list[str]]]:
    entries = []
    for stanza in re.split(r"\n\s*\n", text):
        lines = [line for line in stanza.splitlines() if not line.startswith("#")]
        fields = {k.strip().lower(): v.split() for k, sep, v in (line.partition(":") for line in lines) if sep}
        if "deb" in fields.get("types", []) and fields.get("enabled", ["yes"]) != ["no"]:
            entries += [(u, s, fields.get("components", [])) for u in fields["uris"] for s in fields["suites"]]
    return entries


def debian_sources(codename: str) -> list[str]:
    """One-line apt sources of a release and its updates. Other archives (of vendors) are left out.

    A release that the machine does not name itself comes from the mirrors of its own.
    """
    entries: list[tuple[str, str, list[str]]] = []
    for path in [APT / "sources.list", *sorted((APT / "sources.list.d").glob("*"))]:
        if path.suffix == ".sources":
            entries += _deb822_style(path.read_text())
        elif path.suffix == ".list" and path.is_file():
            entries += _one_line_style(path.read_text())
    wanted = _of_release(entries, codename, codename) or _of_release(entries, release()[0], codename)
    if not any(suite == codename for _uri, suite in wanted):
        raise LabError(f"/etc/apt names no Debian mirror for {codename} main")
    keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
    return [f"deb [signed-by={keys}] {uri} {suite} main" for uri, suite in dict.fromkeys(wanted)]


def _of_release(entries: list[tuple[str, str, list[str]]], named: str, wanted: str) -> list[tuple[str, str]]:
    """Mirror and suite of each entry of the release ``named``, for the release ``wanted``."""
    suites = {f"{named}{kind}": f"{wanted}{kind}" for kind in ("", "-updates", "-security")}
    return [(uri, suites[suite]) for uri, suite, components in entries if suite in suites and "main" in components]


def proxy_options() -> list[str]:
    """apt's own proxy and TLS settings as mmdebstrap arguments, for machines that reach their mirror only that way."""
    dump = run(["apt-config", "dump", "Acquire::http", "Acquire::https"], check=False).stdout
    wanted = re.findall(r'^(Acquire::https?::(?:Proxy|CaInfo|Verify-Peer)[\w:.-]*) "([^"]+)";', dump, re.MULTILINE)
    return [f'--aptopt={key} "{value}"' for key, value in wanted]


def architecture() -> str:
    return run(["dpkg", "--print-architecture"]).stdout.strip()
