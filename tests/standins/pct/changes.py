# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`pct set`: a change waits in the section of pending ones until it can be taken over, at once or at the next start."""

from __future__ import annotations

import re
import sys

from . import life, network, options
from .configfile import Config, Section
from .failure import Failure, wrong_parameter

AT_ONCE = {"description", "onboot", "startup", "protection", "hostname", "hookscript", "cores", "tags", "lock"}
LIVE = {"memory", "swap", "cpulimit", "cpuunits", "net0"}
REQUIRED = {"memory", "rootfs", "ostype"}
DEVICE = {"hwaddr", "name"}
PLACE = {"bridge", "tag", "firewall", "link_down"}


def change(vmid: str, config: Config, given: dict[str, str], deleted: list[str], reverted: list[str]) -> None:
    """Take the options over as far as the container's state lets them."""
    config.check_lock()
    _check(given, deleted, reverted)
    waiting = _waiting(config)
    for key in reverted:
        config.pending.values.pop(key, None)
        waiting.discard(key)
    for key in deleted:
        if key not in config.current.values and key not in config.pending.values:
            print(f"cannot delete '{key}' - not set in current configuration!", file=sys.stderr)
            continue
        if key in REQUIRED:
            raise Failure(f"unable to delete required option '{key}'")
        config.pending.values.pop(key, None)
        waiting.add(key)
    for key, value in given.items():
        if key == "unprivileged":
            raise Failure("unable to modify read-only option: 'unprivileged'")
        if key == "net0":
            network.check_mtu(options.network(value))
        _put(config.pending, key, options.canonical(key, value))
        waiting.discard(key)
    _note_waiting(config, waiting)
    apply(vmid, config, given.keys() | set(deleted))


def apply(vmid: str, config: Config, chosen: set[str] | None = None) -> None:
    """Take over what is pending: all of it for a stopped container, else what works live."""
    running = life.is_running(vmid)
    waiting = _waiting(config)
    for key in sorted(waiting):
        if _takes(key, running) and (chosen is None or key in chosen):
            _drop(config.current, key)
            waiting.discard(key)
    _note_waiting(config, waiting)
    for key in sorted({*config.pending.values, *(["description"] if config.pending.description else [])} - {"delete"}):
        if not _takes(key, running) or (chosen is not None and key not in chosen):
            continue
        value = _take(config.pending, key)
        if running and key == "net0":
            _replug(vmid, config, value)
        _put(config.current, key, value)
    for key in [key for key, value in config.pending.values.items() if config.current.values.get(key) == value]:
        del config.pending.values[key]


def pending_lines(config: Config) -> list[str]:
    """What `pct pending` prints."""
    waiting, lines = _waiting(config), []
    for key in sorted({*config.current.values, *config.pending.values} - {"delete"}):
        have, new = config.current.values.get(key), config.pending.values.get(key)
        if have is not None:
            lines.append(f"{'del' if key in waiting else 'cur'} {key}: {have}")
        if new is not None:
            lines.append(f"new {key}: {new}")
    return lines


def _check(given: dict[str, str], deleted: list[str], reverted: list[str]) -> None:
    if not given and not deleted and not reverted:
        raise Failure("no options specified")
    for key in [*deleted, *reverted]:
        if key not in options.ALL:
            raise wrong_parameter(delete=f"unknown option '{key}'")
        if key in given:
            raise wrong_parameter(delete=f"you can't use '-{key}' and -delete {key}' at the same time")


def _takes(key: str, running: bool) -> bool:
    return not running or key in AT_ONCE or key in LIVE


def _replug(vmid: str, config: Config, value: str) -> None:
    """MTU is not among what is taken over; another MAC address or name means another device."""
    old, new = options.network(config.current.values["net0"]), options.network(value)
    device = network.veth(vmid)
    if any(old.get(key) != new.get(key) for key in DEVICE):
        network.delete(device)
        life.create_device(vmid, new)
        network.plug(device, new)
        life.guest(vmid, "ip", "link", "set", new["name"], "up")
        life.configure_guest(vmid, new)
    elif any(old.get(key, "0") != new.get(key, "0") for key in PLACE):
        network.unplug(device)
        network.plug(device, new)


def _put(section: Section, key: str, value: str) -> None:
    if key == "description":
        section.description = value + "\n"
    else:
        section.values[key] = value


def _take(section: Section, key: str) -> str:
    if key == "description":
        value, section.description = section.description.rstrip("\n"), ""
        return value
    return section.values.pop(key)


def _drop(section: Section, key: str) -> None:
    section.values.pop(key, None)
    if key == "description":
        section.description = ""


def _waiting(config: Config) -> set[str]:
    return set(filter(None, re.split("[,; ]", config.pending.values.get("delete", ""))))


def _note_waiting(config: Config, waiting: set[str]) -> None:
    config.pending.values.pop("delete", None)
    if waiting:
        config.pending.values["delete"] = ",".join(sorted(waiting))
