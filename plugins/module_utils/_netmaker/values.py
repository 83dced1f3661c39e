# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Values as the server writes them and as we compare them: ranges, addresses, booleans and times."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

from .errors import NetmakerRefusedError

Range: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"
Address: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"


def flag(value: object) -> bool:
    """A boolean of any server: up to 1.5.0 some are written as words."""
    if isinstance(value, str):
        return value.strip().lower() in {"true", "yes"}
    return bool(value)


def flag_like(value: bool, sample: object) -> bool | str:
    """``value`` written the way ``sample`` is."""
    if not isinstance(sample, str):
        return value
    yes, no = ("yes", "no") if sample.strip().lower() in {"yes", "no"} else ("true", "false")
    return yes if value else no


def range_or_none(text: object) -> Range | None:
    """``text`` as a network, host bits dropped as the server drops them; None for what is no network."""
    try:
        return ipaddress.ip_network(str(text), strict=False) if text else None
    except ValueError:
        return None


def wanted_range(text: str, name: str, version: int | None = None) -> Range:
    """``text`` of the parameter ``name`` as a network."""
    found = range_or_none(text) if "/" in text else None
    if found is None or version not in {None, found.version}:
        kind = f"an IPv{version} range" if version else "a range"
        raise NetmakerRefusedError(
            "invalid_value", f"{name} {text} is not {kind}.", fix="write an address and a length: 10.100.0.0/16."
        )
    return found


def address_or_none(text: object) -> Address | None:
    """``text``, with or without a length, as an address; None for what is none."""
    try:
        return ipaddress.ip_interface(str(text)).ip if text else None
    except ValueError:
        return None


def overlap(one: Range | None, other: Range | None) -> bool:
    """Whether both exist and share an address."""
    return one is not None and other is not None and one.version == other.version and one.overlaps(other)


def moment(text: str, name: str) -> datetime:
    """``text`` (RFC 3339, or seconds since 1970) as a time, to the second."""
    try:
        if text.isdigit():
            return datetime.fromtimestamp(int(text), UTC)
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        found = None
    if found is None or found.tzinfo is None:
        raise NetmakerRefusedError(
            "invalid_value", f"{name} {text} is not a time with a zone.", fix="write it as 2027-01-31T12:00:00Z."
        )
    return found.astimezone(UTC).replace(microsecond=0)


def server_time(text: object) -> datetime | None:
    """A time of the server; None for its zero value."""
    try:
        found = moment(str(text), "time")
    except NetmakerRefusedError:
        return None
    return found if found.year > 1970 else None


def rfc3339(when: datetime | None) -> str | None:
    return None if when is None else when.strftime("%Y-%m-%dT%H:%M:%SZ")


def lines(settings: Mapping[str, Any]) -> str:
    """``settings`` as the text of a diff, one a line; what is None is left out."""
    return "".join(f"{name}: {shown(value)}\n" for name, value in sorted(settings.items()) if value is not None)


def shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
