# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""wg-quick files: rendering ours, and reading one that somebody else made."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from .._errors import RefusedError
from .config import PEER_NAME, Faults, Peer, Tunnel, build, read_peer

DIRECTORY = "/etc/wireguard"
MARKER = "# Managed by op_dbus.socket_network: changes are overwritten."
"""First line of every file that we wrote; a file without it is somebody else's and stays."""

_SECRETS = frozenset({"privatekey", "presharedkey"})
_COMMANDS = frozenset({"preup", "postup", "predown", "postdown"})
_INTERFACE = frozenset({"privatekey", "address", "mtu", "listenport", "dns", "table", "saveconfig"})
_PEER = frozenset({"publickey", "presharedkey", "allowedips", "endpoint", "persistentkeepalive"})
_LISTS = frozenset({"address", "allowedips", "dns"})


def path_of(device: str, directory: str = DIRECTORY) -> str:
    """Where wg-quick looks for the configuration of ``device``."""
    return f"{directory}/{device}.conf"


def digest(secret: str | None) -> str:
    """What a diff shows instead of ``secret``: enough to see that it changed."""
    return f"(secret, sha256 {hashlib.sha256(secret.encode()).hexdigest()[:12]})" if secret else "(none)"


def render(tunnel: Tunnel) -> str:
    """The whole file. ``Table = off``: routes and rules are the link layer's; never ``DNS``, never ``SaveConfig``."""
    sections = [[MARKER, "[Interface]", f"PrivateKey = {tunnel.private_key}"]]
    if tunnel.listen_port is not None:
        sections[0].append(f"ListenPort = {tunnel.listen_port}")
    sections[0].append(f"Address = {', '.join(str(address) for address in tunnel.addresses)}")
    sections[0] += [f"MTU = {tunnel.mtu}", "Table = off"]
    for peer in sorted(tunnel.peers, key=lambda item: item.name):
        lines = [f"# {peer.name}", "[Peer]", f"PublicKey = {peer.public_key}"]
        if peer.preshared_key:
            lines.append(f"PresharedKey = {peer.preshared_key}")
        lines.append(f"AllowedIPs = {', '.join(str(network) for network in peer.allowed_ips)}")
        if peer.endpoint:
            lines.append(f"Endpoint = {peer.endpoint}")
        if peer.keepalive:
            lines.append(f"PersistentKeepalive = {peer.keepalive}")
        sections.append(lines)
    return "\n\n".join("\n".join(lines) for lines in sections) + "\n"


def masked(text: str) -> str:
    """``text`` of a wg-quick file with every secret replaced by its digest, and hidden where it may be one."""
    return "".join(f"{_masked_line(line)}\n" for line in text.splitlines())


def _masked_line(line: str) -> str:
    key, equals, value = (part.strip() for part in line.partition("="))
    if key.lower() in _SECRETS:
        return f"{key} = {digest(value)}"
    return f"{key} = (not shown)" if equals and key.lower() not in _INTERFACE | _PEER else line


@dataclass(frozen=True, slots=True)
class Section:
    """``[Interface]`` or ``[Peer]``: values by lower-case key, in the order met. ``name`` is the comment above it."""

    kind: str
    name: str
    values: dict[str, list[str]] = field(default_factory=dict)

    def one(self, key: str) -> str | None:
        found = self.values.get(key)
        return found[-1] if found else None


@dataclass(frozen=True, slots=True)
class Profile:
    """A tunnel read from a file, and the settings of that file which are left out on purpose."""

    tunnel: Tunnel
    ignored: tuple[str, ...] = ()


def sections_of(text: str, source: str) -> list[Section]:
    """The sections of a wg-quick file. Only what cannot be one at all is refused here."""
    sections: list[Section] = []
    comment = ""
    for number, raw in enumerate(text.splitlines(), 1):
        line, _hash, remark = (part.strip() for part in raw.partition("#"))
        if not line:
            comment = remark
            continue
        if line.startswith("["):
            sections.append(Section(line.strip("[]").strip().lower(), comment))
        else:
            key, equals, value = (part.strip() for part in line.partition("="))
            if not equals or not sections:
                raise RefusedError(
                    f"{source} is not a WireGuard profile: line {number} is neither a section nor a setting.",
                    fix="give the file that wgcf or the provider made, with [Interface] and [Peer].",
                )
            values = [part.strip() for part in value.split(",")] if key.lower() in _LISTS else [value]
            sections[-1].values.setdefault(key.lower(), []).extend(part for part in values if part)
        comment = ""
    return sections


def check_settings(faults: Faults, section: Section, source: str) -> list[str]:
    """Add what a profile must not ask of us; return what it asks for and does not get, in words."""
    ignored: list[str] = []
    known = _INTERFACE if section.kind == "interface" else _PEER
    for key, values in sorted(section.values.items()):
        where = f"{source} [{section.kind.capitalize()}] {key}"
        if key in _COMMANDS:
            if any("ovs-vsctl" in value for value in values):
                problem = "a WireGuard device cannot be a port of an Open vSwitch bridge; every frame would be lost."
            else:
                problem = "commands of a profile are not run: routes and rules would vanish with the tunnel."
            faults.add(where, problem, "remove the line; the gateway veth pair of role socket_bridge joins the bridge.")
        elif key in {"reserved", "client_id", "clientid"}:
            faults.add(
                where,
                "WireGuard in the kernel and wireguard-go cannot set the reserved bytes.",
                "remove the line and see whether the endpoint answers without them; some regions of WARP do not.",
            )
        elif key == "table" and values != ["off"]:
            faults.add(
                where,
                f"{values[-1]!r} would reroute the host's own traffic.",
                "remove the line; the routes belong to role socket_bridge.",
            )
        elif key == "saveconfig" and values[-1].lower() != "false":
            faults.add(where, "wg-quick would overwrite the configuration.", "remove the line.")
        elif key == "dns":
            ignored.append(f"DNS = {', '.join(values)}: the tunnel does not change the host's resolver")
        elif key not in known:
            faults.add(where, "this setting is not supported.", "remove the line.")
    return ignored


def without_ipv6(values: Sequence[str], label: str, ignored: list[str]) -> list[str]:
    """``values`` without IPv6, noting in ``ignored`` what was left out."""
    dropped = [value for value in values if ":" in value]
    if dropped:
        ignored.append(f"{label} = {', '.join(dropped)}: this network drops IPv6")
    return [value for value in values if ":" not in value]


def parse(text: str, *, device: str, source: str, mtu: int = 1420, keepalive: int = 0) -> Profile:
    """Read a wg-quick file. ``mtu`` and ``keepalive`` stand in where it says nothing.

    ``source`` names the file in messages. Raises RefusedError with every fault.
    """
    sections = sections_of(text, source)
    interfaces = [section for section in sections if section.kind == "interface"]
    if len(interfaces) != 1 or any(section.kind not in ("interface", "peer") for section in sections):
        raise RefusedError(
            f"{source} is not a WireGuard profile: it needs one [Interface] and nothing but [Peer] beside it.",
            fix="give the file that wgcf or the provider made.",
        )
    faults = Faults(device)
    ignored = [line for section in sections for line in check_settings(faults, section, source)]
    peers: list[Peer] = []
    for number, section in enumerate((item for item in sections if item.kind == "peer"), 1):
        given = {
            "public_key": section.one("publickey") or "",
            "preshared_key": section.one("presharedkey"),
            "endpoint": section.one("endpoint"),
            "allowed_ips": without_ipv6(section.values.get("allowedips", []), "AllowedIPs", ignored),
            "keepalive": read_keepalive(section.one("persistentkeepalive"), keepalive),
        }
        name = section.name if PEER_NAME.match(section.name) else f"peer-{number}"
        peers.append(read_peer(faults, f"{source} peer {number}", given, name=name))
    interface = interfaces[0]
    tunnel = build(
        faults,
        device=device,
        where=f"{source} ",
        private_key=interface.one("privatekey") or "",
        addresses=without_ipv6(interface.values.get("address", []), "Address", ignored),
        mtu=interface.one("mtu") or mtu,
        listen_port=interface.one("listenport"),
        peers=peers,
    )
    return Profile(tunnel, tuple(ignored))


def read_keepalive(text: str | None, otherwise: int) -> str | int:
    """The value of PersistentKeepalive, where ``off`` means 0."""
    if text is None:
        return otherwise
    return 0 if text.lower() == "off" else text
