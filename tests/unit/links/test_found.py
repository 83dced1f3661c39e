# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What iproute2 6.1 (Debian 12) printed on a converged host, read back."""

from __future__ import annotations

import json
from ipaddress import IPv4Network

from ansible_collections.op_dbus.socket_network.plugins.module_utils._links.found import link_of, routes_of, rules_of
from ansible_collections.op_dbus.socket_network.plugins.module_utils._links.runtime import (
    Link,
    Route,
    Rule,
    kill_switch,
)

LINKS = json.loads("""[
{"ifindex":1,"ifname":"lo","flags":["LOOPBACK","UP","LOWER_UP"],"mtu":65536,"link_type":"loopback",
 "address":"00:00:00:00:00:00"},
{"ifindex":2,"link_index":2,"ifname":"host0","flags":["BROADCAST","MULTICAST","UP","LOWER_UP"],"mtu":1500,
 "address":"62:6e:09:b3:54:49","link_netnsid":0,"linkinfo":{"info_kind":"veth"}},
{"ifindex":6,"link":"ovs-warp0","ifname":"gw-warp0","flags":["BROADCAST","MULTICAST","UP","LOWER_UP"],"mtu":1280,
 "operstate":"UP","address":"02:01:aa:bb:cc:dd","linkinfo":{"info_kind":"veth"},"inet6_addr_gen_mode":"none"},
{"ifindex":5,"link":"gw-warp0","ifname":"ovs-warp0","flags":["BROADCAST","MULTICAST","NOARP"],"mtu":1280,
 "operstate":"DOWN","address":"3e:68:d6:3f:c4:c9","linkinfo":{"info_kind":"veth"}},
{"ifindex":7,"ifname":"nm-privacy","flags":["POINTOPOINT","MULTICAST","NOARP","UP","LOWER_UP"],"mtu":1420,
 "link_type":"none","linkinfo":{"info_kind":"tun","info_data":{"type":"tun"}}}]""")

RULES = json.loads("""[
{"priority":0,"src":"all","table":"local"},
{"priority":900,"src":"1.2.3.4","table":"500"},
{"priority":1000,"src":"all","iif":"warp0","iif_detached":null,"table":"70000","protocol":"static"},
{"priority":1000,"src":"all","iif":"gw-warp0","table":"70000","protocol":"static"},
{"priority":1001,"src":"all","fwmark":"0x1","iif":"gw-warp0","table":"70000"},
{"priority":32766,"src":"all","table":"main"}]""")

ROUTES = json.loads("""[
{"dst":"default","dev":"host0","table":"70000","scope":"link","flags":["linkdown"]},
{"type":"unreachable","dst":"default","table":"70000","protocol":"static","metric":4278198272,"flags":[]},
{"dst":"10.0.0.0/24","dev":"gw-warp0","table":"70000","protocol":"static","scope":"link","flags":[]},
{"dst":"10.0.0.0/24","dev":"gw-host","protocol":"static","scope":"link","flags":[]},
{"dst":"default","gateway":"192.0.2.254","dev":"host0","protocol":"static","metric":100,"flags":[]},
{"type":"blackhole","dst":"8.8.8.8","table":"70000","flags":[]},
{"dst":"192.0.2.0/24","nexthops":[{"dev":"a"},{"dev":"b"}],"table":"70000","flags":[]},
{"type":"local","dst":"127.0.0.1","dev":"lo","table":"local","protocol":"kernel","scope":"host"}]""")


def test_links() -> None:
    links = [link_of(entry) for entry in LINKS]
    assert links[2] == Link("gw-warp0", "ovs-warp0", "02:01:aa:bb:cc:dd", 1280, arp=True, up=True)
    assert links[3] == Link("ovs-warp0", "gw-warp0", "3e:68:d6:3f:c4:c9", 1280, arp=False, up=False)
    assert [link.peer for link in links if link.name in ("lo", "host0", "nm-privacy")] == ["", "", ""]


def test_rules_that_look_at_the_interface_alone() -> None:
    assert rules_of(RULES) == {Rule("warp0", 70000), Rule("gw-warp0", 70000)}


def test_routes() -> None:
    anywhere, subnet = IPv4Network("0.0.0.0/0"), IPv4Network("10.0.0.0/24")
    assert routes_of(ROUTES) == {
        kill_switch(70000),
        Route(70000, subnet, "gw-warp0"),
        Route(254, subnet, "gw-host"),
        Route(70000, anywhere, "host0"),
        Route(254, anywhere, "host0", "via 192.0.2.254 metric 100"),
        Route(70000, IPv4Network("8.8.8.8/32"), None, "blackhole"),
    }
