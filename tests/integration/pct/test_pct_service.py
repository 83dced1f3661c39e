# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module against the stand-in for Proxmox' pct: containers made, changed, hurt, mended and removed."""

from __future__ import annotations

import json

import pytest

from tests.integration.pct.conftest import DIGEST, IMAGE, Site

CONF = f"""\
#op-dbus-owner=lxc_service/102
#op-dbus-source=sha256%3A{DIGEST}
arch: amd64
cpulimit: 1.5
features: nesting=1
hostname: xray-client
memory: 512
net0: name=eth0,bridge=mesh,firewall=0,gw=10.0.0.1,hwaddr=02:00:0A:00:00:66,ip=10.0.0.102/24,mtu=1280,type=veth
onboot: 1
ostype: debian
rootfs: local-lvm:vm-102-disk-0,size=8G
swap: 256
unprivileged: 1
lxc.net.0.script.up: /usr/local/lib/op-dbus/pct-port
lxc.net.0.script.down: /usr/local/lib/op-dbus/pct-port"""
NET0 = "name=eth0,bridge=mesh,firewall=0,gw=10.0.0.1,hwaddr=02:00:0A:00:00:66,ip=10.0.0.102/24,mtu=1280,type=veth"


def test_life_of_a_container(site: Site) -> None:
    """Created, idempotent, changed, stopped, deleted; check mode tells each step and takes none."""
    wanted = site.describe()
    empty = site.state()
    told = site.call(check=True, **wanted)
    assert (told["failed"], told["changed"], site.state(), site.machine.calls()) == (False, True, empty, [])

    made = site.apply(**wanted)
    assert made["actions"] == told["actions"]
    assert site.conf() == CONF
    create, start, health = site.machine.calls()
    note = f"op-dbus-owner=lxc_service/102\nop-dbus-source=sha256:{DIGEST}"
    assert create == [
        *("create", "102", IMAGE, "--cpulimit", "1.5", "--description", note, "--features", "nesting=1"),
        *("--hostname", "xray-client", "--memory", "512", "--net0", NET0, "--onboot", "1", "--swap", "256"),
        *("--unprivileged", "1", "--rootfs", "local-lvm:8"),
    ]
    assert (start, health) == (["start", "102"], ["exec", "102", "--", "/bin/sh", "-c", "true"])
    assert made["container"]["state"] == "RUNNING"
    assert (made["container"]["veth"], made["container"]["port"]) == ("veth102", "veth102i0")
    assert (made["container"]["ofport"], made["backend"]) == (32870, "pct")
    assert made["health"]["web"]["healthy"] is True
    site.unchanged(**wanted)

    more = {**wanted, "memory": 1024, "cpus": None, "autostart": False}
    before = site.state()
    assert site.call(check=True, **more)["actions"] == [
        "update /etc/op-dbus/containers.d/xray-client.json",
        "configure xray-client: cpulimit 1.5 -> (none); memory 512 -> 1024; onboot 1 -> 0",
    ]
    assert site.state() == before
    site.machine.calls()
    changed = site.apply(**more)
    assert changed["container"]["pid"] == made["container"]["pid"]
    assert site.machine.calls()[0] == ["set", "102", "--memory", "1024", "--onboot", "0", "--delete", "cpulimit"]
    site.unchanged(**more)

    stopped = {**more, "state": "stopped"}
    assert site.apply(**stopped)["actions"] == ["stop container xray-client"]
    assert "veth102i0" not in site.machine.sh("ovs-vsctl list-ports mesh")
    site.unchanged(**stopped)

    before = site.state()
    assert site.call(check=True, name="xray-client", state="absent")["changed"] is True
    assert site.state() == before
    site.machine.calls()
    site.apply(name="xray-client", state="absent")
    assert site.machine.calls() == [["destroy", "102", "--purge", "1"]]
    site.unchanged(name="xray-client", state="absent")
    assert site.machine.sh("ls /etc/pve/lxc; ls -d /etc/op-dbus /usr/local/lib/op-dbus 2>/dev/null || true") == ""


def test_what_others_have_set_is_kept(site: Site) -> None:
    """Options, notes, raw keys and snapshots that are none of our business."""
    wanted = site.describe()
    site.apply(**wanted)
    pct = site.machine.pct
    notes = site.machine.sh("sed -n '/^#/s/#//p' /etc/pve/lxc/102.conf | sed s/%3A/:/")
    pct("snapshot", "102", "before")
    pct("set", "102", "--cores", "2", "--description", f"Ask Ann: 100%\n{notes}", "--features", "keyctl=1,nesting=1")
    site.machine.sh("sed -i '/^lxc.net.0.script.up/ilxc.cgroup2.devices.allow: c 10:200 rwm' /etc/pve/lxc/102.conf")
    pct("set", "102", "--revert", "features")
    before = site.conf()
    assert "#Ask Ann%3A 100%25\n" in before
    site.unchanged(**wanted)
    assert site.conf() == before

    site.machine.sh(
        "sed -i '0,/^lxc.net.0.script.up/{/script.up/d}; s/^memory: 512/memory: 256/' /etc/pve/lxc/102.conf"
    )
    site.apply(**wanted)
    after = site.conf()
    assert after.count("lxc.net.0.script.up: /usr/local") == before.count("lxc.net.0.script.up: /usr/local") == 2
    own, snapshot = after.split("\n\n")
    assert own.endswith(
        "lxc.cgroup2.devices.allow: c 10:200 rwm\n"
        "lxc.net.0.script.up: /usr/local/lib/op-dbus/pct-port\n"
        "lxc.net.0.script.down: /usr/local/lib/op-dbus/pct-port"
    )
    assert "cores: 2\n" in own
    assert snapshot.startswith("[before]\n#op-dbus-owner")
    site.unchanged(**wanted)


HURT: list[dict[str, str]] = [
    {
        "pct set 102 --memory 2048 --swap 0": "memory 2048 -> 512; swap 0 -> 256",
        "sed -i /script.up/d /etc/pve/lxc/102.conf": "write raw keys of xray-client: lxc.net.0.script.up (none) -> ",
        "pct set 102 --features nesting=0": "features nesting=0 waits for the next start -> features nesting=1",
        "ovs-vsctl set Interface veth102i0 ofport_request=7": "set port veth102i0 ofport_request 7 -> 32870",
        "pct exec 102 -- ip address flush dev eth0": "repair network of xray-client: ",
        "ip link set mesh mtu 1200": "raise MTU of bridge mesh 1200 -> 1280",
    },
    {
        f"ip link set mesh mtu 1500; pct set 102 --net0 {NET0.replace('wall=0', 'wall=1')}": (
            "configure xray-client: net0 firewall 1 -> 0"
        ),
        "ovs-vsctl list-ports mesh | grep fwln102o0": "plug veth102i0 into mesh: port veth102i0 is not on bridge mesh",
    },
    {"pct set 102 --description gone": "configure xray-client: our notes in the description"},
]
"""Commands that do harm, each with words of the actions that mend it; those of one item are done together."""


def test_drift_is_mended(site: Site) -> None:
    """Seen in check mode, mended once without a restart, and gone."""
    wanted = site.describe()
    pid = site.apply(**wanted)["container"]["pid"]
    for injuries in HURT:
        site.machine.sh("set -e; " + "; ".join(injuries))
        before = site.state()
        told = site.call(check=True, **wanted)
        assert site.state() == before
        mended = site.apply(**wanted)
        assert told["actions"] == mended["actions"]
        for action in injuries.values():
            assert action in "\n".join(mended["actions"])
        assert (site.port("ofport"), mended["container"]["pid"]) == ("32870", pid)
    assert site.machine.sh("ovs-vsctl list-ports mesh") == "veth102i0"
    assert site.machine.sh("ovs-vsctl get Interface mesh mtu_request") == "1280"
    assert "new features" not in site.machine.pct("pending", "102")
    site.unchanged(**wanted)


def test_port_comes_back_at_every_start(site: Site) -> None:
    """Whoever stops and starts the container: Proxmox makes the port anew, our script gives it its number and marks.

    Flows name the port as the inventory does, and are accepted whatever Proxmox calls it.
    """
    wanted = site.describe()
    site.apply(**wanted)
    site.machine.pct("shutdown", "102")
    site.machine.pct("start", "102")
    assert site.port("ofport") == "32870"
    assert "op-dbus-veth=veth102," in site.port("external_ids")
    flows = {
        "bridge": "mesh",
        "ports": {"veth102": 32870},
        "flows": ['priority=1,in_port="veth102",actions=drop'],
        "on_finding": "warn",
        "durable": "/run/mesh.flows",
    }
    assert site.machine.module("ovs_bridge_flows", False, flows)["changed"] is True
    assert site.machine.module("ovs_bridge_flows", False, flows)["changed"] is False
    assert "in_port=32870" in site.machine.sh("ovs-ofctl -O OpenFlow15 --no-names dump-flows mesh")
    gathered = site.machine.module("ovs_bridge_flows", False, {"bridge": "mesh", "state": "gathered"})
    assert "in_port=veth102 " in gathered["flows"][0].replace('"', "").replace(",", " ")
    site.unchanged(**wanted)
    flows_gone = {"bridge": "mesh", "state": "absent", "durable": "/run/mesh.flows"}
    assert site.machine.module("ovs_bridge_flows", False, flows_gone)["changed"] is True

    site.machine.sh("LXC_NAME=102 /usr/local/lib/op-dbus/pct-port 102 net down veth veth102i0")
    assert site.machine.sh("ovs-vsctl list-ports mesh") == "", "before Proxmox does, and where it does not"
    assert site.apply(**wanted)["actions"][0].startswith("plug veth102i0 into mesh")

    site.machine.sh("rm /etc/op-dbus/containers.d/102.port")
    site.machine.pct("shutdown", "102")
    assert "startup for container '102' failed" in site.machine.pct("start", "102", check=False)


@pytest.mark.parametrize("part", ["firewall=1", "link_down=1"])
def test_a_device_off_the_bridge_keeps_it_from_starting(site: Site, part: str) -> None:
    """Rather than that it runs where no rule knows it; the next run mends that too."""
    wanted = site.describe()
    site.apply(**wanted)
    site.machine.pct("shutdown", "102")
    site.machine.pct("set", "102", "--net0", f"{NET0.replace('firewall=0,', '')},{part}")
    assert 'no row "veth102i0" in table Interface' in site.machine.pct("start", "102", check=False)
    site.apply(**wanted)
    site.unchanged(**wanted)


def test_restart_and_recreation_need_consent(site: Site) -> None:
    wanted = site.describe()
    first = site.apply(**wanted)["container"]["pid"]
    assert "needs a restart, and nothing was changed: net0 mtu 1280 -> 1400." in site.refused(**{**wanted, "mtu": 1400})
    changed = site.apply(**{**wanted, "mtu": 1400, "nesting": False, "restart": "if_needed"})
    assert changed["container"]["pid"] != first
    assert "features" not in site.conf()
    assert " mtu 1400 " in site.machine.pct("exec", "102", "--", "ip", "link", "show", "eth0")
    site.unchanged(**{**wanted, "mtu": 1400, "nesting": False})

    other = {**wanted, "mtu": 1400, "nesting": False, "unprivileged": False}
    assert "needs the container to be made anew" in site.refused(**{**other, "restart": "if_needed"})
    site.machine.sh("sed -i '1iprotection: 1' /etc/pve/lxc/102.conf")
    assert "is protected from deletion, and nothing was changed" in site.refused(**{**other, "recreate": True})
    site.machine.sh("sed -i /protection/d /etc/pve/lxc/102.conf")
    site.machine.calls()
    site.apply(**{**other, "recreate": True})
    assert [words[0] for words in site.machine.calls()[:4]] == ["shutdown", "destroy", "create", "start"]
    assert "unprivileged" not in site.conf()


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ("hostname: xray-client", "Container 102 (xray-client) exists and does not carry the mark"),
        ("#op-dbus-owner=lxc_service/101\nhostname: xray-client", "exists and does not carry the mark"),
        (
            "#op-dbus-owner=lxc_service/102\nhostname: other",
            "Container 102 is other of this collection, not xray-client",
        ),
        ("#op-dbus-owner=lxc_service/102\nhostname: xray-client\nlock: backup", "Container 102 is locked (backup)"),
    ],
    ids=["unmarked", "clone", "renamed", "locked"],
)
def test_what_is_not_ours_or_busy_is_refused(site: Site, conf: str, message: str) -> None:
    text = f"{conf}\nmemory: 512\nrootfs: local-lvm:vm-102-disk-0,size=8G\nunprivileged: 1\nnet0: {NET0}\n"
    site.machine.sh(f"cat > /etc/pve/lxc/102.conf <<'EOF'\n{text}EOF")
    assert message in site.refused(**{**site.describe(image=None), "restart": "if_needed"})


def test_a_run_that_broke_off_is_carried_on(site: Site) -> None:
    """Right after `pct create`, and then the host has booted; and where the container did not start."""
    wanted = site.describe()
    site.apply(**{**wanted, "state": "stopped"})
    site.machine.sh("sed -i /^lxc.net.0/d /etc/pve/lxc/102.conf; rm -r /etc/op-dbus /usr/local/lib/op-dbus")
    site.machine.pct("start", "102")
    assert site.port("ofport") != "32870"
    site.apply(**wanted)
    assert (site.port("ofport"), site.conf()) == ("32870", CONF)
    site.unchanged(**wanted)

    site.machine.sh("pct shutdown 102; mv /usr/share/lxc/lxcnetaddbr /run/away")
    failed = site.call(**wanted)
    site.machine.sh("mv /run/away /usr/share/lxc/lxcnetaddbr")
    assert "startup for container '102' failed" in failed["msg"]
    site.apply(**wanted)
    site.unchanged(**wanted)


def test_without_proxmox_file_system_nothing_is_forgotten(site: Site) -> None:
    """pmxcfs has not come up: the container is there, with keys that name our script."""
    site.apply(**site.describe())
    site.machine.sh("mount -t tmpfs none /etc/pve")
    try:
        for state in ("absent", "present", "queried"):
            assert "is not mounted at /etc/pve" in site.refused(**{**site.describe(), "state": state})
    finally:
        site.machine.sh("umount /etc/pve")
    site.unchanged(**site.describe())


def test_a_changed_host_name_makes_no_second_container(site: Site) -> None:
    site.apply(**site.describe())
    site.machine.pct("set", "102", "--hostname", "other")
    (queried,) = site.apply(state="queried")["containers"]
    assert (queried["name"], queried["is_ours"]) == ("xray-client", True)
    assert site.apply(**site.describe())["actions"] == ["configure xray-client: hostname other -> xray-client"]


def test_what_an_earlier_container_has_left_of_ours(site: Site) -> None:
    """Ours was destroyed by hand, its id is somebody else's now: refused with a way out, which works."""
    site.apply(**site.describe())
    site.machine.sh("pct shutdown 102; pct destroy 102; printf 'hostname: db\\nmemory: 64\\n' > /etc/pve/lxc/102.conf")
    for state in ("absent", "present"):
        message = site.refused(**{**site.describe(), "state": state})
        assert "delete /etc/op-dbus/containers.d/xray-client.json and give xray-client another id" in message
    site.machine.sh("rm /etc/op-dbus/containers.d/xray-client.json")
    site.apply(**site.describe(id="103"))
    assert site.conf() == "hostname: db\nmemory: 64"


def test_ids_of_others_in_the_cluster_are_refused(site: Site) -> None:
    guests = {"version": 1, "ids": {"102": {"node": "pve2", "type": "qemu", "version": 3}}}
    site.machine.sh(f"cat > /etc/pve/.vmlist <<'EOF'\n{json.dumps(guests)}\nEOF")
    assert "Id 102 is taken: a virtual machine on node pve2 has it." in site.refused(**site.describe())
