# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `wg`, `ip` and `systemctl` printed on a Debian 12 host (wireguard-tools 1.0.20210914, systemd 252).

The keys were made for this. `FakeHost` is made of such answers, so that the driver can be run without a kernel.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.op_dbus.socket_network.plugins.module_utils._runner import Result, checked

PRIVATE = "qK+4YlhgPHEGRtqBz0CIOCWsilK73/RWsp2Q/v973F8="
PUBLIC = "MpKJoQoGlYrCx+4Se0RisUEYik2gGtJ8iahuET/TKVM="
PEER = "IfWf1fpxogdvORwM322DIX9O44BIRb86YOYIL2ZgGkQ="
OTHER_PEER = "VuGo7pKJsrWt5zvZGBXnv7WgGna3vznSDAWI80EjFkU="
PRESHARED = "6Cuu3tYcjCkAlpC/tKC+9kIZjm2I/8Yz7LA1qZ60HUw="

DUMP = (
    f"{PRIVATE}\t{PUBLIC}\t51821\toff\n"
    f"{PEER}\t{PRESHARED}\t198.51.100.2:51000\t10.100.0.2/32,10.0.2.0/24\t0\t0\t148\t25\n"
    f"{OTHER_PEER}\t(none)\t(none)\t10.100.0.3/32\t0\t0\t0\toff\n"
)
LINK = (
    '[{"ifindex":3,"ifname":"warp0","flags":["POINTOPOINT","MULTICAST","NOARP","UP","LOWER_UP"],"mtu":1420,'
    '"qdisc":"pfifo_fast","operstate":"UNKNOWN","group":"default","txqlen":500,"link_type":"none","addr_info":['
    '{"family":"inet","local":"10.100.0.1","prefixlen":16,"scope":"global","label":"warp0",'
    '"valid_life_time":4294967295,"preferred_life_time":4294967295},'
    '{"family":"inet6","local":"fe80::cf5c:313c:6378:574a","prefixlen":64,"scope":"link","stable-privacy":true,'
    '"valid_life_time":4294967295,"preferred_life_time":4294967295}]}]'
)
UNIT_ACTIVE = "Result=success\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled\n"
UNIT_INACTIVE = "Result=success\nLoadState=loaded\nActiveState=inactive\nUnitFileState=disabled\n"
UNIT_STARTING = "Result=success\nLoadState=loaded\nActiveState=activating\nUnitFileState=enabled\nJob=1024\n"
UNIT_UNKNOWN = "Result=success\nLoadState=not-found\nActiveState=inactive\nUnitFileState=\n"

READING = {
    ("systemctl", "show"),
    ("ip", "-j"),
    ("wg", "show"),
    ("wg", "pubkey"),
    ("wg-quick", "strip"),
    ("journalctl",),
}


@dataclass
class FakeHost:
    """A Runner that behaves like systemd, wg-quick and WireGuard for one device. ``changes`` holds what changed it."""

    directory: Path
    device: str = "warp0"
    tools: bool = True
    active: str = "inactive"
    enabled: bool = False
    hangs: bool = False
    fails: bool = False
    strip_loses_peers: bool = False
    link: dict[str, object] | None = None
    private_key: str = "(none)"
    listen_port: int = 0
    peers: dict[str, list[str]] = field(default_factory=dict)
    commands: list[tuple[str, ...]] = field(default_factory=list)
    dropped_port: bool = False

    @property
    def changes(self) -> list[tuple[str, ...]]:
        return [argv for argv in self.commands if argv[:1] not in READING and argv[:2] not in READING]

    def run(self, argv: Sequence[str], *, stdin: str | None = None, ok: Sequence[int] = (0,), what: str = "") -> Result:
        if not self.tools and argv[0] in ("wg", "wg-quick"):
            raise FileNotFoundError(2, "No such file or directory", argv[0])
        self.commands.append(tuple(argv))
        rc, stdout, stderr = self._answer(list(argv), stdin)
        return checked(Result(tuple(argv), rc, stdout, stderr), ok, what)

    def _answer(self, argv: list[str], stdin: str | None) -> tuple[int, str, str]:
        name = f"_{argv[0].replace('-', '_')}_{argv[1].strip('-').replace('-', '_')}"
        if argv[0] == "systemctl":
            verb = next(word for word in argv[1:] if not word.startswith("--"))
            name = f"_systemctl_{verb.replace('-', '_')}"
        if argv[0] == "journalctl":
            return 0, "wg-quick: `Address already in use'\n", ""
        if argv[:2] == ["wg", "pubkey"]:
            return 0, f"{PUBLIC}\n" if (stdin or "").strip() == PRIVATE else f"{OTHER_PEER}\n", ""
        answer: tuple[int, str, str] = getattr(self, name)(argv)
        return answer

    def _systemctl_show(self, _argv: list[str]) -> tuple[int, str, str]:
        job = "Job=7\n" if self.active == "activating" else ""
        state = "enabled" if self.enabled else "disabled"
        load = "loaded" if self.tools else "not-found"
        return 0, f"Result=success\nLoadState={load}\nActiveState={self.active}\nUnitFileState={state}\n{job}", ""

    def _systemctl_enable(self, _argv: list[str]) -> tuple[int, str, str]:
        self.enabled = True
        return 0, "", ""

    def _systemctl_disable(self, _argv: list[str]) -> tuple[int, str, str]:
        self.enabled = False
        return 0, "", ""

    def _systemctl_reset_failed(self, _argv: list[str]) -> tuple[int, str, str]:
        self.active = "inactive"
        return 0, "", ""

    def _systemctl_stop(self, _argv: list[str]) -> tuple[int, str, str]:
        self.active = "inactive" if self.link else "failed"
        self._forget()
        return 0, "", ""

    def _systemctl_restart(self, _argv: list[str]) -> tuple[int, str, str]:
        if self.hangs or self.fails:
            self.active = "activating" if self.hangs else "failed"
            return 0, "", ""
        self._forget()
        self.active = "active"
        self._configure((self.directory / f"{self.device}.conf").read_text(), whole=True)
        return 0, "", ""

    def _ip_j(self, _argv: list[str]) -> tuple[int, str, str]:
        if self.link is None:
            return 1, "", f'Device "{self.device}" does not exist.\n'
        return 0, json.dumps([self.link]), ""

    def _ip_link(self, _argv: list[str]) -> tuple[int, str, str]:
        self._forget()
        return 0, "", ""

    def _wg_show(self, _argv: list[str]) -> tuple[int, str, str]:
        if self.link is None or self.link.get("link_type") == "ether":
            return 1, "", "Unable to access interface: No such device\n"
        lines = [f"{self.private_key}\t{PUBLIC}\t{self.listen_port}\toff"]
        return 0, "\n".join(lines + ["\t".join([key, *values]) for key, values in self.peers.items()]) + "\n", ""

    def _wg_syncconf(self, argv: list[str]) -> tuple[int, str, str]:
        assert Path(argv[3]).stat().st_mode & 0o777 == 0o600
        text = Path(argv[3]).read_text()
        assert "Address" not in text
        self.dropped_port = "ListenPort" not in text
        self._configure(text, whole=False)
        return 0, "", ""

    def _wg_quick_strip(self, argv: list[str]) -> tuple[int, str, str]:
        lines = Path(argv[2]).read_text().splitlines()
        kept = [line for line in lines if not line.startswith(("Address", "MTU", "Table"))]
        text = "\n".join(kept) + "\n\n"
        return 0, text.partition("[Peer]")[0] if self.strip_loses_peers else text, ""

    def _forget(self) -> None:
        self.link, self.private_key, self.listen_port, self.peers = None, "(none)", 0, {}

    def _configure(self, text: str, *, whole: bool) -> None:
        """What `wg-quick up` (whole) or `wg syncconf` makes of a file. A known peer keeps its session."""
        kept, self.peers, values = self.peers, {}, {}
        for section in text.split("[Peer]"):
            values = dict(line.split(" = ", 1) for line in section.splitlines() if " = " in line)
            if "PrivateKey" in values:
                self.private_key = values["PrivateKey"]
                self.listen_port = int(values.get("ListenPort", 40000 if whole else 40001))
            else:
                key = values["PublicKey"]
                counters = kept[key][3:6] if key in kept else ["0", "0", "0"]
                self.peers[key] = [
                    values.get("PresharedKey", "(none)"),
                    values.get("Endpoint") or (kept[key][1] if key in kept else "(none)"),
                    values["AllowedIPs"].replace(" ", ""),
                    *counters,
                    values.get("PersistentKeepalive", "off"),
                ]
            if whole and "Address" in values:
                self._plug(values["Address"], int(values["MTU"]))

    def _plug(self, addresses: str, mtu: int) -> None:
        listed = [
            {"family": "inet", "local": address.partition("/")[0], "prefixlen": int(address.partition("/")[2])}
            for address in addresses.split(", ")
        ]
        self.link = {"ifname": self.device, "flags": ["UP"], "mtu": mtu, "link_type": "none", "addr_info": listed}
