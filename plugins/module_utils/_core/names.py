# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Rules for names that become interfaces, OpenFlow ports, containers and services."""

from __future__ import annotations

import re

INTERFACE_LIMIT = 15
"""Longest interface name that Linux takes (IFNAMSIZ less the final NUL)."""

UPLINK_LIMIT = INTERFACE_LIMIT - len("ovs-")

_INTERFACE = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_HOSTNAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NETWORK = re.compile(r"[a-z0-9_-]{1,32}")
_SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_CONTAINER_ID = re.compile(r"[1-9][0-9]{0,8}")

_OPENFLOW_WORDS = frozenset(
    {"all", "any", "controller", "flood", "in_port", "local", "none", "normal", "table", "unset"}
)
_KERNEL_WORDS = frozenset({"all", "default", "lo", "ovs-netdev", "ovs-system"})
_UPLINK_WORDS = frozenset({"netdev", "system"})


def interface_problem(name: str, limit: int = INTERFACE_LIMIT) -> tuple[str, str] | None:
    """Why ``name`` cannot name an interface, with the fix; None when it can."""
    if len(name) > limit:
        return f"the name has {len(name)} characters, {limit} is the most.", f"shorten it to {limit} characters."
    if not _INTERFACE.fullmatch(name):
        return (
            "the name must start with a letter and hold only letters, digits, '-' and '_' (a number would be taken "
            "for an OpenFlow port).",
            "choose a name such as veth102.",
        )
    if name.lower() in _OPENFLOW_WORDS:
        return "the name is a keyword of OpenFlow.", "choose another name."
    if name in _KERNEL_WORDS:
        return "the name belongs to the kernel or to Open vSwitch.", "choose another name."
    return None


def bridge_problem(name: str) -> tuple[str, str] | None:
    """Like `interface_problem`, for bridges."""
    for prefix in ("br-", "docker"):
        if name.startswith(prefix):
            problem = f"names that start with {prefix} belong to container engines."
            return problem, "choose a name such as mesh or vmbr0."
    return interface_problem(name)


def uplink_problem(name: str) -> tuple[str, str] | None:
    """Like `interface_problem`, for uplinks, whose ends are called gw-NAME and ovs-NAME."""
    if name in _UPLINK_WORDS:
        return f"its bridge end would be ovs-{name}, which belongs to Open vSwitch.", "choose another name."
    return interface_problem(name, UPLINK_LIMIT)


def network_problem(name: str) -> tuple[str, str] | None:
    """Why ``name`` cannot name a network of Netmaker."""
    if _NETWORK.fullmatch(name):
        return None
    return (
        "a network's name holds lower case letters, digits, '-' and '_', 32 at most.",
        "choose a name such as privacy-mesh.",
    )


def container_problem(name: str) -> tuple[str, str] | None:
    """Why ``name`` cannot name a container; it becomes the guest's host name."""
    if _HOSTNAME.fullmatch(name):
        return None
    return (
        "a container's name is its host name: lower case letters, digits and '-', 63 at most.",
        "choose a name such as xray-client.",
    )


def service_problem(name: str) -> tuple[str, str] | None:
    """Why ``name`` cannot name a service."""
    if _SERVICE.fullmatch(name):
        return None
    return "a service's name holds letters, digits, '.', '_' and '-', 63 at most.", "choose a name such as xray-vless."


def container_id_problem(value: str) -> tuple[str, str] | None:
    """Why ``value`` cannot be a container's id."""
    if _CONTAINER_ID.fullmatch(value):
        return None
    return "an id is a number of at most 9 digits that does not start with 0.", 'choose an id such as "102".'
