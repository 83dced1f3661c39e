# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three WireGuard ends on one bridge, and a booted host with a peer that stands for WARP's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.host import Host
from lab.ledger import Ledger
from lab.netns import Namespace
from tests.integration.wg.ends import End, generate_key, public_key

PEER_PORT = 2408


@dataclass(frozen=True, slots=True)
class Mesh:
    """``hub`` (198.51.100.1) is what the driver works on; ``one`` and ``two`` (.2 and .3) call it."""

    hub: End
    one: End
    two: End


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[Mesh]:
    ledger = Ledger(tmp_path / "ledger")
    try:
        ends = []
        fabric = Namespace("wgt-fabric", ledger).create()
        fabric.add_bridge("wire")
        for number, name in enumerate(("hub", "one", "two"), 1):
            namespace = Namespace(f"wgt-{name}", ledger).create()
            fabric.connect("wire", namespace, "eth0", f"198.51.100.{number}/24")
            ends.append(End(namespace, "wg0", tmp_path / f"{name}.log"))
        yield Mesh(*ends)
    finally:
        assert ledger.release() == []


@dataclass(frozen=True, slots=True)
class Exit:
    """A booted host at 192.0.2.10, and the peer at 192.0.2.1 that knows ``client_key``."""

    host: Host
    peer: End
    client_key: str


@pytest.fixture(scope="session")
def exit_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exit]:
    with Host("wg") as host:
        peer = End(host.fabric, "warp-peer", tmp_path_factory.mktemp("peer") / "log")
        client_key = generate_key()
        peer.listen(PEER_PORT, (public_key(client_key), "172.16.0.2/32"))
        peer.plug("172.16.0.1/24", 1280)
        yield Exit(host, peer, client_key)
