# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options: which there are, and how Proxmox writes their values."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .failure import Failure, wrong_parameter

BOOLEANS = {"onboot", "unprivileged", "protection", "template", "console", "debug"}
INTEGERS = {"memory": 16, "swap": 0, "cores": 1, "cpuunits": 0, "tty": 0}
NUMBERS = {"cpulimit"}
STRINGS = {
    "hostname",
    "description",
    "ostype",
    "rootfs",
    "features",
    "hookscript",
    "tags",
    "nameserver",
    "searchdomain",
}
STRINGS |= {"startup", "lock"} | {f"net{number}" for number in range(10)} | {f"mp{number}" for number in range(10)}
ALL = BOOLEANS | set(INTEGERS) | NUMBERS | STRINGS

NET_REQUIRED = "name"
NET_BOOLEANS = {"firewall", "link_down", "host-managed"}
NET_KEYS = NET_BOOLEANS | {
    *("name", "bridge", "hwaddr", "mtu", "ip", "gw", "ip6", "gw6", "tag", "trunks", "rate", "type"),
}
FEATURES = {"mount", "nesting", "keyctl", "fuse", "mknod", "force_rw_sys"}
MAC = re.compile(r"[a-f0-9][02468ace](?::[a-f0-9]{2}){5}", re.IGNORECASE)


def parse(words: Sequence[str], arguments: Sequence[str], known: set[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Positional arguments by name, and the options. `--key value`, `-key value` and `--key=value` are the same."""
    options: dict[str, str] = {}
    rest: list[str] = []
    queue = list(words)
    while queue:
        word = queue.pop(0)
        if not re.match("--?[a-zA-Z]", word):
            rest.append(word)
            continue
        key, equals, value = word.lstrip("-").partition("=")
        if key not in known:
            raise Failure(f"Unknown option: {key}\n400 unable to parse option")
        if not equals:
            flag = key in BOOLEANS | {"purge", "force", "forceStop", "verbose"}
            value = "1" if flag and (not queue or queue[0].startswith("-")) else queue.pop(0)
        options[key] = value
    if len(rest) != len(arguments):
        raise Failure("400 not enough arguments" if len(rest) < len(arguments) else "400 too many arguments")
    given = dict(zip(arguments, rest, strict=True))
    if not re.fullmatch("[1-9][0-9]{2,8}", given.get("vmid", "100")):
        raise wrong_parameter(vmid="invalid format - value does not look like a valid VM ID")
    return given, options


def canonical(key: str, value: str) -> str:
    """The value as it goes into the file; refused when it cannot be one."""
    if key in BOOLEANS:
        return boolean(key, value)
    if key in INTEGERS:
        if not value.isdigit():
            raise wrong_parameter(**{key: f"type check ('integer') failed - got '{value}'"})
        if int(value) < INTEGERS[key]:
            raise wrong_parameter(**{key: f"value must have a minimum value of {INTEGERS[key]}"})
        return str(int(value))
    if key in NUMBERS and not re.fullmatch(r"\d+(\.\d+)?", value):
        raise wrong_parameter(**{key: f"type check ('number') failed - got '{value}'"})
    if re.fullmatch(r"net\d+", key):
        return written({**network(value), "type": "veth"}, NET_REQUIRED)
    if key == "features":
        return written({part: boolean(part, text) for part, text in parts(value, FEATURES).items()})
    return value


def boolean(key: str, value: str) -> str:
    if re.fullmatch("1|on|yes|true", value, re.IGNORECASE):
        return "1"
    if re.fullmatch("0|off|no|false", value, re.IGNORECASE):
        return "0"
    raise wrong_parameter(**{key: f"type check ('boolean') failed - got '{value}'"})


def network(value: str) -> dict[str, str]:
    """The parts of a network device."""
    found = parts(value, NET_KEYS)
    found = {key: boolean(key, text) if key in NET_BOOLEANS else text for key, text in found.items()}
    if "name" not in found:
        raise wrong_parameter(
            net0="invalid format - format error\nnet0.name: property is missing and it is not optional"
        )
    if "hwaddr" in found and not MAC.fullmatch(found["hwaddr"]):
        raise wrong_parameter(net0="invalid format - value does not look like a valid unicast MAC address")
    return found


def parts(value: str, known: set[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in filter(str.strip, value.split(",")):
        key, equals, text = part.partition("=")
        if not equals or not text:
            raise Failure("missing key in comma-separated list property")
        if key in found:
            raise Failure(f"duplicate key in comma-separated list property: {key}")
        if key not in known:
            raise Failure(f"invalid key in comma-separated list property: {key}")
        found[key] = text
    return found


def written(values: dict[str, str], required: str = "") -> str:
    """Required part first, the rest sorted."""
    order = [key for key in (required,) if key in values] + sorted(key for key in values if key != required)
    return ",".join(f"{key}={values[key]}" for key in order)
