# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""A network of the server: what was found, what is wanted, and the changes between the two. Nothing is sent here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import NetmakerRefusedError
from .values import Range, flag, overlap, range_or_none, wanted_range

NAME = re.compile(r"[a-z0-9_-]{1,32}")
KEEPALIVE = range(1, 1001)
MTU = range(576, 65536)
DEFAULT_MTU = 1280
DEFAULT_KEEPALIVE = 20
DEFAULT_THRESHOLD = 60
_LONGEST = {4: 30, 6: 126}
"""Longest length that the server takes, by IP version."""


@dataclass(frozen=True, slots=True)
class Network:
    """A network as it is. ``threshold`` is in minutes; ``open_by_default`` is None where the policy is missing."""

    name: str
    range: Range | None
    range6: Range | None
    mtu: int
    keepalive: int
    auto_remove: bool
    threshold: int
    open_by_default: bool | None

    @property
    def settings(self) -> dict[str, Any]:
        """What a diff shows and a module returns, by the names of the module's options."""
        policy = {True: "allow", False: "deny", None: None}[self.open_by_default]
        return {
            "netid": self.name,
            "addressrange": text_of(self.range),
            "addressrange6": text_of(self.range6),
            "default_mtu": self.mtu,
            "default_keepalive": self.keepalive,
            "auto_remove": self.auto_remove,
            "auto_remove_threshold": self.threshold,
            "default_policy": policy,
        }


@dataclass(frozen=True, slots=True)
class Wanted:
    """A network as it should be; None leaves a setting as it is."""

    name: str
    range: Range | None = None
    range6: Range | None = None
    mtu: int | None = None
    keepalive: int | None = None
    auto_remove: bool | None = None
    threshold: int | None = None
    open_by_default: bool | None = None

    @property
    def fixed(self) -> dict[str, Any]:
        """Settings that the server takes only when a network is made."""
        return {
            "addressrange": text_of(self.range),
            "addressrange6": text_of(self.range6),
            "default_mtu": self.mtu,
            "default_keepalive": self.keepalive,
        }

    @property
    def loose(self) -> dict[str, Any]:
        """Settings that can be changed in the network itself."""
        return {"auto_remove": self.auto_remove, "auto_remove_threshold": self.threshold}

    @property
    def policy(self) -> str | None:
        return {True: "allow", False: "deny", None: None}[self.open_by_default]


def text_of(value: Range | None) -> str | None:
    return None if value is None else str(value)


def policy_of(network: str, policies: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The policy that lets all nodes of ``network`` talk to each other."""
    return next((policy for policy in policies if policy.get("id") == f"{network}.all-nodes"), None)


def network_of(raw: Mapping[str, Any], policy: Mapping[str, Any] | None = None) -> Network:
    """A network out of the server's JSON, of any version since 0.99."""
    threshold = raw.get("auto_remove_threshold", raw.get("auto_remove_threshold_mins"))
    return Network(
        name=str(raw.get("netid", "")),
        range=range_or_none(raw.get("addressrange")),
        range6=range_or_none(raw.get("addressrange6")),
        mtu=int(raw.get("defaultmtu") or 0),
        keepalive=int(raw.get("defaultkeepalive") or 0),
        auto_remove=flag(raw.get("auto_remove")),
        threshold=int(threshold or 0),
        open_by_default=None if policy is None else bool(policy.get("enabled")),
    )


def check_name(name: str) -> str:
    """``name`` when the server would take it."""
    if not NAME.fullmatch(name):
        raise NetmakerRefusedError(
            "invalid_value",
            f"netid {name} is no name of a network.",
            fix="use 1 to 32 of a-z, 0-9, - and _.",
        )
    return name


def _range(text: str | None, option: str, version: int) -> Range | None:
    if not text:
        return None
    found = wanted_range(text, option, version)
    if found.prefixlen > _LONGEST[version]:
        raise NetmakerRefusedError(
            "invalid_value", f"{option} {text} has no room for nodes.", fix=f"use /{_LONGEST[version]} or shorter."
        )
    return found


def _bounded(value: int | None, option: str, bounds: range, why: str) -> int | None:
    if value is not None and value not in bounds:
        raise NetmakerRefusedError(
            "invalid_value",
            f"{option} {value} is out of bounds: {why}.",
            fix=f"use {bounds.start} to {bounds.stop - 1}.",
        )
    return value


def wanted_network(params: Mapping[str, Any]) -> Wanted:
    """What the module's ``params`` ask for, refused when the server would take nonsense silently."""
    policy = params["default_policy"]
    return Wanted(
        name=check_name(params["netid"]),
        range=_range(params["addressrange"], "addressrange", 4),
        range6=_range(params["addressrange6"], "addressrange6", 6),
        mtu=_bounded(params["default_mtu"], "default_mtu", MTU, "no packet fits, or none is that large"),
        keepalive=_bounded(
            params["default_keepalive"], "default_keepalive", KEEPALIVE, "seconds, and the server replaces 0"
        ),
        auto_remove=params["auto_remove"],
        threshold=_bounded(
            params["auto_remove_threshold"], "auto_remove_threshold", range(1, 525601), "minutes, up to a year"
        ),
        open_by_default=None if policy is None else policy == "allow",
    )


def refuse_overlap(want: Wanted, others: Sequence[Network]) -> None:
    """Refuse ranges that another network has, in part or whole."""
    for other in others:
        for mine, theirs in ((want.range, other.range), (want.range6, other.range6)):
            if overlap(mine, theirs):
                raise NetmakerRefusedError(
                    "cidr_overlap",
                    f"{mine} of network {want.name} overlaps {theirs} of network {other.name}.",
                    fix="give the networks ranges of their own.",
                )


def differing(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``wanted`` that are asked for (not None) and are not what was ``found``."""
    return {name: value for name, value in wanted.items() if value is not None and value != found[name]}


def creation(want: Wanted, typed: bool) -> dict[str, Any]:
    """Body that makes the network. Servers before 1.5.1 (not ``typed``) take words for booleans."""
    auto_remove = bool(want.auto_remove)
    threshold = "auto_remove_threshold" if typed else "auto_remove_threshold_mins"
    return {
        "netid": want.name,
        "addressrange": text_of(want.range) or "",
        "addressrange6": text_of(want.range6) or "",
        "defaultmtu": want.mtu or DEFAULT_MTU,
        "defaultkeepalive": want.keepalive or DEFAULT_KEEPALIVE,
        "auto_remove": auto_remove if typed else str(auto_remove).lower(),
        "auto_join": True if typed else "true",
        threshold: want.threshold or 0,
    }


def after_creation(want: Wanted) -> Network:
    """How the network will be right after it was made."""
    return Network(
        name=want.name,
        range=want.range,
        range6=want.range6,
        mtu=want.mtu or DEFAULT_MTU,
        keepalive=want.keepalive or DEFAULT_KEEPALIVE,
        auto_remove=bool(want.auto_remove),
        threshold=want.threshold or (DEFAULT_THRESHOLD if want.auto_remove else 0),
        open_by_default=True,
    )
