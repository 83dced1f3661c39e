# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Typed access to inventory data. A wrong value is recorded as a Fault and read as if it were not there."""

from __future__ import annotations

import base64
import binascii
import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from ipaddress import AddressValueError, IPv4Address, IPv4Interface, IPv4Network, NetmaskValueError
from typing import Any, TypeAlias

from .._errors import Fault

Problem: TypeAlias = "tuple[str, str] | None"

_ENDPOINT = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")
_SHOWN = 60
_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    ((int, float), "a number"),
    (str, "a string"),
    ((list, tuple), "a list"),
    (Mapping, "a mapping"),
)


def shown(value: object) -> str:
    """``value`` as a fault quotes it."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def kind_of(value: object) -> str:
    """The YAML word for the type of ``value``."""
    if isinstance(value, bool):
        return "a boolean"
    for types, word in _KINDS:
        if isinstance(value, types):
            return word
    return f"a {type(value).__name__}"


class Item:
    """One mapping of the inventory: ``path`` is the variable with the item's name, such as ``…_bridges[mesh]``."""

    __slots__ = ("_data", "_faults", "host", "path")

    def __init__(self, host: str, path: str, data: Mapping[str, Any], faults: list[Fault]) -> None:
        self.host = host
        self.path = path
        self._data = data
        self._faults = faults

    @property
    def origin(self) -> str:
        return f"{self.host}: {self.path}"

    @property
    def name(self) -> str:
        """What the item calls itself, wrong or not; empty when it does not."""
        return str(self._data.get("name") or "")

    def fault(self, key: str, value: object, problem: str, fix: str) -> None:
        """Record that ``key`` (empty for the item itself) cannot be ``value``."""
        variable = f"{self.path}.{key}" if self.path and key else self.path or key
        self._faults.append(Fault(self.host, variable, shown(value), problem, fix))

    def has(self, key: str) -> bool:
        return self._data.get(key) is not None

    def keys(self, required: Iterable[str], allowed: frozenset[str], where: str) -> None:
        """Record every key that is missing or unknown. Values of unknown keys are not quoted: they may be secret."""
        data = self._data
        unknown = () if data.keys() <= allowed else sorted(str(key) for key in data.keys() - allowed)
        for key in unknown:
            near = difflib.get_close_matches(key, sorted(allowed), n=1)
            fix = f"write {near[0]}." if near else f"remove it; known are {', '.join(sorted(allowed))}."
            self._faults.append(Fault(self.host, self.path, key, f"{where} has no such key.", fix))
        for key in required:
            if data.get(key) is None:
                fault = Fault(self.host, f"{self.path}.{key}", "(not set)", f"{where} needs it.", "set it.")
                self._faults.append(fault)

    def text(self, key: str, check: Callable[[str], Problem] | None = None) -> str | None:
        """A string that ``check`` finds no problem with."""
        value = self._data.get(key)
        if value is None:
            return None
        if not isinstance(value, str) or not value:
            found = "an empty string" if value == "" else kind_of(value)
            self.fault(key, value, f"{found} stands here.", "write a string.")
            return None
        problem = check(value) if check else None
        if problem:
            self.fault(key, value, *problem)
            return None
        return value

    def number(self, key: str, low: int, high: int) -> int | None:
        """A whole number from ``low`` to ``high``."""
        value = self._data.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            self.fault(key, value, f"{kind_of(value)} stands here.", "write a whole number without quotes.")
            return None
        if not low <= value <= high:
            self.fault(key, value, "the number is out of range.", f"choose a number from {low} to {high}.")
            return None
        return value

    def quantity(self, key: str, high: int) -> float | None:
        """A number above 0, fractions allowed."""
        value = self._data.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.fault(key, value, f"{kind_of(value)} stands here.", "write a number such as 1.5 without quotes.")
            return None
        if not 0 < value <= high:
            self.fault(key, value, "the number is out of range.", f"choose a number above 0 and up to {high}.")
            return None
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """A boolean."""
        value = self._data.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.fault(key, value, f"{kind_of(value)} stands here.", "write true or false without quotes.")
            return default
        return value

    def choice(self, key: str, options: tuple[str, ...]) -> str | None:
        """One of ``options``."""
        value = self._data.get(key)
        if value is None or (isinstance(value, str) and value in options):
            return value
        self.fault(key, value, "this is not one of the known values.", f"choose one of {', '.join(options)}.")
        return None

    def network(self, key: str) -> IPv4Network | None:
        """An IPv4 network without host bits."""
        value = self._data.get(key)
        return None if value is None else self._network(key, value)

    def networks(self, key: str) -> tuple[IPv4Network, ...]:
        """A list of IPv4 networks, sorted."""
        found = [self._network(key, value) for value in self.values(key)]
        return tuple(sorted({network for network in found if network is not None}))

    def interface(self, key: str) -> IPv4Interface | None:
        """An IPv4 address with its prefix length."""
        value = self._data.get(key)
        if value is None:
            return None
        try:
            if not isinstance(value, str) or "/" not in value:
                raise ValueError
            return IPv4Interface(value)
        except ValueError:
            self.fault(key, value, "this is not an IPv4 address with a prefix length.", "write it like 10.0.0.102/24.")
            return None

    def address(self, key: str) -> IPv4Address | None:
        """An IPv4 address."""
        value = self._data.get(key)
        if value is None:
            return None
        try:
            if not isinstance(value, str):
                raise AddressValueError
            return IPv4Address(value)
        except AddressValueError:
            self.fault(key, value, "this is not an IPv4 address.", "write it like 10.0.0.1.")
            return None

    def values(self, key: str) -> list[Any]:
        """The list under ``key``, empty when it is not there."""
        value = self._data.get(key)
        if value is None:
            return []
        if not isinstance(value, (list, tuple)):
            self.fault(key, value, f"{kind_of(value)} stands here.", "write a list.")
            return []
        return list(value)

    def mapping(self, key: str) -> dict[str, Any]:
        """The mapping under ``key``, empty when it is not there."""
        value = self._data.get(key)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self.fault(key, value, f"{kind_of(value)} stands here.", "write a mapping.")
            return {}
        return {str(name): part for name, part in value.items()}

    def item(self, key: str) -> Item | None:
        """The mapping under ``key``."""
        value = self._data.get(key)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            self.fault(key, value, f"{kind_of(value)} stands here.", "write a mapping.")
            return None
        return Item(self.host, f"{self.path}.{key}", value, self._faults)

    def items(self, key: str, name: str = "name") -> list[Item]:
        """The mappings in the list under ``key``, each called after its own ``name``."""
        path = f"{self.path}.{key}" if self.path else key
        found = []
        for position, value in enumerate(self.values(key), 1):
            if not isinstance(value, Mapping):
                fault = f"item {position} is {kind_of(value)}."
                self._faults.append(Fault(self.host, path, shown(value), fault, "write a mapping."))
                continue
            label = value.get(name)
            found.append(Item(self.host, f"{path}[{label if label else f'#{position}'}]", value, self._faults))
        return found

    def _network(self, key: str, value: object) -> IPv4Network | None:
        try:
            if not isinstance(value, str) or "/" not in value:
                raise AddressValueError
            return IPv4Network(value)
        except (AddressValueError, NetmaskValueError):
            self.fault(key, value, "this is not an IPv4 network.", "write it like 10.0.0.0/24.")
        except ValueError:
            whole = IPv4Interface(str(value)).network
            self.fault(key, value, "the network has host bits set.", f"write {whole}.")
        return None


def endpoint_problem(value: str) -> Problem:
    """Why ``value`` is not a WireGuard endpoint."""
    matched = _ENDPOINT.fullmatch(value)
    if matched and 1 <= int(matched[1]) <= 65535:
        return None
    return "an endpoint is HOST:PORT.", "write it like 192.0.2.10:51821."


def address_problem(value: str) -> Problem:
    """Why ``value`` is not the public address of a Netmaker host."""
    try:
        IPv4Address(value)
    except AddressValueError:
        return (
            "the endpoint of a Netmaker host is an IPv4 address.",
            "write it like 192.0.2.10; the port is listen_port.",
        )
    return None


def is_wireguard_key(value: str) -> bool:
    """True for 32 bytes in base64."""
    try:
        return len(base64.b64decode(value, validate=True)) == 32
    except (binascii.Error, ValueError):
        return False
