# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""The header space: every field that rules of ours match, its place in one packed integer, and how values are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import AddressValueError, IPv4Address
from typing import NamedTuple

from .._errors import RefusedError


class FlowTextError(RefusedError):
    """A text says something that the checker and the simulator do not know. They never guess."""


class Bits(NamedTuple):
    """Packed bits: ``value`` under ``mask``, with ``value & ~mask == 0``."""

    value: int
    mask: int


class Field(NamedTuple):
    """A field of ``width`` bits that starts ``shift`` bits from the right; ``kind`` says how its values are written."""

    name: str
    shift: int
    width: int
    kind: str

    @property
    def mask(self) -> int:
        """All its bits, in place."""
        return ((1 << self.width) - 1) << self.shift

    def of(self, header: int) -> int:
        """Its value in ``header``."""
        return header >> self.shift & (1 << self.width) - 1

    def put(self, header: int, value: int) -> int:
        """``header`` with its value changed."""
        return header & ~self.mask | value << self.shift


_WIDTHS = (
    ("in_port", 32, "port"),
    ("dl_src", 48, "mac"),
    ("dl_dst", 48, "mac"),
    ("dl_type", 16, "number"),
    ("vlan_tci", 16, "number"),
    ("nw_proto", 8, "number"),
    ("nw_ttl", 8, "number"),
    ("nw_src", 32, "ipv4"),
    ("nw_dst", 32, "ipv4"),
    ("tp_src", 16, "number"),
    ("tp_dst", 16, "number"),
    ("tcp_flags", 12, "tcp_flags"),
    ("arp_op", 8, "number"),
    ("arp_spa", 32, "ipv4"),
    ("arp_tpa", 32, "ipv4"),
    ("arp_sha", 48, "mac"),
    ("arp_tha", 48, "mac"),
    ("ct_state", 8, "ct_state"),
    ("ct_zone", 16, "number"),
    ("ct_mark", 32, "number"),
    *((f"reg{number}", 32, "number") for number in range(16)),
    ("nw_frag", 2, "frag"),
)


def _layout() -> dict[str, Field]:
    fields, shift = {}, 0
    for name, width, kind in _WIDTHS:
        fields[name] = Field(name, shift, width, kind)
        shift += width
    return fields


FIELDS: Mapping[str, Field] = _layout()

ALIASES: Mapping[str, str] = {
    "eth_src": "dl_src",
    "eth_dst": "dl_dst",
    "eth_type": "dl_type",
    "ip_src": "nw_src",
    "ip_dst": "nw_dst",
    "ip_proto": "nw_proto",
    "tcp_src": "tp_src",
    "tcp_dst": "tp_dst",
    "udp_src": "tp_src",
    "udp_dst": "tp_dst",
    "icmp_type": "tp_src",
    "icmp_code": "tp_dst",
    "ip_frag": "nw_frag",
}
"""Other names of fields."""

NXM: Mapping[str, str] = {
    "NXM_OF_ETH_SRC": "dl_src",
    "NXM_OF_ETH_DST": "dl_dst",
    "NXM_OF_IP_SRC": "nw_src",
    "NXM_OF_IP_DST": "nw_dst",
    "NXM_OF_ARP_SPA": "arp_spa",
    "NXM_OF_ARP_TPA": "arp_tpa",
    "NXM_NX_ARP_SHA": "arp_sha",
    "NXM_NX_ARP_THA": "arp_tha",
    "NXM_NX_CT_MARK": "ct_mark",
    **{f"NXM_NX_REG{number}": f"reg{number}" for number in range(16)},
}
"""Names of fields in `move`."""

ETH_IP, ETH_ARP, ETH_IPV6 = 0x0800, 0x0806, 0x86DD
ICMP, TCP, UDP = 1, 6, 17
NORMAL, LOCAL = 0xFFFFFFFA, 0xFFFFFFFE
"""OpenFlow's numbers of the MAC learning switch and of the bridge's own port."""

FRAGMENT, LATER = 1, 2
"""Bits of nw_frag: part of a larger packet; not its first part, so without ports."""

_FRAGMENTS = {"no": (0, 3), "yes": (1, 1), "first": (1, 3), "later": (3, 3), "not_later": (0, 2)}

CT_FLAGS = ("new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat")
TCP_FLAGS = ("fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns")

_WHOLE = frozenset({"dl_type", "nw_proto", "arp_op", "ct_zone", "nw_frag"})
"""Fields that OVS takes without a mask only."""

_NUMBER = re.compile(r"0x[0-9a-f]+|0|[1-9][0-9]*", re.IGNORECASE)
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", re.IGNORECASE)
_FLAGS = re.compile(r"([+-][a-z]+)+")
_FLAG = re.compile(r"([+-])([a-z]+)")


def flag_bits(names: str, *flags: str) -> int:
    """The bits of ``flags`` in the field ``names`` (`ct_state` or `tcp_flags`), not yet in place."""
    known = CT_FLAGS if names == "ct_state" else TCP_FLAGS
    return sum(1 << known.index(flag) for flag in flags)


def packed(**values: int) -> int:
    """A header with these fields; the others are zero."""
    return sum(value << FIELDS[name].shift for name, value in values.items())


def exact(name: str, value: int) -> Bits:
    """The field ``name`` has ``value``."""
    field = FIELDS[name]
    return Bits(value << field.shift, field.mask)


def read_number(text: str, width: int) -> int:
    """A decimal or hexadecimal number of at most ``width`` bits. Octal is refused: OVS would take 010 for 8."""
    if not _NUMBER.fullmatch(text):
        raise FlowTextError(f"{text!r} is not a number.")
    value = int(text, 0)
    if value >> width:
        raise FlowTextError(f"{text} does not fit into {width} bits.")
    return value


def read_mac(text: str) -> int:
    if not _MAC.fullmatch(text):
        raise FlowTextError(f"{text!r} is not a MAC address.")
    return int(text.replace(":", ""), 16)


def read_ipv4(text: str) -> int:
    try:
        return int(IPv4Address(text))
    except AddressValueError as exc:
        raise FlowTextError(f"{text!r} is not an IPv4 address.") from exc


def _prefix_mask(text: str) -> int:
    if "." in text:
        return read_ipv4(text)
    length = read_number(text, 6)
    if length > 32:
        raise FlowTextError(f"/{text} is no prefix length of an IPv4 address.")
    return 0xFFFFFFFF >> length ^ 0xFFFFFFFF


def _read_flags(field: Field, text: str) -> Bits:
    """``+new-rpl``; also a number with a mask."""
    if not _FLAGS.fullmatch(text):
        if "/" in text or _NUMBER.fullmatch(text):
            return _with_mask(text, lambda part: read_number(part, field.width), field)
        raise FlowTextError(f"{text!r} is not a list of flags with + or - before each.")
    known = CT_FLAGS if field.kind == "ct_state" else TCP_FLAGS
    value = mask = 0
    for sign, flag in _FLAG.findall(text):
        if flag not in known:
            raise FlowTextError(f"{flag!r} is no flag of {field.name}.")
        bit = 1 << known.index(flag)
        if mask & bit:
            raise FlowTextError(f"the flag {flag} stands twice in {text!r}.")
        mask |= bit
        value |= bit if sign == "+" else 0
    return Bits(value, mask)


def _with_mask(
    text: str, read: Callable[[str], int], field: Field, read_mask: Callable[[str], int] | None = None
) -> Bits:
    value, slash, mask = text.partition("/")
    full = (1 << field.width) - 1
    bits = (read_mask or read)(mask) if slash else full
    return Bits(read(value) & bits, bits)


def read_value(field: Field, text: str) -> Bits:
    """``text`` as a value of ``field``, with a mask where it has one, in place. Ports are not read here."""
    if "/" in text and field.name in _WHOLE:
        raise FlowTextError(f"{field.name} has no mask.")
    if field.kind == "mac":
        bits = _with_mask(text, read_mac, field)
    elif field.kind == "ipv4":
        bits = _with_mask(text, read_ipv4, field, _prefix_mask)
    elif field.kind in ("ct_state", "tcp_flags"):
        bits = _read_flags(field, text)
    elif field.kind == "frag":
        if text not in _FRAGMENTS:
            raise FlowTextError(f"{text!r} is none of {', '.join(_FRAGMENTS)}.")
        bits = Bits(*_FRAGMENTS[text])
    else:
        bits = _with_mask(text, lambda part: read_number(part, field.width), field)
    return Bits(bits.value << field.shift, bits.mask << field.shift)


def field_named(name: str) -> Field:
    """The field that OVS calls ``name``."""
    known = ALIASES.get(name, name)
    if known not in FIELDS:
        raise FlowTextError(f"the field {name!r} is unknown here.")
    return FIELDS[known]


def mac_text(value: int) -> str:
    return ":".join(f"{value:012x}"[index : index + 2] for index in range(0, 12, 2))


def ipv4_text(value: int) -> str:
    return str(IPv4Address(value))


def flags_text(names: str, value: int) -> str:
    """``new|trk`` for the bits of `ct_state` or `tcp_flags`; 0 for none."""
    known = CT_FLAGS if names == "ct_state" else TCP_FLAGS
    return "|".join(flag for index, flag in enumerate(known) if value >> index & 1) or "0"
