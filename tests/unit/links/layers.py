# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Link layers of the documents' hosts, as the filter gives them, and a host that a driver may work on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.links import link_layer
from ansible_collections.op_dbus.socket_network.plugins.module_utils._links.layer import LinkLayer
from ansible_collections.op_dbus.socket_network.plugins.module_utils._links.parse import parse
from ansible_collections.op_dbus.socket_network.plugins.module_utils._links.settings import (
    LINKS_UNIT,
    NETWORKD_UNIT,
    NFTABLES_UNIT,
    Paths,
)
from ansible_collections.op_dbus.socket_network.plugins.module_utils._runner import Result, checked

from tests.unit.core.samples import fleet, one_bridge, two_bridges

CASES = {
    "oo1424oo": (one_bridge, "oo1424oo"),
    "vps-gateway": (one_bridge, "vps-gateway"),
    "oo1424oo-two-bridges": (two_bridges, "oo1424oo"),
}


def parameters(case: str) -> dict[str, Any]:
    inventory, host = CASES[case]
    return link_layer(fleet(inventory()), host)


def layer(case: str) -> LinkLayer:
    return parse(parameters(case))


class FakeHost:
    """Tools of a host whose networkd does at once what its files say, as far as the driver looks at it."""

    def __init__(self, root: Path, wanted: LinkLayer, *, obeys: bool = True) -> None:
        self.paths = Paths(str(root))
        self.wanted = wanted
        self.obeys = obeys
        self.table: str | None = None
        self.links: list[dict[str, Any]] = []
        self.rules: list[dict[str, Any]] = []
        self.routes: list[dict[str, Any]] = []
        self.active: set[str] = set()
        self.enabled: set[str] = set()
        self.calls: list[tuple[str, ...]] = []
        for key in ("net/ipv4/ip_forward", "net/ipv4/conf/default/rp_filter"):
            self.set(key, "0")

    def set(self, key: str, value: str) -> None:
        path = Path(self.paths.proc_sys, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value + "\n", encoding="ascii")

    def run(self, argv: Sequence[str], *, stdin: str | None = None, ok: Sequence[int] = (0,), what: str = "") -> Result:
        assert stdin is None
        self.calls.append(tuple(argv))
        rc, output = self._answer(tuple(argv))
        return checked(Result(tuple(argv), rc, output, ""), ok, what)

    def changes(self) -> list[str]:
        """Calls that are no reads."""
        return [" ".join(call) for call in self.calls if not {"show", "list"} & set(call)]

    def _answer(self, argv: tuple[str, ...]) -> tuple[int, str]:
        if argv[0] == "ip" and "show" in argv:
            return 0, json.dumps(self.links if "link" in argv else self.rules if "rule" in argv else self.routes)
        if argv[0] == "nft":
            return self._nft(argv)
        if argv[:2] == ("systemctl", "show"):
            return 0, "\n\n".join(map(self._shown, argv[3:]))
        self._systemd(argv)
        return 0, ""

    def _nft(self, argv: tuple[str, ...]) -> tuple[int, str]:
        if "list" in argv:
            return (1, "") if self.table is None else (0, self.table)
        self.table = None if "delete" in argv else "table inet op_dbus {\n}\n"
        return 0, ""

    def _shown(self, unit: str) -> str:
        active = "active" if unit in self.active else "inactive"
        return f"Id={unit}\nActiveState={active}\nUnitFileState={'enabled' if unit in self.enabled else 'disabled'}"

    def _systemd(self, argv: tuple[str, ...]) -> None:
        if argv[:2] == ("systemctl", "enable"):
            self.enabled.add(argv[-1])
            self.active.add(argv[-1])
        elif argv[:2] == ("systemctl", "disable"):
            self.enabled.discard(argv[-1])
            self.active.discard(argv[-1])
        elif argv[0] == "networkctl" or NETWORKD_UNIT in argv:
            self.active.add(NETWORKD_UNIT)
            if self.obeys:
                self.converge()
        elif argv[0] == "ip":
            self.links, self.rules, self.routes = [], [], []

    def converge(self) -> None:
        """What networkd makes of the files of ``wanted``. Without any of them nothing of ours is left to make."""
        self.links, self.rules, self.routes = [], [], []
        if not list(Path(self.paths.network_directory).glob("50-op-dbus-*")):
            return
        for uplink in self.wanted.uplinks:
            self._add_link(uplink.gateway_port, uplink.bridge_port, uplink.mac, uplink.mtu)
            self._add_link(uplink.bridge_port, uplink.gateway_port, "5e:00:00:00:00:01", uplink.mtu, "NOARP")
            table = "main" if uplink.device is None else str(uplink.table)
            if uplink.subnet is not None:
                self._add_route(str(uplink.subnet), table, dev=uplink.gateway_port, scope="link")
            if uplink.device is not None:
                self.rules += [
                    {"priority": 1000, "src": "all", "iif": port, "table": table, "protocol": "static"}
                    for port in uplink.ports
                ]
                self._add_route("default", table, type="unreachable", metric=4278198272)
        for pair in self.wanted.veth_pairs:
            self._add_link(pair.peer1[0], pair.peer2[0], pair.peer1[1], 1500, "NOARP")
            self._add_link(pair.peer2[0], pair.peer1[0], pair.peer2[1], 1500, "NOARP")

    def _add_link(self, name: str, peer: str, mac: str, mtu: int, *flags: str) -> None:
        self.links.append(
            {
                "ifname": name,
                "link": peer,
                "address": mac,
                "mtu": mtu,
                "flags": ["BROADCAST", "UP", "LOWER_UP", *flags],
                "linkinfo": {"info_kind": "veth"},
            }
        )
        for key in (f"net/ipv4/conf/{name}/rp_filter", f"net/ipv6/conf/{name}/disable_ipv6"):
            if not Path(self.paths.proc_sys, key).exists():
                self.set(key, "0")

    def _add_route(self, destination: str, table: str, **more: Any) -> None:
        self.routes.append({"dst": destination, "table": table, "protocol": "static", "flags": [], **more})


UNITS = {NFTABLES_UNIT, LINKS_UNIT}
