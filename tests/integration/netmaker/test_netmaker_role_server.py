# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role makes a server on a booted host: with the real program when it is at hand, else with the stand-in."""

from __future__ import annotations

import json
import os
import shlex
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import base
from lab.base import wait_for
from lab.host import Host
from lab.remote import PlaybookRun
from tests.integration.netmaker.servers import REAL, STAND_IN
from tests.standins.programs import build_server

ROLE = "op_dbus.socket_network.netmaker"
DOMAIN = "nm.example.org"
PROGRAM = "/usr/local/lib/netmaker-1.5.1"
SECRETS = {
    "netmaker_master_key": 'master$key`with"odd\\characters',
    "netmaker_admin_password": "admin-password",
    "netmaker_broker_password": "broker pass$word",
}
STATE = (
    "find /etc /usr/local /var/lib/netmaker* /var/backups -xdev \\( -type f -o -type l -o -type d \\)"
    " -printf '%p %m %u %l\\n' 2>/dev/null | grep -v '^/etc/.updated\\|-shm \\|-wal \\|/ld.so.cache' | sort;"
    " nft list tables; getent passwd netmaker; systemctl show -P Id -P ActiveState 'netmaker*'"
)


class Server:
    """The role on the host, and the API as the admin of the host sees it."""

    def __init__(self, host: Host, program: Path) -> None:
        self.host = host
        self.variables: dict[str, Any] = {
            **SECRETS,
            "netmaker_mode": "server",
            "netmaker_fleet_group": "all",
            "netmaker_domain": DOMAIN,
            "netmaker_public_address": "192.0.2.10",
            "netmaker_server_program": {"file": str(program)},
            "netmaker_networks": [{"name": "privacy-mesh", "range": "10.100.0.0/16"}],
        }

    def play(self, *, tasks_from: str = "main", check: bool = False, **variables: Any) -> PlaybookRun:
        role = {"name": "Run the role", "ansible.builtin.include_role": {"name": ROLE, "tasks_from": tasks_from}}
        play = {"hosts": "all", "gather_facts": False, "tasks": [role]}
        run = self.host.playbook([play], check=check, diff=True, extra={**self.variables, **variables})
        assert [secret for secret in SECRETS.values() if secret in run.output] == []
        return run

    def changed(self, **given: Any) -> int:
        run = self.play(**given)
        assert run.returncode == 0, run.output
        return run.changed()

    def refused(self, **given: Any) -> str:
        run = self.play(**given)
        assert run.returncode != 0, run.output
        return run.output

    def module(self, *, check: bool = False, **parameters: Any) -> dict[str, Any]:
        """The module as the role calls it, without the rest of the role."""
        given = {name.removeprefix("netmaker_"): value for name, value in SECRETS.items()}
        given |= {"program": PROGRAM, "version": "1.5.1", "domain": DOMAIN, "public_address": "192.0.2.10"}
        return self.host.ansible("op_dbus.socket_network.netmaker_server", {**given, **parameters}, check=check)

    def state(self) -> str:
        return self.host.run(STATE, check=False).stdout

    def api(self, path: str, method: str = "GET", body: object = None) -> Any:
        config = f'header = "Authorization: Bearer {_quoted(SECRETS["netmaker_master_key"])}"\n'
        argv = ["curl", "-sS", "-K", "-", "-X", method, f"http://127.0.0.1:8081{path}"]
        if body is not None:
            config += f'data = "{_quoted(json.dumps(body))}"\n'
        text = self.host.run(argv, data=config).stdout
        return json.loads(text) if text else None

    def through_front(self, path: str, *options: str, authority: str = "/etc/netmaker/ca.crt") -> str:
        name = f"api.{DOMAIN}"
        argv = ["curl", "-sS", "--cacert", authority, "--resolve", f"{name}:443:192.0.2.10", f"https://{name}{path}"]
        return self.host.run([*argv, *options]).stdout

    def settings(self) -> dict[str, Any]:
        found: dict[str, Any] = self.api("/api/server/settings")["Response"]
        return found


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def kind() -> str:
    return REAL if os.environ.get("NETMAKER_BINARY") else STAND_IN


@pytest.fixture(scope="module", params=[kind()])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A host whose server the tests of this module change, in their order."""
    program = build_server(tmp_path_factory.mktemp("program"))
    if request.param == REAL:
        program = Path(os.environ["NETMAKER_BINARY"])
    with Host("nmserver") as host:
        yield Server(host, program)


def test_life_of_a_server(server: Server) -> None:
    """Check mode on a host that has nothing yet tells and does nothing; the second run has nothing to do."""
    empty = server.state()
    assert server.changed(check=True) > 0
    told = server.module(check=True)["actions"]
    assert server.state() == empty
    order = ["start netmaker-firewall.service", "start netmaker-front.service, closed to the outside"]
    order += ["start netmaker.service", "see that there is superadmin admin", "open netmaker-front.service"]
    assert [action for action in told if action in order] == order
    assert server.changed() > 0
    assert server.changed() == 0
    assert server.api("/api/users/adm/hassuperadmin") is True
    assert [network["netid"] for network in server.api("/api/networks")] == ["privacy-mesh"]
    wanted = {"manage_dns": False, "endpoint_detection": False, "stun": False, "telemetry": "off"}
    assert {name: server.settings()[name] for name in wanted} == wanted
    arguments = server.host.run("cat /proc/[0-9]*/cmdline | tr '\\0' ' '").stdout
    assert [secret for secret in SECRETS.values() if secret in arguments] == []
    secret_files = "stat -c %a:%U /etc/netmaker/netmaker.env /etc/netmaker/passwords /etc/netmaker/ca.key"
    assert server.host.run(secret_files).stdout.split() == ["600:root"] * 3


def test_front_serves_the_api_by_the_own_ca_and_makes_no_superadmin(server: Server) -> None:
    assert json.loads(server.through_front("/api/server/status"))["db_connected"] is True
    body = ("-X", "POST", "-d", '{"username": "mallory", "password": "mallory-password"}', "-w", "%{http_code}")
    assert server.through_front("/api/users/adm/createsuperadmin", *body).endswith("403")
    text = server.host.run(["openssl", "x509", "-in", "/etc/netmaker/ca.crt", "-noout", "-text"]).stdout
    assert f"DNS:{DOMAIN}" in text.partition("Name Constraints: critical")[2]


def test_only_the_front_and_the_broker_can_be_reached_from_outside(server: Server) -> None:
    """From the other end of the host's link, as the internet sees it."""
    fabric = server.host.fabric

    def answers(port: int) -> bool:
        words = fabric.enter("nc", "-z", "-w", "1", "192.0.2.10", str(port))
        return base.run(words, check=False).returncode == 0

    assert {port: answers(port) for port in (443, 1883, 8081, 8082, 8883)} == {
        **{443: True, 8883: True},
        **{1883: False, 8081: False, 8082: False},
    }


BROKER = "--cafile /etc/netmaker/ca.crt -h broker.nm.example.org -p 8883 -u netmaker"


def test_broker_limits_what_a_client_may_read_and_write(server: Server) -> None:
    """A client must not tell others who their peers are, nor read what they tell the server."""
    server.host.run("grep -q broker.nm /etc/hosts || echo 192.0.2.10 broker.nm.example.org >> /etc/hosts")
    password = shlex.quote(SECRETS["netmaker_broker_password"])
    inner = f"-h 127.0.0.1 -p 1883 -u netmaker -P {password}"
    outer = f"{BROKER} -P {password}"

    def publish(login: str, topic: str, text: str) -> int:
        return server.host.run(f"mosquitto_pub {login} -r -t {topic} -m {text}", check=False).returncode

    def kept(login: str, topic: str) -> str:
        return server.host.run(f"mosquitto_sub {login} -t {topic} -C 1 -W 1", check=False).stdout.strip()

    assert publish(f"{BROKER} -P wrong", f"update/{DOMAIN}/x", "x") != 0
    assert publish("--cafile /etc/netmaker/ca.crt -h broker.nm.example.org -p 8883", f"update/{DOMAIN}/x", "x") != 0
    publish(inner, f"peers/host/one/{DOMAIN}", "true-peers")
    publish(outer, f"peers/host/one/{DOMAIN}", "false-peers")
    assert kept(outer, f"peers/host/one/{DOMAIN}") == "true-peers"
    publish(outer, f"metrics/{DOMAIN}/node", "numbers")
    assert kept(inner, f"metrics/{DOMAIN}/node") == "numbers"
    assert kept(outer, f"metrics/{DOMAIN}/node") == ""
    assert kept(outer, "'#'") == "true-peers"


DRIFT = (
    {
        "systemctl stop netmaker": "start netmaker.service",
        "systemctl disable --now netmaker-broker": "start netmaker-broker.service",
        "sed -i /bootstrap/d /etc/netmaker/Caddyfile": "restart netmaker-front.service",
        "systemctl disable --now netmaker-backup.timer": "enable netmaker-backup.timer",
        "nft delete table inet op_dbus_netmaker": "reload netmaker-firewall.service",
        "sed -i s/TELEMETRY=.*/TELEMETRY=on/ /etc/netmaker/netmaker.env": "update /etc/netmaker/netmaker.env",
        "echo netmaker:x > /etc/netmaker/passwords": "update /etc/netmaker/passwords",
        "echo 'topic readwrite #' >> /etc/netmaker/client.acl": "update /etc/netmaker/client.acl",
        "rm /etc/netmaker/tls.crt": "renew the certificate",
    },
    {
        "systemctl stop netmaker-front": "start netmaker-front.service",
        "nft insert rule inet op_dbus_netmaker input accept": "reload netmaker-firewall.service",
        "sed -i s/^NoNew.*// /etc/systemd/system/netmaker.service": "restart netmaker.service",
        "touch /etc/netmaker/mosquitto.conf": "restart netmaker-broker.service",  # as when a run was cut before it
        "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=x -days 9 -keyout /etc/netmaker/tls.key"
        " -out /etc/netmaker/tls.crt": "renew the certificate",
    },
)


@pytest.mark.parametrize("drift", DRIFT, ids=("first", "second"))
def test_drift_is_told_and_repaired(server: Server, drift: dict[str, str]) -> None:
    for command in drift:
        server.host.run(command)
    told = server.module(check=True)["actions"]
    assert [action for action in drift.values() if action not in told] == []
    assert set(drift.values()) <= set(server.module()["actions"])
    assert server.module()["actions"] == []
    assert json.loads(server.through_front("/api/server/status"))["broker_connected"] is True


def test_filter_outlives_nftables_service(server: Server) -> None:
    """Debian's unit flushes every table, also ours."""
    for action in ("start", "reload", "restart", "stop"):
        server.host.run(["systemctl", action, "nftables"])
        assert "8081" in server.host.run("nft list table inet op_dbus_netmaker").stdout, action


def test_settings_changed_by_hand_are_set_back(server: Server) -> None:
    changed = {"jwt_validity_duration": 100, "manage_dns": True, "stun": True}
    server.api("/api/server/settings", "PUT", {**server.settings(), **changed})
    assert server.settings()["manage_dns"] is True
    assert server.module()["actions"] == ["set manage_dns, stun"]
    found = server.settings()
    assert (found["manage_dns"], found["stun"], found["jwt_validity_duration"]) == (False, False, 100)
    assert server.module(settings={"metric_interval": "30"})["actions"] == ["set metric_interval"]
    assert server.settings()["metric_interval"] == "30"
    assert "has no setting manage_dsn" in server.module(settings={"manage_dsn": True})["msg"]


def test_jump_over_a_version_is_refused_before_anything_changes(server: Server) -> None:
    before = server.state()
    server.host.run(f"cp {PROGRAM} /root/other")
    refused = server.module(version="1.7.0", program="/root/other")
    assert (refused["failed"], "is 1.7.0: each minor" in refused["msg"]) == (True, True), refused["msg"]
    assert server.state() == before


def test_program_of_another_version_than_the_inventory_says_is_told(server: Server) -> None:
    server.host.run(f"cp {PROGRAM} /usr/local/lib/netmaker-1.6.0")
    found = server.module(version="1.6.0", program="/usr/local/lib/netmaker-1.6.0")
    assert "reports version v1.5.1, but netmaker_version is 1.6.0" in found["msg"]
    assert server.host.run("ls /var/backups/netmaker").stdout.startswith("netmaker-")
    assert "remove /usr/local/lib/netmaker-1.6.0" in server.module()["actions"]
    assert server.module()["actions"] == []


def test_inventory_that_cannot_work_is_refused_by_name(server: Server) -> None:
    service = {"name": "vmess", "protocol": "tcp", "port": 8443, "exposed_to": ["internet"]}
    container = {
        "id": "202",
        "name": "xray-server",
        "veth": "veth202",
        "bridge": "mesh",
        "ipv4_address": "10.1.0.202/24",
    }
    fleet = {
        "socket_bridge_bridges": [{"name": "mesh", "subnet": "10.1.0.0/24"}],
        "lxc_service_containers": [{**container, "template": "debian-12", "services": [service]}],
    }
    text = server.refused(netmaker_api_port=8443, **fleet)
    assert (
        f"{server.host.name}: netmaker_api_port = 8443: is published on this host for vmess of container xray-server"
        in text
    )
    assert "use another netmaker_api_port, such as 9443" in text


def test_backup_brings_the_server_back_on_an_empty_disk(server: Server, tmp_path: Path) -> None:
    """Database, CA and keys are those of before; what clients trust and know stays true."""
    server.host.run("rm -rf /var/backups/netmaker")
    server.api("/api/v1/enrollment-keys", "POST", {"tags": ["kept"], "unlimited": True, "networks": ["privacy-mesh"]})
    server.host.run("systemctl start netmaker-backup")
    keys = sorted(key["value"] for key in server.api("/api/v1/enrollment-keys"))
    authority = server.host.read("/etc/netmaker/ca.crt")
    (name,) = server.host.run("ls /var/backups/netmaker").stdout.split()
    backup = tmp_path / name
    backup.write_bytes((server.host.root / "var/backups/netmaker" / name).read_bytes())
    server.host.run(
        "systemctl stop 'netmaker*'; nft delete table inet op_dbus_netmaker; rm -r /var/lib/netmaker* /etc/netmaker"
        " /etc/systemd/system/netmaker* /etc/systemd/system/*/netmaker* /usr/local/lib/op-dbus /var/backups/netmaker"
        " /usr/local/lib/netmaker-*; userdel netmaker; systemctl daemon-reload"
    )
    run = server.play(tasks_from="restore", netmaker_restore_file=str(backup))
    assert run.returncode == 0, run.output
    assert sorted(key["value"] for key in server.api("/api/v1/enrollment-keys")) == keys
    assert server.host.read("/etc/netmaker/ca.crt") == authority
    assert json.loads(server.through_front("/api/server/status"))["broker_connected"] is True
    assert server.module()["actions"] == []
    server.host.run("echo > /root/other")
    assert "is no backup of this role" in server.module(restore="/root/other")["msg"]


def test_certificate_is_renewed_by_its_timer_and_taken_up(server: Server) -> None:
    """One that ends within a month, of the same CA."""
    sign = (
        "openssl req -new -key tls.key -subj /CN=x | openssl x509 -req -CA ca.crt -CAkey ca.key -set_serial 7 -days 20"
    )
    names = f"subjectAltName=DNS:api.{DOMAIN},DNS:broker.{DOMAIN}"
    server.host.run(f"cd /etc/netmaker; echo {names} > /root/names; {sign} -extfile /root/names -out tls.crt")
    authority = server.host.read("/etc/netmaker/ca.crt")
    server.host.run("systemctl start netmaker-certificate")
    server.host.run("openssl x509 -in /etc/netmaker/tls.crt -noout -checkend 31536000")
    assert server.host.read("/etc/netmaker/ca.crt") == authority
    loaded = "cmp /etc/netmaker/tls.crt /run/credentials/netmaker-front.service/tls.crt"
    wait_for("the front to take it up", lambda: server.host.run(loaded, check=False).returncode == 0)
    assert server.module()["actions"] == []


def test_certificate_of_ones_own_is_served_and_followed(server: Server) -> None:
    """As when Let's Encrypt replaces it: the timer sees to it that front and broker take it up."""
    make = f"openssl req -x509 -newkey rsa:2048 -nodes -days 90 -subj /CN=x -addext subjectAltName=DNS:api.{DOMAIN}"
    make = f"mkdir -p /root/tls; {make} -keyout /root/tls/key -out /root/tls/crt"
    given = {"certificate_file": "/root/tls/crt", "key_file": "/root/tls/key"}
    server.host.run(make)
    assert server.module(**given)["failed"] is False
    assert json.loads(server.through_front("/api/server/status", authority="/root/tls/crt"))["db_connected"] is True
    server.host.run(make)
    server.host.run("systemctl start netmaker-certificate")
    assert json.loads(server.through_front("/api/server/status", authority="/root/tls/crt"))["db_connected"] is True
    assert server.module(**given)["actions"] == []


def test_absent_keeps_the_data_unless_told_to_purge_them(server: Server) -> None:
    server.host.run("systemctl start netmaker-backup")
    told = server.module(check=True, state="absent")["actions"]
    assert server.module(state="absent")["actions"] == told
    left = server.state()
    assert [name for name in ("netmaker.service", "op_dbus_netmaker", "netmaker.env", PROGRAM) if name in left] == []
    assert "/var/lib/netmaker/data/netmaker.db" in left
    assert "/etc/netmaker/ca.key" in left
    assert "stop netmaker.service" in told
    assert server.module(state="absent")["actions"] == []
    assert server.module(state="absent", purge=True)["changed"] is True
    left = server.state()
    assert [name for name in ("/etc/netmaker", "/var/lib/netmaker", "x:Netmaker") if name in left] == []
    assert "/var/backups/netmaker" in left


def test_upgrade_backs_up_and_leaves_one_program(server: Server, tmp_path: Path) -> None:
    """Between stand-ins: there is one real program at most."""
    old, new = build_server(tmp_path), tmp_path / "new"
    with zipfile.ZipFile(old) as source, zipfile.ZipFile(new, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(b'VERSION = "v1.5.1"', b'VERSION = "v1.6.0"'))
    new.write_bytes(b"#!/usr/bin/python3\n" + new.read_bytes())
    path = PROGRAM.replace("1.5.1", "1.6.0")
    server.host.put(old, PROGRAM, 0o755)
    server.module()
    server.host.run("rm -rf /var/backups/netmaker")
    server.host.put(new, path, 0o755)
    run = server.module(version="1.6.0", program=path)
    assert run["failed"] is False, run["msg"]
    actions = run["actions"]
    assert (actions[0], actions[-1]) == ("back up version 1.5.1", f"remove {PROGRAM}")
    assert server.api("/api/server/status")["version"] == "v1.6.0"
    assert server.module(version="1.6.0", program=path)["actions"] == []
    (name,) = server.host.run("ls -d /var/backups/netmaker/*").stdout.split()
    assert server.host.run(["tar", "-xzOf", name, "./version"]).stdout == "1.5.1\n"
    server.host.put(old, PROGRAM, 0o755)
    assert "a downgrade" in server.module()["msg"]
