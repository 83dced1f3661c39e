# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our rules for oo1424oo against the table that was proven with packets: each difference with its reason."""

from __future__ import annotations

import re

from tests.unit.core.samples import like_reference, reference_flows

ONLY_IN_REFERENCE = {
    # One rule let every container out by WARP. Ours gives an exit to the containers that name one.
    "table=40,priority=100,ip,reg0=0x10000/0x30000 goto_table:50",
    "table=50,priority=100,ip set_field:0x20002->reg1,set_field:02:01:e1:13:bd:43->eth_dst,goto_table:60",
}
TO_WARP = "set_field:0x20002->reg1,set_field:02:01:e1:13:bd:43->eth_dst,goto_table:60"
ONLY_IN_OURS = {
    # The exit of both containers, see above.
    "table=40,priority=100,ip,reg0=0x10064 goto_table:50",
    "table=40,priority=100,ip,reg0=0x10066 goto_table:50",
    f"table=50,priority=100,ip,reg0=0x10064 {TO_WARP}",
    f"table=50,priority=100,ip,reg0=0x10066 {TO_WARP}",
    # Containers without an exit may still open connections to the mesh.
    "table=40,priority=110,ip,nw_dst=10.1.0.0/24,reg0=0x10000/0x30000 goto_table:50",
    "table=40,priority=110,ip,nw_dst=10.100.0.0/16,reg0=0x10000/0x30000 goto_table:50",
    # The host uplink, for published services and for the host's own ICMP errors. The reference had none.
    'table=0,priority=200,arp,in_port="ovs-host" set_field:0x20003->reg0,goto_table:6',
    'table=0,priority=200,in_port="ovs-host",ip set_field:0x20003->reg0,goto_table:10',
    "table=10,priority=100,ip,nw_src=10.0.0.0/24,reg0=0x20003 drop",
    "table=10,priority=90,dl_src=02:01:0c:87:b2:60,ip,reg0=0x20003 goto_table:20",
    "table=21,priority=150,ct_mark=0x20003,ct_state=-new+rpl+trk,ip "
    "set_field:0x20003->reg1,set_field:02:01:0c:87:b2:60->eth_dst,goto_table:60",
    'table=70,priority=100,ip,reg1=0x20003 set_field:02:00:00:00:00:01->eth_src,dec_ttl,output:"ovs-host"',
}


def rule(line: str) -> str:
    """A flow without its cookie, with its match in alphabetical order."""
    table, priority, match, actions = re.fullmatch(
        r"cookie=0x6f6f[0-9a-f]+,(table=\d+),(priority=\d+)(?:,(.*))?,actions=(.*)", line
    ).groups("")  # type: ignore[union-attr]
    head = ",".join([table, priority, *sorted(word for word in match.split(",") if word)])
    return f"{head} {actions}"


def reference() -> set[str]:
    return {rule(line) for line in reference_flows()}


def ours() -> set[str]:
    return {rule(flow.text()) for flow in like_reference().flows}


def test_reference_is_whole() -> None:
    assert len(reference()) == 59


def test_we_left_out_only_what_we_replaced() -> None:
    assert reference() - ours() == ONLY_IN_REFERENCE


def test_we_added_only_what_has_a_reason() -> None:
    assert ours() - reference() == ONLY_IN_OURS
