# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module on a booted host: systemd-networkd and nftables make the links, keep them and get them back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lab.base import wait_for
from lab.host import Host
from tests.integration.links.wires import published_layer

MODULE = "op_dbus.socket_network.socket_links"
TABLE = {"warp0": 88452, "nm-privacy": 102483}
KEYS = ("uplinks", "veth_pairs", "published", "host_services")
FILES = [{"path": "/usr/local/lib/op-dbus/script", "content": "#!/bin/sh\n", "mode": "0755"}]
STATE = (
    "ip -o link | cut -d: -f2- | sort; ip rule | sort; ip route show table all | grep -v ' table local' | sort;"
    " ip -6 address; nft -s list tables; nft -s list table inet op_dbus 2>&1;"
    " find /etc /usr/local/lib /var/lib/op-dbus -xdev \\( -type f -o -type l -o -type d \\) -printf '%p %m %l\\n' 2>&1"
    " | grep -v '/etc/systemd/network$\\|/etc/.updated' | sort; systemctl --failed --no-legend;"
    " sysctl net.ipv4.conf.all.forwarding net.ipv4.conf.default.rp_filter"
)
RUNTIME = (
    "ip -br link | awk '/gw-|ovs-/ {print $1, $3 ~ /02:01/ ? $3 : \"\"}' | sort; ip rule | sort;"
    " ip route show table all | grep -v ' table local' | sort; nft -s list table inet op_dbus;"
    " cat /proc/sys/net/ipv6/conf/gw-warp0/disable_ipv6 /proc/sys/net/ipv6/conf/ovs-host/disable_ipv6"
    " /proc/sys/net/ipv4/conf/gw-warp0/rp_filter /proc/sys/net/ipv4/ip_forward; systemctl --failed --no-legend"
)


class Links:
    """The module's calls on the host."""

    def __init__(self, host: Host) -> None:
        given = published_layer()
        self.host = host
        self.wanted: dict[str, Any] = {key: given[key] for key in KEYS}

    def call(self, check: bool = False, **parameters: Any) -> dict[str, Any]:
        result = self.host.ansible(MODULE, parameters, check=check)
        assert result["failed"] is False, result["msg"]
        return result

    def present(self, check: bool = False) -> list[str]:
        """Actions of a run that makes what is wanted."""
        actions = self.call(check, **self.wanted, files=FILES)["actions"]
        assert isinstance(actions, list)
        return actions

    def state(self, what: str = STATE) -> str:
        return self.host.run(what, check=False).stdout


@pytest.fixture
def links(booted: Host) -> Iterator[Links]:
    links = Links(booted)
    yield links
    links.call(state="absent", files=FILES)
    assert links.call(state="absent", files=FILES)["changed"] is False


@pytest.fixture
def made(links: Links) -> Links:
    links.present()
    return links


def test_life_of_the_links(links: Links) -> None:
    """Check mode tells what will be done and does nothing; a second run does nothing; absent leaves no trace."""
    links.host.run("nft add table ip foreign; ip rule add priority 900 from 198.51.100.1 lookup 500")
    links.host.run(
        "sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.default.rp_filter=2; systemctl start systemd-networkd"
    )
    empty = links.state()
    told = links.present(check=True)
    assert links.state() == empty
    assert links.present() == told
    assert links.present() == []
    assert links.present(check=True) == []
    gathered = links.call(state="gathered")["gathered"]
    assert f"route table {TABLE['warp0']} 0.0.0.0/0 unreachable metric 4278198272" in gathered["routes"]
    assert links.call(check=True, state="absent", files=FILES)["changed"] is True
    assert links.present() == []
    links.call(state="absent", files=FILES)
    assert links.state() == empty
    links.host.run("nft delete table ip foreign; ip rule delete priority 900")


def test_everything_is_back_after_networkd_restarted_and_after_a_reboot(made: Links) -> None:
    before = made.state(RUNTIME)
    assert "unreachable default" in before
    made.host.run("systemctl restart systemd-networkd")
    wait_for("the same links as before", lambda: made.state(RUNTIME) == before)
    for end in (made.host.stop, made.host.power_cut):
        end()
        made.host.boot()
        wait_for("the same links as before", lambda: made.state(RUNTIME) == before)
        assert made.present() == []


DRIFT = {
    "table deleted": "nft delete table inet op_dbus",
    "rule added to the table": "nft insert rule inet op_dbus forward accept",
    "table flushed by nftables.service, with its drop-in gone": "rm -r /etc/systemd/system/nftables.service.d;"
    " systemctl daemon-reload; systemctl restart nftables",
    "rule deleted": "ip rule delete priority 1000 iif gw-warp0",
    "kill switch deleted": f"ip route delete unreachable default table {TABLE['warp0']} metric 4278198272",
    "way back deleted": "ip route delete 10.0.0.0/24 dev gw-host",
    "way out added": f"ip route add default dev lo table {TABLE['warp0']}",
    "rule added": "ip rule add priority 1000 iif lo lookup 70123",
    "veth deleted": "ip link delete ovs-nm-privacy",
    "veth down": "ip link set gw-warp0 down",
    "MTU and ARP changed": "ip link set ovs-host mtu 1400 arp on",
    "MAC changed": "ip link set gw-host address 02:01:00:00:00:99",
    "network file edited": "echo '# x' >> /etc/systemd/network/50-op-dbus-gw-host.network",
    "netdev file removed": "rm /etc/systemd/network/50-op-dbus-gw-warp0.netdev",
    "file of ours that nobody wants": "echo '[NetDev]' > /etc/systemd/network/50-op-dbus-old.netdev",
    "ruleset edited": "echo > /etc/op-dbus/nftables/socket_bridge.nft",
    "further file made unusable": "chmod 644 /usr/local/lib/op-dbus/script",
    "forwarding off": "sysctl -qw net.ipv4.ip_forward=0",
    "IPv6 on": "sysctl -qw net.ipv6.conf.gw-warp0.disable_ipv6=0",
    "unit disabled": "systemctl -q disable --now op-dbus-nftables",
    "networkd stopped": "systemctl stop systemd-networkd.socket systemd-networkd",
}


def test_drift_is_told_and_repaired(made: Links) -> None:
    before = made.state(RUNTIME)
    files = made.state(STATE)
    for name, command in DRIFT.items():
        made.host.run(command)
        told = made.present(check=True)
        assert told, name
        assert made.present() == told, name
        assert made.state(RUNTIME) == before, name
    made.host.run("systemctl stop nftables")
    assert made.present() == []
    assert made.state(STATE) == files


def test_filter_outlives_nftables_service(made: Links) -> None:
    """Debian's unit flushes every table, also ours."""
    table = made.state("nft -s list table inet op_dbus")
    for action in ("start", "reload", "restart", "stop"):
        made.host.run(["systemctl", action, "nftables"])
        assert made.state("nft -s list table inet op_dbus") == table, action
    assert made.present() == []


def test_device_gets_its_rule_and_routes_when_it_comes_and_again_when_it_is_made_anew(made: Links) -> None:
    way = f"ip route show table {TABLE['warp0']} dev warp0"
    for _time in range(2):
        made.host.run("ip link add warp0 type veth peer name far; ip address add 172.16.0.2/32 dev warp0")
        made.host.run("ip link set far up; ip link set warp0 up")
        wait_for("the route of the device", lambda: "default" in made.state(way))
        wait_for("the rule of the device", lambda: "iif warp0 lookup" in made.state("ip rule show"))
        assert made.present() == ["set net/ipv4/conf/warp0/rp_filter to 2"] or made.present() == []
        missing = (
            (f"route delete default dev warp0 table {TABLE['warp0']}", "0.0.0.0/0 dev warp0 scope link"),
            ("rule delete priority 1000 iif warp0", f"rule 1000 iif warp0 lookup {TABLE['warp0']}"),
        )
        for command, what in missing:
            made.host.run(f"ip {command}")
            (action,) = made.present()
            assert action.endswith(what)
            assert made.present() == []
        assert "172.16.0.2/32" in made.state("ip -br address show warp0")
        made.host.run("ip link delete warp0")
        assert "unreachable default" in made.state(f"ip route show table {TABLE['warp0']}")


def test_uplink_that_left_the_inventory_goes_and_the_others_stay(made: Links) -> None:
    made.wanted["uplinks"] = [uplink for uplink in made.wanted["uplinks"] if uplink["name"] != "warp0"]
    made.present()
    assert made.present() == []
    left = made.state()
    assert "warp0" not in left
    assert str(TABLE["warp0"]) not in left
    assert f"iif gw-nm-privacy lookup {TABLE['nm-privacy']}" in left


def test_foreign_interface_of_the_same_name_is_refused(links: Links) -> None:
    links.host.run("ip link add gw-warp0 type veth peer name stranger")
    before = links.state()
    result = links.host.ansible(MODULE, {**links.wanted})
    assert "Interface gw-warp0 exists and is a veth whose peer is stranger" in str(result["msg"])
    assert links.state() == before
    links.host.run("ip link delete gw-warp0")


def test_bad_parameters_touch_nothing(links: Links) -> None:
    before = links.state()
    uplinks = [{**links.wanted["uplinks"][0], "mtu": 20}]
    result = links.host.ansible(MODULE, {**links.wanted, "uplinks": uplinks})
    assert (result["failed"], links.state()) == (True, before)
    assert "mtu = 20: is out of range. Fix: 576 to 65535." in str(result["msg"])
