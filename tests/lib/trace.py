# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`ofproto/trace` of a real switch: packets as it wants them, its answer as the simulator puts it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.actions import split_list
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.conntrack import (
    ESTABLISHED,
    INVALID,
    NEW,
    REPLY,
    TRACKED,
    Packet,
    Request,
    Tracked,
)
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.fields import (
    CT_FLAGS,
    ETH_ARP,
    ETH_IP,
    FIELDS,
    FRAGMENT,
    ICMP,
    LATER,
    TCP,
    UDP,
    Bits,
    ipv4_text,
    mac_text,
    packed,
)
from ansible_collections.op_dbus.socket_network.plugins.module_utils._core.simulator import Result

from tests.lib.unixctl import Unixctl

_STEP = re.compile(r"^ *(\d+)\. (?:.*cookie (0x[0-9a-f]+)|No match)", re.MULTILINE)
_FLOW = re.compile(r"^(Flow|Final flow): (.*)$", re.MULTILINE)
_ACTIONS = re.compile(r"^Datapath actions: (.*)$", re.MULTILINE)
_COMMIT = re.compile(r"ct\(commit,zone=(\d+)(?:,mark=(0x[0-9a-f]+|\d+)/(0x[0-9a-f]+))?")
_TTL = "decrement TTL exception"
_PORT_LINE = re.compile(r"^ +\S+ (\d+)/(\d+):", re.MULTILINE)
_SHOWN = ("dl_src", "dl_dst", "nw_src", "nw_dst", "nw_ttl", "tp_src", "tp_dst")
_SHOWN_ARP = ("dl_src", "dl_dst", "arp_spa", "arp_tpa", "arp_op", "arp_sha", "arp_tha")
_SET = re.compile(r"^set\((eth|ipv4|tcp|udp)\((.*)\)\)$")
_PAIR = re.compile(r"(\w+)=([^,/]+)")
_ENDS = {"src": "tp_src", "dst": "tp_dst"}
_SET_NAMES = {
    "eth": {"src": "dl_src", "dst": "dl_dst"},
    "ipv4": {"src": "nw_src", "dst": "nw_dst", "ttl": "nw_ttl"},
    "tcp": _ENDS,
    "udp": _ENDS,
}
_FRAGMENTS = {1: "first", 3: "later"}
_REGISTERS = tuple(f"reg{number}" for number in range(16))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a packet: ``steps`` as (table, cookie or None), ``sent`` as (port, fields), ``commits``."""

    steps: tuple[tuple[int, int | None], ...]
    sent: tuple[tuple[int, tuple[int, ...]], ...]
    commits: tuple[tuple[int, Bits], ...]
    ttl: bool

    @property
    def effect(self) -> tuple[object, ...]:
        """Without the way that led there."""
        return self.sent, self.commits, self.ttl


@dataclass(frozen=True, slots=True)
class Given:
    """A tracker whose answer is part of the packet's header: its ct_state and ct_mark."""

    header: int

    def track(self, _zone: int, packet: Packet, request: Request) -> Tracked:
        """Remembers nothing. Like `ofproto/trace`, it translates to the first address and port of a range."""
        nat = request.nat
        if nat is not None and nat.end:
            header = FIELDS[f"nw_{nat.end}"].put(packet.header, nat.addresses[0])
            if nat.ports and not FIELDS["nw_frag"].of(header) & LATER:
                header = FIELDS[f"tp_{nat.end}"].put(header, nat.ports[0])
            packet = replace(packet, header=header)
        return Tracked(FIELDS["ct_state"].of(self.header), FIELDS["ct_mark"].of(self.header), packet)


def simulated(result: Result) -> Verdict:
    return Verdict(
        tuple((step.table, step.rule.cookie if step.rule else None) for step in result.steps),
        tuple((sent.port, _fields(sent.header)) for sent in result.sent),
        tuple(result.commits),
        result.trouble == "ttl",
    )


def _fields(header: int) -> tuple[int, ...]:
    names = _SHOWN_ARP if FIELDS["dl_type"].of(header) == ETH_ARP else _SHOWN
    return tuple(FIELDS[name].of(header) for name in (*names, *_REGISTERS))


class Switch:
    """Traces packets on one bridge."""

    def __init__(self, control: Unixctl, bridge: str) -> None:
        self._control = control
        self._bridge = bridge
        shown = control("dpif/show")
        self._ports = {int(dp): int(of) for of, dp in _PORT_LINE.findall(shown)}

    def trace(self, header: int) -> Verdict:
        """The fate of a packet with ``header``, its ct_state and ct_mark being what connection tracking answers."""
        state = FIELDS["ct_state"].of(header)
        answer = ",".join(flag for index, flag in enumerate(CT_FLAGS) if state >> index & 1)
        flow = f"{flow_text(header)},ct_mark={FIELDS['ct_mark'].of(header):#x}"
        return self._read(self._control("ofproto/trace", self._bridge, flow, "--ct-next", answer or "trk"), header)

    def _read(self, text: str, header: int) -> Verdict:
        steps = tuple((int(table), int(cookie, 16) if cookie else None) for table, cookie in _STEP.findall(text))
        sent: list[tuple[int, tuple[int, ...]]] = []
        commits: list[tuple[int, Bits]] = []
        for section in text.split("\n===="):
            actions = _ACTIONS.search(section)
            if not actions:
                continue
            sent += [(self._ports[port], fields) for port, fields in _outputs(section, actions[1], header)]
            commits += [
                (int(zone), Bits(int(value or "0", 0), int(mask or "0", 0)))
                for zone, value, mask in _COMMIT.findall(actions[1])
            ]
        return Verdict(steps, tuple(sent), tuple(commits), _TTL in text)


def _outputs(section: str, actions: str, header: int) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Ports of the datapath, and the packet that goes there: the section's last header for what the packet has not.

    A packet that is changed and changed back in between (by buckets of a group) has what was set last in each field.
    """
    arp = FIELDS["dl_type"].of(header) == ETH_ARP
    last = _header(section, "Final flow", arp)
    now = last if arp else {**_header(section, "Flow", arp), **{name: last[name] for name in _REGISTERS}}
    for word in split_list(actions):
        if word.isdigit():
            yield int(word), tuple(now.values())
        elif not arp:
            for layer, changes in _SET.findall(word):
                names = _SET_NAMES[layer]
                now |= {names[name]: _number(value) for name, value in _PAIR.findall(changes) if name in names}


def _header(section: str, which: str, arp: bool) -> dict[str, int]:
    """The fields that count. The switch does not print registers that are zero."""
    texts = dict(_FLOW.findall(section))
    text = texts["Flow"] if texts[which] == "unchanged" else texts[which]
    words = dict(item.split("=", 1) for item in text.split(",") if "=" in item)
    words = {"tp_src": words.get("icmp_type", "0"), "tp_dst": words.get("icmp_code", "0"), **words}
    return {name: _number(words.get(name, "0")) for name in (*(_SHOWN_ARP if arp else _SHOWN), *_REGISTERS)}


def _number(text: str) -> int:
    if ":" in text:
        return int(text.replace(":", ""), 16)
    if "." in text:
        return int.from_bytes(bytes(int(part) for part in text.split(".")), "big")
    return int(text, 0)


def flow_text(header: int) -> str:
    """The packet as `ofproto/trace` and `netdev-dummy/receive` want it, without connection tracking."""
    value = {name: field.of(header) for name, field in FIELDS.items()}
    words = [f"in_port={value['in_port']}", f"dl_src={mac_text(value['dl_src'])}"]
    words += [f"dl_dst={mac_text(value['dl_dst'])}", f"dl_type={value['dl_type']:#06x}"]
    if value["vlan_tci"]:
        words.append(f"vlan_tci={value['vlan_tci']:#06x}")
    if value["dl_type"] == ETH_ARP:
        words += [f"arp_op={value['arp_op']}"]
        words += [f"{name}={ipv4_text(value[name])}" for name in ("arp_spa", "arp_tpa")]
        words += [f"{name}={mac_text(value[name])}" for name in ("arp_sha", "arp_tha")]
    if value["dl_type"] == ETH_IP:
        words += [f"{name}={ipv4_text(value[name])}" for name in ("nw_src", "nw_dst")]
        words += [f"nw_proto={value['nw_proto']}", f"nw_ttl={value['nw_ttl']}"]
        names = {TCP: "tcp_{}", UDP: "udp_{}"}.get(value["nw_proto"])
        if names:
            words += [f"{names.format('src')}={value['tp_src']}", f"{names.format('dst')}={value['tp_dst']}"]
        if value["nw_proto"] == TCP:
            words.append(f"tcp_flags={value['tcp_flags']:#05x}")
        if value["nw_frag"]:
            words.append(f"nw_frag={_FRAGMENTS[value['nw_frag']]}")
        if value["nw_proto"] == ICMP:
            words += [f"icmp_type={value['tp_src']}", f"icmp_code={value['tp_dst']}"]
    return ",".join(words)


_GRE = 47
_ALWAYS = ("in_port", "dl_src", "dl_dst", "dl_type", "vlan_tci", "ct_state", "ct_mark")
_OF_ARP = ("arp_op", "arp_spa", "arp_tpa", "arp_sha", "arp_tha")
_OF_IP = ("nw_src", "nw_dst", "nw_proto", "nw_ttl", "nw_frag")


def possible(header: int) -> int:
    """``header`` without what no packet of its type has, and with a tag that says that it is one."""
    value = {name: field.of(header) for name, field in FIELDS.items()}
    names = list(_ALWAYS)
    if value["dl_type"] == ETH_ARP:
        names += _OF_ARP
    if value["dl_type"] == ETH_IP:
        names += _OF_IP
        # The switch takes protocol 0 for a packet without an IP header.
        value["nw_proto"] = value["nw_proto"] or _GRE
        if value["nw_frag"] & LATER:
            value["nw_frag"] |= FRAGMENT
        elif value["nw_proto"] in (TCP, UDP, ICMP):
            names += ["tp_src", "tp_dst"]
            names += ["tcp_flags"] if value["nw_proto"] == TCP else []
        if value["nw_proto"] == ICMP:
            value["tp_src"], value["tp_dst"] = value["tp_src"] & 0xFF, value["tp_dst"] & 0xFF
    if value["vlan_tci"]:
        value["vlan_tci"] |= 0x1000
    value["ct_state"] = _state(value["ct_state"])
    return packed(**{name: value[name] for name in names})


def _state(state: int) -> int:
    """The nearest state that connection tracking answers: what the switch accepts for one."""
    state |= TRACKED
    if state & INVALID:
        return INVALID | TRACKED
    return state & ~NEW if state & (ESTABLISHED | REPLY) else state
