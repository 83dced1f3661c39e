# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What Proxmox shall have for a container: its options, and the raw keys that bring our port script into play."""

from __future__ import annotations

from collections.abc import Iterable

from .._lxc.spec import ContainerSpec
from . import conf
from .conf import Conf

_SOURCE = "op-dbus-source="
OURS = "op-dbus-"
"""What our notes start with."""

PORT_SCRIPT = "/usr/local/lib/op-dbus/pct-port"
DEFAULT_MIB = 512
"""Memory and swap where nothing is said: Proxmox always has a limit, and this is the one of `pct create`."""

RAW = {"lxc.net.0.script.up": PORT_SCRIPT, "lxc.net.0.script.down": PORT_SCRIPT}
"""Proxmox writes these keys behind its own into LXC's configuration, at every start, and LXC takes the last. A
hookscript would not do: it is not called when a guest reboots by itself, and has to lie on a storage for snippets.
"""

_DEFAULTS = {"memory": "512", "swap": "0", "cpulimit": "0", "onboot": "0"}
_NET_DEFAULTS = {"firewall": "0", "type": "veth"}
_BOOLEANS = ("firewall", "link_down", "host-managed", "nesting")


def mark(vmid: str) -> str:
    """Our note. It has the id, so that a clone, which inherits it, is not ours."""
    return f"{OURS}owner=lxc_service/{vmid}"


def is_marked(vmid: str, found: Conf) -> bool:
    return mark(vmid) in found.notes


def source_of(found: Conf) -> str | None:
    """What the root file system was made from, as told by our note."""
    return next((note.removeprefix(_SOURCE) for note in found.notes if note.startswith(_SOURCE)), None)


def net0(spec: ContainerSpec, found: str | None = None) -> str:
    """Without Proxmox' firewall: with it the switch has another port, and the flows would not match it.

    Proxmox makes a device anew for another spelling of its MAC address, so that of ``found`` is kept.
    """
    spelt = conf.tokens(found).get("hwaddr", "")
    parts = {
        "name": "eth0",
        "bridge": spec.bridge,
        "firewall": "0",
        "gw": str(spec.gateway),
        "hwaddr": spelt if spelt.lower() == spec.mac else spec.mac.upper(),
        "ip": spec.address.with_prefixlen,
        "mtu": str(spec.mtu),
        "type": "veth",
    }
    return conf.joined(parts, "name")


def options(spec: ContainerSpec, source: str, found: Conf | None = None) -> dict[str, str | None]:
    """Every option that we answer for; None is one that shall not be set. What we do not answer for stays as found."""
    have = found or Conf()
    features = {key: value for key, value in conf.tokens(have.value("features")).items() if key != "nesting"}
    features |= {"nesting": "1"} if spec.nesting else {}
    return {
        "cpulimit": None if spec.cpus is None else f"{spec.cpus:g}",
        "description": "\n".join(notes(spec.id, source, have.notes)),
        "features": conf.joined(features) or None,
        "hostname": spec.name,
        "memory": str(DEFAULT_MIB if spec.memory is None else spec.memory),
        "net0": net0(spec, have.value("net0")),
        "onboot": str(int(spec.autostart)),
        "swap": str(DEFAULT_MIB if spec.swap is None else spec.swap),
    }


def notes(vmid: str, source: str, found: Iterable[str]) -> list[str]:
    """Our notes, and whatever else somebody has noted, in whatever order it is in."""
    ours, have = [mark(vmid), _SOURCE + source], list(found)
    if sorted(note for note in have if note.startswith(OURS)) == sorted(ours):
        return have
    return [*ours, *(note for note in have if not note.startswith(OURS))]


def normal(key: str, text: str | None) -> object:
    """An option as what it means: spelling, order and defaults do not count."""
    if key == "net0":
        return net_parts(text)
    if key == "features":
        return {part: value for part, value in _parts(text).items() if value != "0"}
    if key == "description":
        return [line.rstrip() for line in (text or "").splitlines()]
    if key == "onboot":
        return conf.boolean(text or _DEFAULTS[key])
    if key in _DEFAULTS:
        return _number(text or _DEFAULTS[key])
    return text


def net_parts(text: str | None) -> dict[str, str]:
    """The parts of net0, with Proxmox' defaults."""
    parts = {**_NET_DEFAULTS, **_parts(text)}
    return {**parts, "hwaddr": parts.get("hwaddr", "").lower()}


def _parts(text: str | None) -> dict[str, str]:
    found = conf.tokens(text)
    return {part: conf.boolean(value) if part in _BOOLEANS else value for part, value in found.items()}


def _number(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text
