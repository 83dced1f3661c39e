# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad parameters are refused, all of them at once, by name and with a way to mend them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._errors import RefusedError
from ansible_collections.op_dbus.socket_network.plugins.module_utils._links.parse import parse, parse_files

from tests.unit.links.layers import layer, parameters

Change = Callable[[dict[str, Any]], object]


def uplink(**values: Any) -> Change:
    """A change of the exit of host oo1424oo."""
    return lambda given: next(item for item in given["uplinks"] if item["name"] == "warp0").update(values)


def published(**values: Any) -> Change:
    return lambda given: given["published"][0].update(values)


BAD: dict[str, tuple[str, Change, str]] = {
    "name with a slash": ("oo1424oo", uplink(name="a/b"), "'a/b': is not a usable interface name."),
    "name that is too long": ("oo1424oo", uplink(gateway_port="gw-abcdefghijklmn"), "1 to 15 letters"),
    "name with a line break": ("oo1424oo", uplink(device="warp0\n"), "is not a usable interface name."),
    "name that the kernel uses": ("oo1424oo", uplink(device="all"), "'all': is not a usable interface name."),
    "multicast MAC": ("oo1424oo", uplink(mac="03:01:00:00:00:01"), "is not a unicast MAC address."),
    "no MAC": ("oo1424oo", uplink(mac="02:01:00:00"), "is not a unicast MAC address."),
    "main table": ("oo1424oo", uplink(table=254), "table = 254: is out of range. Fix: 65537 to 131071."),
    "tiny MTU": ("oo1424oo", uplink(mtu=68), "mtu = 68: is out of range."),
    "host bits": ("oo1424oo", uplink(subnet="10.0.0.1/24"), "'10.0.0.1/24': is not an IPv4 network"),
    "IPv6": ("oo1424oo", uplink(prefixes=["::/0"]), "'::/0': is not an IPv4 network"),
    "exit without a device": ("oo1424oo", uplink(device=None), "device = None: does not fit kind warp."),
    "host with a device": ("oo1424oo", uplink(kind="host"), "device = 'warp0': does not fit kind host."),
    "same device twice": ("oo1424oo", uplink(device="nm-privacy"), "'nm-privacy': is used 2 times."),
    "same port twice": ("oo1424oo", uplink(bridge_port="ovs-host"), "'ovs-host': is used 2 times."),
    "same table twice": (
        "oo1424oo",
        lambda given: [item.update(table=70000) for item in given["uplinks"]],
        "uplink table = 70000: is used 3 times.",
    ),
    "protocol without ports": ("vps-gateway", published(protocol="icmp"), "'icmp': cannot be filtered by port."),
    "port zero": ("vps-gateway", published(public_port=0), "public_port = 0: is out of range."),
    "no address": ("vps-gateway", published(address="xray"), "'xray': is not an IPv4 address"),
    "address elsewhere": ("vps-gateway", published(address="10.9.0.1"), "'10.9.0.1': is not behind gw-host."),
    "published through a tunnel": (
        "vps-gateway",
        published(gateway_port="gw-nm-server"),
        "'gw-nm-server': belongs to no uplink of kind host. Fix: one of: gw-host.",
    ),
    "published twice": (
        "vps-gateway",
        lambda given: given["published"].append({**given["published"][0], "port": 80}),
        "is used 2 times.",
    ),
    "bad end of a pair": (
        "oo1424oo-two-bridges",
        lambda given: given["veth_pairs"][0]["peer2"].update(name="from mesh"),
        "veth_pairs[0].peer2.name = 'from mesh': is not a usable interface name.",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_parameters_are_refused(case: str) -> None:
    host, change, text = BAD[case]
    given = parameters(host)
    parse(given)
    change(given)
    with pytest.raises(RefusedError) as caught:
        parse(given)
    assert text in str(caught.value)
    assert "nothing was changed" in str(caught.value)
    assert "Fix: " in str(caught.value)


def test_all_faults_stand_in_one_message() -> None:
    given = parameters("oo1424oo")
    uplink(mac="x", mtu=1, table=1)(given)
    with pytest.raises(RefusedError, match=r"has 3 faults") as caught:
        parse(given)
    assert [line[:4] for line in str(caught.value).splitlines()[1:]] == ["  1.", "  2.", "  3."]


def test_order_of_parameters_does_not_matter() -> None:
    given = parameters("vps-gateway")
    for items in ("uplinks", "published", "host_services"):
        given[items].reverse()
    assert parse(given) == layer("vps-gateway")


@pytest.mark.parametrize(("path", "mode"), [("relative", "0644"), ("/a", "0999"), ("/a", "u=rw"), ("/a", "04755")])
def test_bad_files_are_refused(path: str, mode: str) -> None:
    with pytest.raises(RefusedError, match="nothing was changed"):
        parse_files([{"path": path, "content": "", "mode": mode}])


def test_files_get_their_mode() -> None:
    (spec,) = parse_files([{"path": "/usr/local/lib/op-dbus/x", "content": "text", "mode": "0755"}])
    assert (spec.path, spec.content, spec.mode) == ("/usr/local/lib/op-dbus/x", "text", 0o755)
