# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every file of the documents' hosts, word for word, against golden files that a person has read.

After an intended change write them anew: ``WRITE_GOLDEN=1 pytest tests/unit/links/test_rendering.py``.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._links.kernel import sysctl_file
from ansible_collections.op_dbus.socket_network.plugins.module_utils._links.layer import LinkLayer
from ansible_collections.op_dbus.socket_network.plugins.module_utils._links.networkd import daemon_file, network_files
from ansible_collections.op_dbus.socket_network.plugins.module_utils._links.nftables import ruleset, ruleset_file
from ansible_collections.op_dbus.socket_network.plugins.module_utils._links.settings import Paths
from ansible_collections.op_dbus.socket_network.plugins.module_utils._links.units import unit_files

from tests.unit.links.layers import CASES, layer

GOLDEN = Path(__file__).parent / "golden"


def rendered(given: LinkLayer) -> str:
    """All files as one text, by path."""
    paths = Paths()
    files = [*network_files(paths, given), *unit_files(paths, given), daemon_file(paths)]
    files += [ruleset_file(paths, given), sysctl_file(paths, given)]
    return "".join(f"==> {spec.path}\n{spec.content}\n" for spec in sorted(files, key=lambda spec: spec.path))


@pytest.mark.parametrize("case", CASES)
def test_files_are_the_golden_ones(case: str) -> None:
    golden = GOLDEN / f"{case}.txt"
    text = rendered(layer(case))
    if os.environ.get("WRITE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_a_host_without_links_has_an_empty_table() -> None:
    text = ruleset(LinkLayer())
    assert "iifname" not in text
    assert "oifname" not in text
    assert "--interface" not in rendered(LinkLayer())


def test_only_our_own_table_is_touched() -> None:
    for case in CASES:
        lines = [
            line for line in ruleset(layer(case)).splitlines() if line and not line[0].isspace() and line[0] != "}"
        ]
        assert [line for line in lines if not line.startswith("#")] == [
            "add table inet op_dbus",
            "delete table inet op_dbus",
            "table inet op_dbus {",
        ]


def test_link_local_addresses_of_netclients_device_are_left_to_it() -> None:
    """It gives up when one that it is about to delete is gone."""
    given = layer("oo1424oo")
    mesh = next(uplink for uplink in given.uplinks if uplink.kind == "wireguard")
    joined = replace(mesh, kind="netmaker", device="netmaker")
    files = {spec.path: spec.content for spec in network_files(Paths(), replace(given, uplinks=(mesh, joined)))}
    assert "LinkLocalAddressing" not in files[Paths().network("netmaker")]
    assert "LinkLocalAddressing=no" in files[Paths().network(str(mesh.device))]
