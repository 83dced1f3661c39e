# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection works from a plain clone, from its tarball and from a git repository, each without a registry."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
import yaml
from having import NAME, ROOT, Setup

HERE = Path(__file__).resolve().parent
MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py"))
FILTERS = sorted(path.stem for path in (ROOT / "plugins" / "filter").glob("*.py"))
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())


def test_site_is_understood(setup: Setup, inventory: Path) -> None:
    setup.playbook("-i", str(inventory), setup.site, "--syntax-check")


def test_site_is_limited_to_one_host(setup: Setup, inventory: Path) -> None:
    listed = setup.playbook("-i", str(inventory), setup.site, "--list-hosts", "-l", "oo1424oo")
    assert "oo1424oo" in listed
    assert "vps-gateway" not in listed


def test_site_reaches_the_tasks_of_every_role(setup: Setup, inventory: Path) -> None:
    listed = setup.playbook("-i", str(inventory), setup.site, "--list-tasks")
    assert [role for role in ROLES if role not in listed] == []


def test_filters_compile_the_completed_example(setup: Setup, inventory: Path) -> None:
    told = setup.playbook("-i", str(inventory), str(HERE / "filters.yml"))
    assert told.count("failed=0") == 2
    assert told.count("ok=2") == 2


def test_packet_is_followed_through_the_completed_example(setup: Setup, inventory: Path) -> None:
    packet = "from=xray-server to=xray-client protocol=tcp port=443"
    told = setup.playbook("-i", str(inventory), setup.trace, "-e", packet)
    assert "arrives at container xray-client of oo1424oo" in " ".join(told.split())


def test_example_with_its_placeholders_is_refused(setup: Setup, clone: Path) -> None:
    argv = ["-i", str(clone / "inventories" / "production-example"), str(HERE / "filters.yml")]
    with pytest.raises(AssertionError, match="WireGuard key"):
        setup.playbook(*argv)


def test_plugins_are_documented_where_they_are_installed(setup: Setup) -> None:
    for kind, names in (("module", MODULES), ("filter", FILTERS)):
        told = json.loads(setup.run("ansible-doc", "--json", "-t", kind, *(f"{NAME}.{name}" for name in names)))
        assert sorted(told) == [f"{NAME}.{name}" for name in names]
        assert [name for name, entry in told.items() if not entry["doc"]["short_description"]] == []


def test_roles_are_documented_where_they_are_installed(setup: Setup) -> None:
    told = json.loads(setup.run("ansible-doc", "--json", "-t", "role", *(f"{NAME}.{role}" for role in ROLES)))
    assert {name: list(entry["entry_points"]) for name, entry in told.items()} == {
        f"{NAME}.{role}": ["main"] for role in ROLES
    }


def test_nothing_comes_from_the_users_own_collections(setup: Setup) -> None:
    assert not Path(setup.environment["HOME"], ".ansible", "collections").exists()


def test_installed_files_match_their_manifest(from_tarball: Setup) -> None:
    from_tarball.run("ansible-galaxy", "collection", "verify", "--offline", NAME)


def test_tarball_has_what_users_need_and_nothing_else(tarball: Path) -> None:
    with tarfile.open(tarball) as archive:
        names = {Path(name).parts[0] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "docs", "inventories", "meta", "playbooks", "plugins", "roles"} <= names
    assert names & {".ci", ".collections", ".config", ".git", "lab", "molecule", "tests"} == set()


def test_release_is_told_the_same_everywhere(clone: Path, from_tarball: Setup) -> None:
    galaxy = yaml.safe_load((clone / "galaxy.yml").read_text(encoding="utf-8"))
    listed = json.loads(from_tarball.run("ansible-galaxy", "collection", "list", "--format", "json", NAME))
    (versions,) = [entry[NAME]["version"] for entry in listed.values() if NAME in entry]
    assert versions == galaxy["version"]
    assert galaxy["dependencies"] == {}
