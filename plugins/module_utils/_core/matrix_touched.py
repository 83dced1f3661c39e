# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Which packets a change of rules can concern at all, so that only those have to be followed.

A packet that meets no changed rule fares as before. It meets one only if it is in those bits of its match that no rule
of the bridge ever writes; and a register has the value that is matched only after a rule has written it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .actions import Move, SetField
from .cube import intersection, overlap
from .fields import FIELDS, Bits
from .matrix_space import NOTHING
from .rules import Rule

_REGISTERS = [field for name, field in FIELDS.items() if name.startswith("reg")]
_TRACKED = sum(FIELDS[name].mask for name in ("ct_state", "ct_zone", "ct_mark"))
_MANY = 1_000


def concerned(old: Sequence[Rule], new: Sequence[Rule]) -> list[Bits]:
    """Sets of first packets outside which nothing changes between two versions of a bridge's rules."""
    before, after = {_identity(rule) for rule in old}, {_identity(rule) for rule in new}
    every = [*old, *new]
    changed = [rule for rule in every if _identity(rule) not in before or _identity(rule) not in after]
    written = sum(field.mask for field in FIELDS.values() if any(_writes(rule, field.mask) for rule in every))
    stable = ~(written | _TRACKED | sum(register.mask for register in _REGISTERS))
    cubes = dict.fromkeys(bits for rule in changed for bits in _first_packets(rule, every, stable))
    kept = [bits for bits in cubes if not any(_within(bits, other) for other in cubes if other != bits)]
    return kept if len(kept) <= _MANY else [NOTHING]


def _identity(rule: Rule) -> tuple[object, ...]:
    return rule.table, rule.priority, rule.bits, rule.actions


def _writes(rule: Rule, mask: int) -> bool:
    return any(
        action.bits.mask & mask if isinstance(action, SetField) else action.target.mask & mask
        for action in rule.actions
        if isinstance(action, SetField | Move)
    )


def _first_packets(rule: Rule, every: Iterable[Rule], stable: int) -> list[Bits]:
    """Those that may meet ``rule``."""
    own = _part(rule.bits, stable)
    for register in _REGISTERS:
        wanted = _part(rule.bits, register.mask)
        if wanted.value:
            ways = [_part(writer.bits, stable) for writer in every if _may_write(writer, wanted, register.mask)]
            return [intersection(own, way) for way in ways if overlap(own, way)]
    return [own]


def _may_write(rule: Rule, wanted: Bits, register: int) -> bool:
    """Whether ``rule`` may leave the register with a bit of ``wanted`` that it did not have at first."""
    for action in rule.actions:
        if isinstance(action, SetField) and action.bits.mask & wanted.mask and overlap(action.bits, wanted):
            return True
        if isinstance(action, Move) and action.target.mask == register:
            return True
    return False


def _part(bits: Bits, mask: int) -> Bits:
    return Bits(bits.value & mask, bits.mask & mask)


def _within(bits: Bits, other: Bits) -> bool:
    return bits.mask & other.mask == other.mask and bits.value & other.mask == other.value
