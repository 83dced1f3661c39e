# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules and the role on a booted host with systemd, wg-quick and a peer that answers, as Ansible ships them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from lab.remote import PlaybookRun
from tests.integration.wg.conftest import PEER_PORT, Exit
from tests.integration.wg.ends import generate_key, public_key

WARP = "op_dbus.socket_network.warp_tunnel"
MESH = "op_dbus.socket_network.wireguard_uplink"
ROLE = "op_dbus.socket_network.warp"
ENDPOINT = f"192.0.2.1:{PEER_PORT}"


def configuration(there: Exit, **changes: Any) -> dict[str, Any]:
    peer = {"public_key": there.peer.public_key, "endpoint": ENDPOINT, "keepalive": 1}
    return {"private_key": there.client_key, "addresses": ["172.16.0.2/32"], "peer": peer, **changes}


@pytest.fixture
def there(exit_host: Exit) -> Iterator[Exit]:
    yield exit_host
    for file in exit_host.host.run(["ls", "/etc/wireguard"]).stdout.split():
        exit_host.host.run(["systemctl", "disable", "--now", f"wg-quick@{file.removesuffix('.conf')}.service"])
        exit_host.host.run(["rm", f"/etc/wireguard/{file}"])


def step(arguments: dict[str, Any], *facts: str, module: str = WARP, check: bool = False) -> list[dict[str, Any]]:
    """Two tasks: the module, and what must be true of its result ``got``."""
    call = {"name": "Call the module", module: arguments, "check_mode": check, "register": "got"}
    say = "{{ got | string | truncate(3000) }}"
    return [call, {"name": "Look", "ansible.builtin.assert": {"that": list(facts), "quiet": True, "fail_msg": say}}]


def command(*argv: str) -> list[dict[str, Any]]:
    return [{"name": "Do harm", "ansible.builtin.command": {"argv": list(argv)}}]


def play(there: Exit, *steps: list[dict[str, Any]], diff: bool = False) -> PlaybookRun:
    tasks = [task for some in steps for task in some]
    done = there.host.playbook([{"hosts": "all", "gather_facts": False, "tasks": tasks}], diff=diff)
    assert done.returncode == 0, done.output[-4000:]
    return done


def networks(there: Exit) -> str:
    """Routes, rules and name servers: what wg-quick must leave alone, apart from the device's own addresses."""
    return "".join(
        there.host.run(words).stdout
        for words in (
            "ip rule",
            "ip route",
            "ip -6 rule",
            "cat /etc/resolv.conf 2>/dev/null || true",
            "nft list ruleset",
        )
    )


def test_life_of_a_tunnel(there: Exit) -> None:
    """Create, change and delete: each predicted, done, and nothing left to do. Then down, up, and the state read."""
    before = networks(there)
    present = {"config": configuration(there), "wait_handshake": 20}
    wider = {"config": configuration(there, mtu=1300), "wait_handshake": 20}
    query = {"state": "queried"}
    done = play(
        there,
        step(present, "got is changed", "not got.running", check=True),
        step(query, "got is not changed", "got.health == 'down'", "not got.enabled"),
        step(
            present,
            "got is changed",
            "got.running and got.enabled",
            "got.health == 'ok'",
            "got.latest_handshake_age <= 20",
            "got.rx_bytes > 0",
            f"got.endpoint == '{ENDPOINT}'",
            "got.addresses == ['172.16.0.2/32']",
            f"got.public_key == '{public_key(there.client_key)}'",
        ),
        step(present, "got is not changed", "got.actions == []"),
        step(present, "got is not changed", check=True),
        step(wider, "got is changed", "got.mtu == 1280", check=True),
        step(wider, "got is changed", "got.mtu == 1300", "got.health == 'ok'"),
        step(wider, "got is not changed"),
        step({"state": "down"}, "got is changed", "not got.running", "not got.enabled", "got.health == 'down'"),
        step({"state": "down"}, "got is not changed"),
        step({"state": "up", "wait_handshake": 20}, "got is changed", "got.health == 'ok'", "got.mtu == 1300"),
        step({"state": "up"}, "got is not changed"),
        step({"state": "absent"}, "got is changed", "got.running", check=True),
        step({"state": "absent"}, "got is changed", "not got.running"),
        step({"state": "absent"}, "got is not changed"),
        diff=True,
    )
    assert there.client_key not in done.output
    assert "PrivateKey = (secret, sha256 " in done.output
    assert networks(there) == before
    assert there.host.run("ls /etc/wireguard").stdout == ""


def test_what_was_harmed_is_repaired(there: Exit) -> None:
    present = {"config": configuration(there), "wait_handshake": 20}
    repaired = ("got is changed", "got.health == 'ok'", "got.peer.allowed_ips == ['0.0.0.0/0']")
    play(
        there,
        step(present, *repaired),
        command("wg", "set", "warp0", "peer", there.peer.public_key, "remove"),
        step(present, "got.actions == ['synchronise warp0: add peer warp']", *repaired),
        command("ip", "link", "delete", "warp0"),
        step(present, "got.actions == ['restart wg-quick@warp0.service: device is gone']", *repaired),
        command("systemctl", "stop", "wg-quick@warp0.service"),
        step(present, "got.actions == ['start wg-quick@warp0.service: unit is inactive']", *repaired),
        command("sed", "-i", "s/Table = off/Table = auto/", "/etc/wireguard/warp0.conf"),
        step(present, "got.actions == ['update /etc/wireguard/warp0.conf']", *repaired),
        step(present, "got is not changed"),
    )


def test_tunnel_returns_after_a_power_cut_and_takes_no_route_of_the_host(there: Exit) -> None:
    before = networks(there)
    present = {"config": configuration(there), "wait_handshake": 20}
    play(there, step(present, "got is changed"))
    there.host.power_cut()
    there.host.boot()
    play(there, step(present, "got is not changed", "got.health == 'ok'"))
    assert networks(there) == before


def test_peer_that_does_not_answer_is_a_failure(there: Exit) -> None:
    wrong = configuration(there, private_key=generate_key())
    result = there.host.ansible(WARP, {"config": wrong, "wait_handshake": 1})
    assert result["failed"]
    assert "warp0 has no fresh handshake after 1 s (health never): there was none yet, 0 bytes received" in str(
        result["msg"]
    )
    assert wrong["private_key"] not in str(result)


def test_mesh_uplink(there: Exit) -> None:
    key = generate_key()
    one = {"name": "one", "public_key": there.peer.public_key, "allowed_ips": ["10.100.0.1/32"], "endpoint": ENDPOINT}
    two = {"name": "two", "public_key": public_key(generate_key()), "allowed_ips": ["10.100.0.3/32"]}
    base = {"name": "nm-privacy", "private_key": key, "public_key": public_key(key), "address": "10.100.0.2/16"}
    both = {**base, "listen_port": 51821, "peers": [one, two]}
    play(
        there,
        step(both, "got is changed", "not got.running", module=MESH, check=True),
        step(both, "got is changed", "got.running", "got.listen_port == 51821", "got.peers | length == 2", module=MESH),
        step(both, "got is not changed", module=MESH),
        step({**both, "peers": [one]}, "got.actions[0] is search('remove peer')", module=MESH),
        step(
            {**both, "listen_port": 51822},
            "got.actions[0] == 'synchronise nm-privacy: listen port 51821 to 51822, add peer two'",
            "got.listen_port == 51822",
            module=MESH,
        ),
        step({"name": "nm-privacy", "state": "queried"}, "got.enabled", "got.peers | length == 2", module=MESH),
        step({"name": "nm-privacy", "state": "absent"}, "got is changed", "not got.running", module=MESH),
        step({"name": "nm-privacy", "state": "absent"}, "got is not changed", module=MESH),
    )


def role(there: Exit, *, check: bool = False, **variables: Any) -> PlaybookRun:
    uplinks = [{"name": "host", "kind": "host", "bridge": "mesh"}, {"name": "warp0", "kind": "warp", "bridge": "mesh"}]
    values = {"socket_bridge_uplinks": uplinks, "warp_config": configuration(there), **variables}
    plays = [{"hosts": "all", "gather_facts": False, "roles": [ROLE]}]
    return there.host.playbook(plays, check=check, diff=True, extra=values)


def test_role(there: Exit) -> None:
    predicted = role(there, check=True)
    assert (predicted.returncode, predicted.changed()) == (0, 1), predicted.output[-3000:]
    first = role(there)
    assert (first.returncode, first.changed()) == (0, 1), first.output[-3000:]
    assert there.client_key not in first.output
    second = role(there)
    assert (second.returncode, second.changed()) == (0, 0), second.output[-3000:]
    removed = role(there, warp_state="absent")
    assert (removed.returncode, removed.changed()) == (0, 1), removed.output[-3000:]


NEEDS = "has a WARP uplink (warp0), so role warp needs warp_interface (now "


def included(message: str, **variables: Any) -> dict[str, Any]:
    """A block that includes the role and looks whether it failed with ``message``, or not at all without one."""
    include = {"name": "Include the role", "ansible.builtin.include_role": {"name": ROLE}, "vars": variables}
    wrong = {"name": "Complain", "ansible.builtin.fail": {"msg": f"did not fail with: {message}"}}
    looks = {"that": [f"ansible_failed_result.msg is search({json.dumps(re.escape(message))})"]}
    return {"block": [include, wrong], "rescue": [{"name": "Look", "ansible.builtin.assert": looks}]}


def test_role_says_what_it_needs_and_leaves_hosts_without_a_warp_uplink_alone(there: Exit) -> None:
    uplinks = [{"name": "warp0", "kind": "warp", "bridge": "mesh"}]
    given = {"socket_bridge_uplinks": uplinks, "warp_config": configuration(there)}
    done = play(
        there,
        [included(f"{NEEDS}warp0)", **{**given, "warp_config": None})],
        [included(f"{NEEDS}warp0)", **given, warp_config_file="/etc/op-dbus/p.conf")],
        [included(f"{NEEDS}warp1)", **given, warp_interface="warp1")],
        [included("did not fail with: ", **{**given, "socket_bridge_uplinks": [{"name": "host", "kind": "host"}]})],
        [included("did not fail with: ")],
    )
    assert done.changed() == 0
