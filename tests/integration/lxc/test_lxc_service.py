# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real containers on a booted host: made, changed, hurt, mended and removed by the module."""

from __future__ import annotations

import json

import pytest

from lab.base import wait_for
from tests.integration.lxc.conftest import IMAGE, MODULE, Site

STATE = (
    "find /var/lib/lxc /etc/op-dbus /usr/local/lib /etc/systemd/system -xdev -printf '%p %m %u %s\\n' 2>&1 | sort;"
    " cat /etc/subuid /etc/subgid; ovs-vsctl --format=csv list Interface | cut -d, -f1 | sort; nft list ruleset"
)


def test_life_of_a_container(site: Site) -> None:
    """Absent, created, idempotent, stopped, started, absent; check mode tells each step and takes none."""
    wanted = site.describe(102, "xray-client")
    empty = site.output(STATE)
    told = site.call(check=True, **wanted)
    assert (told["failed"], told["changed"], site.output(STATE)) == (False, True, empty)
    plays = [{"hosts": "all", "gather_facts": False, "tasks": [{"name": "Show", MODULE: wanted}]}]
    assert "+lxc.net.0.veth.pair = veth102\n" in site.host.playbook(plays, check=True, diff=True).output

    made = site.apply(**wanted)
    assert made["actions"] == told["actions"]
    assert made["health"]["web"] == {"kind": "http", "healthy": True, "detail": "status 200"}
    assert made["container"]["state"] == "RUNNING"
    assert made["container"]["ofport"] == 32870
    assert made["container"]["cgroup"].endswith("lxc.payload.xray-client")
    site.unchanged(**wanted)
    assert site.call(check=True, **wanted)["changed"] is False

    stopped = site.apply(**{**wanted, "state": "stopped"})
    assert stopped["actions"] == ["stop container xray-client"]
    assert "veth102" not in site.output("ovs-vsctl list-ports mesh")
    site.unchanged(**{**wanted, "state": "stopped"})
    assert site.apply(**{**wanted, "state": "started"})["actions"] == ["start container xray-client"]

    (listed,) = site.apply(state="queried")["containers"]
    assert (listed["name"], listed["state"], listed["services"][0]["port"]) == ("xray-client", "RUNNING", 9999)

    assert site.call(check=True, name="xray-client", state="absent")["changed"] is True
    site.wait_for_answer("10.0.0.102")
    site.apply(name="xray-client", state="absent")
    site.unchanged(name="xray-client", state="absent")
    assert "lxc@" not in site.output("find /etc/systemd/system")
    assert "op" not in site.output("ls -d /etc/op-dbus /usr/local/lib/op-dbus 2>/dev/null; nft list ruleset")
    assert site.output("ls -A /var/lib/lxc") == ""
    assert "veth102" not in site.output("ovs-vsctl list-ports mesh")


def test_port_on_the_bridge(site: Site) -> None:
    """Pinned number, identity in external_ids, no IPv6 at the host's end, frames only by the switch."""
    site.apply(**site.describe(102, "xray-client"))
    ids = site.output("ovs-vsctl get Interface veth102 external_ids")
    for text in ("op-dbus-owner=lxc_service", "container=xray-client", "services=web", "attached-mac", "iface-id"):
        assert text in ids
    assert site.output("ovs-vsctl get Interface veth102 ofport mtu") == "32870\n1280"
    assert site.output("cat /proc/sys/net/ipv6/conf/veth102/disable_ipv6") == "1"
    site.wait_for_answer("10.0.0.102")
    site.output("ovs-ofctl del-flows mesh")
    assert not site.answers("10.0.0.102"), "frames get past the flow table"
    site.prepare()
    site.wait_for_answer("10.0.0.102")


def test_unprivileged_by_default_and_privileged_on_demand(site: Site) -> None:
    site.apply(**site.describe(102, "xray-client"))
    site.apply(**site.describe(103, "trusted", unprivileged=False))
    assert site.output("stat -c %u /var/lib/lxc/xray-client/rootfs/etc/hostname") == "100000"
    assert site.output("stat -c %u /var/lib/lxc/trusted/rootfs/etc/hostname") == "0"
    assert site.output("lxc-attach -n xray-client -- cat /proc/self/uid_map").split() == ["0", "100000", "65536"]
    site.wait_for_answer("10.0.0.103")
    for name in ("xray-client", "trusted"):
        state = f"lxc-attach -n {name} -- systemctl is-system-running"
        wait_for(f"the end of the boot of {name}", lambda said=state: site.output(said) in ("running", "degraded"))
        assert site.output(f"lxc-attach -n {name} -- systemctl --failed --no-legend") == ""


def test_live_changes_leave_the_container_running(site: Site) -> None:
    wanted = site.describe(102, "xray-client")
    pid = site.apply(**wanted)["container"]["pid"]
    services = [*wanted["services"], {"name": "more", "protocol": "udp", "port": 53}]
    changed = site.apply(**{**wanted, "services": services})
    assert changed["actions"][-1] == "set port veth102 external_ids:services web -> web,more"
    assert changed["container"]["pid"] == pid
    assert len(json.loads(site.output("cat /etc/op-dbus/containers.d/xray-client.json"))["services"]) == 2
    site.unchanged(**{**wanted, "services": services})


def test_restart_needs_consent(site: Site) -> None:
    wanted = site.describe(102, "xray-client")
    before = site.apply(**wanted)["container"]["pid"]
    refused = site.call(**{**wanted, "mtu": 1400})
    assert refused["failed"]
    assert "needs a restart, and nothing was changed: lxc.net.0.mtu 1280 -> 1400. Fix: set" in refused["msg"]
    assert refused["pending"][0] == "lxc.net.0.mtu 1280 -> 1400 (restart)"
    assert site.unchanged(**wanted)["container"]["pid"] == before
    changed = site.apply(**{**wanted, "mtu": 1400, "restart": "if_needed"})
    assert changed["container"]["pid"] != before
    assert site.output("lxc-attach -n xray-client -- cat /sys/class/net/eth0/mtu") == "1400"
    site.unchanged(**{**wanted, "mtu": 1400})


def test_recreation_needs_consent(site: Site) -> None:
    wanted = site.describe(102, "xray-client")
    site.apply(**wanted)
    site.output("touch /var/lib/lxc/xray-client/rootfs/root/data")
    site.output(f"test -d /srv/tree || {{ mkdir /srv/tree && tar -C /srv/tree -xf {IMAGE}; }}")
    other = {**wanted, "image": None, "tree": "/srv/tree"}
    refused = site.call(**{**other, "restart": "if_needed"})
    assert refused["failed"]
    assert "needs the container to be made anew, and nothing was changed: root file system sha256:" in refused["msg"]
    assert site.output("ls /var/lib/lxc/xray-client/rootfs/root") == "data"
    site.apply(**{**other, "recreate": True})
    assert site.output("ls /var/lib/lxc/xray-client/rootfs/root") == ""
    site.unchanged(**other)


SIDECAR = "/etc/op-dbus/containers.d/xray-client.json"
HURT = [
    {
        "lxc-attach -n xray-client -- ip address flush dev eth0": "repair network of xray-client",
        "ovs-vsctl set Interface veth102 ofport_request=7": "set port veth102 ofport_request 7 -> 32870",
        f"rm {SIDECAR}": f"create {SIDECAR}",
        "echo other > /var/lib/lxc/xray-client/rootfs/etc/hostname": "write etc/hostname in the guest",
        "systemctl disable -q op-dbus-lxc@xray-client": "enable start of xray-client at boot",
    },
    {
        "ovs-vsctl del-port veth102": "plug veth102 into mesh: port veth102 is not on bridge mesh",
        "echo changed > /usr/local/lib/op-dbus/lxc-port": "update /usr/local/lib/op-dbus/lxc-port",
    },
    {"sysctl -qw net.ipv6.conf.veth102.disable_ipv6=0": "plug veth102 into mesh: IPv6 is on"},
    {"ovs-vsctl clear Interface veth102 external_ids": "set port veth102 external_ids"},
    {"systemctl stop op-dbus-lxc@xray-client": "start container xray-client"},
    {"sed -i s/=.1280/=1400/ /var/lib/lxc/xray-client/config": "configure xray-client: lxc.net.0.mtu 1400 -> 1280"},
]
"""Commands that do harm, each with how the action begins that mends it; those of one item are done together."""


def test_drift_is_mended(site: Site) -> None:
    """Injuries are seen in check mode, mended once, and gone."""
    wanted = {**site.describe(102, "xray-client"), "restart": "if_needed"}
    site.apply(**wanted)
    for injuries in HURT:
        site.host.run("; ".join(["set -e", *injuries]))
        told = site.call(check=True, **wanted)
        mended = site.apply(**wanted)
        assert told["actions"] == mended["actions"]
        for action in injuries.values():
            assert any(word.startswith(action) for word in mended["actions"]), (action, mended["actions"])
        site.unchanged(**wanted)
    site.wait_for_answer("10.0.0.102")


def test_guest_cannot_take_its_address_away(site: Site) -> None:
    """networkd, started by whoever is root in the guest, keeps what LXC has set; so does a restart of the guest."""
    site.apply(**site.describe(102, "xray-client"))
    attach = "lxc-attach -n xray-client --"
    site.host.run(f"{attach} sh -c 'systemctl unmask -q systemd-networkd; systemctl start systemd-networkd'")
    site.host.run(f"{attach} systemctl restart systemd-networkd")
    site.host.run(f"{attach} systemctl stop systemd-networkd.socket systemd-networkd")
    assert "10.0.0.102/24" in site.output(f"{attach} ip -4 address show eth0")
    assert "via 10.0.0.1" in site.output(f"{attach} ip route show default")
    pid = site.output("lxc-info -n xray-client -p -H")
    site.host.run(f"{attach} reboot", check=False)
    wait_for("the guest's restart", lambda: site.output("lxc-info -n xray-client -p -H") not in ("", "-1", pid))
    site.wait_for_answer("10.0.0.102")
    assert site.output("ovs-vsctl get Interface veth102 ofport") == "32870"


def test_survives_the_death_of_its_monitor(site: Site) -> None:
    """No script runs then: the port stays in OVSDB, without a device, and the next start has to cope."""
    site.apply(**site.describe(102, "xray-client"))
    site.host.run("kill -KILL $(cat /run/op-dbus-lxc-xray-client.pid)")
    wait_for("the end", lambda: "STOPPED" in site.output("lxc-info -n xray-client -s"), interval=0.02)
    assert "veth102" in site.output("ovs-vsctl list-ports mesh"), "the lab no longer shows a stale port"
    wait_for("the start", lambda: "RUNNING" in site.output("lxc-info -n xray-client -s"))
    site.wait_for_answer("10.0.0.102")


def test_survives_a_power_cut(site: Site) -> None:
    wanted = site.describe(102, "xray-client")
    idle = site.describe(103, "idle", autostart=False)
    site.apply(**wanted)
    site.apply(**idle)
    site.host.power_cut()
    site.host.boot()
    site.prepare()
    site.wait_for_answer("10.0.0.102")
    assert site.output("ovs-vsctl get Interface veth102 ofport") == "32870"
    assert "veth103" in site.output("ovs-vsctl list-ports mesh"), "the lab no longer leaves a stale port"
    site.unchanged(**wanted)
    assert site.apply(**idle)["actions"] == ["start container idle"]
    site.wait_for_answer("10.0.0.103")


def test_a_start_that_was_interrupted_is_finished(site: Site) -> None:
    """What a run leaves that was killed half way does not hinder the next one."""
    wanted = site.describe(102, "xray-client")
    site.host.run("mkdir -p /var/lib/lxc/.op-dbus-new-xray-client/rootfs/half /var/lib/lxc/.op-dbus-old-xray-client")
    site.apply(**{**wanted, "running": False})
    assert site.output("ls -A /var/lib/lxc") == "xray-client"
    site.host.run("rm /var/lib/lxc/xray-client/config")
    assert site.apply(**wanted)["container"]["state"] == "RUNNING"


REFUSED = [
    ({"bridge": "nowhere"}, "this host has no bridge nowhere"),
    ({"image": {"path": IMAGE, "sha256": "0" * 64}}, "not the pinned 0000"),
    ({"image": {"path": "/srv/none.tar", "sha256": "0" * 64}}, "image /srv/none.tar cannot be read"),
    ({"image": None}, "has neither image nor tree"),
    ({"missing_controllers": "refuse", "memory": 64}, "this host cannot hold memory.max = 67108864"),
    ({"veth": "veth9"}, "Port veth9 on bridge mesh belongs to somebody else"),
    ({"name": "foreign"}, "/var/lib/lxc/foreign exists and does not carry the mark"),
    ({"ipv4_address": "10.0.0.102"}, "lacks the prefix length"),
]


def test_bad_requests_change_nothing(site: Site) -> None:
    site.host.run("mkdir /var/lib/lxc/foreign; ovs-vsctl add-port mesh veth9 -- set Interface veth9 type=internal")
    before = site.output(STATE)
    for changes, message in REFUSED:
        refused = site.call(**{**site.describe(102, "xray-client"), **changes})
        assert refused["failed"], message
        assert message in refused["msg"]
        assert site.output(STATE) == before, message
    refused = site.call(name="foreign", state="absent")
    assert "does not carry the mark" in refused["msg"]
    site.host.run("rmdir /var/lib/lxc/foreign; ovs-vsctl del-port veth9")


def test_broken_images_and_sick_services_are_told(site: Site) -> None:
    site.output("tar -C /etc -cf /srv/bad.tar hostname")
    digest = site.output("sha256sum /srv/bad.tar").split()[0]
    wanted = site.describe(102, "xray-client")
    broken = site.call(**{**wanted, "image": {"path": "/srv/bad.tar", "sha256": digest}})
    assert "holds no root file system: it has no /sbin/init" in broken["msg"]
    sick = [{"name": "db", "protocol": "tcp", "port": 5432, "health": {"tcp": True}}]
    told = site.call(**{**wanted, "services": sick, "health_timeout": 1})
    assert "Container xray-client: not healthy within 1 s: db (tcp): [Errno 111] Connection refused" in told["msg"]
    assert told["health"]["db"]["healthy"] is False
    well = [{"name": "db", "protocol": "udp", "port": 53, "health": {"command": "systemctl is-active lab-service"}}]
    assert site.apply(**{**wanted, "services": well})["health"]["db"]["healthy"] is True


@pytest.mark.parametrize("purge", [False, True])
def test_role_lists_or_purges_what_left_the_inventory(site: Site, purge: bool) -> None:
    containers = [
        {
            **{
                key: site.describe(number, name)[key]
                for key in ("id", "name", "veth", "bridge", "ipv4_address", "image")
            },
            "running": False,
        }
        for number, name in ((102, "xray-client"), (103, "gone"))
    ]
    variables = {
        "socket_bridge_bridges": [{"name": "mesh", "subnet": "10.0.0.0/24"}],
        "lxc_service_fleet_group": "all",
        "lxc_service_missing_controllers": "warn",
        "lxc_service_purge": purge,
    }
    plays = [{"hosts": "all", "gather_facts": False, "roles": [MODULE]}]
    first = site.host.playbook(plays, extra={**variables, "lxc_service_containers": containers})
    assert (first.returncode, first.changed()) == (0, 1), first.output
    second = site.host.playbook(plays, extra={**variables, "lxc_service_containers": containers[:1]})
    assert (second.returncode, second.changed()) == (0, int(purge)), second.output
    assert purge or "gone: made by this role and no longer in the inventory" in second.output
    assert site.output("ls /var/lib/lxc").split() == (["xray-client"] if purge else ["gone", "xray-client"])


SCRIPTS = """\
mkdir -p /var/lib/lxc/109
cat > /var/lib/lxc/109/config <<'EOF'
lxc.net.0.type = veth
lxc.net.0.veth.pair = veth109i0
lxc.net.0.script.up = /bin/false
lxc.apparmor.profile = unconfined
lxc.console.path = none
lxc.pty.max = 0
lxc.tty.max = 0
lxc.net.0.script.up = /root/script
lxc.net.0.script.down = /root/script
EOF
printf '#!/bin/sh\\necho "$#: $* for $LXC_NAME" >> /root/script.log\\n' > /root/script
chmod +x /root/script
timeout 30 lxc-execute --name 109 -- /bin/true
rm -r /var/lib/lxc/109
cat /root/script.log
"""


def test_lxc_calls_scripts_as_the_backend_for_proxmox_needs(site: Site) -> None:
    """Raw keys come behind Proxmox' own: of two scripts the last counts. Without a hook version all is in arguments."""
    assert site.output(SCRIPTS).splitlines() == [
        "5: 109 net up veth veth109i0 for 109",
        "5: 109 net down veth veth109i0 for 109",
    ]
