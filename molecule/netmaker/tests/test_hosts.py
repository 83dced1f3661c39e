# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What site.yml leaves on each host joined by Netmaker, seen by testinfra over ssh as an operator would see it."""

from __future__ import annotations

import pytest
import testinfra
from testinfra.host import Host

SSH_CONFIG = "/run/socket-network-lab/ssh_config"
SERVER, CLIENTS = "vps-gateway", ["vps-gateway", "oo1424oo", "node3"]


def reach(name: str) -> Host:
    return testinfra.get_host(f"ssh://{name}", ssh_config=SSH_CONFIG)


@pytest.fixture(params=CLIENTS)
def host(request: pytest.FixtureRequest) -> Host:
    return reach(str(request.param))


def test_no_unit_failed(host: Host) -> None:
    """systemd is content with the host."""
    assert host.run("systemctl --failed --no-legend").stdout == ""


def test_netclient_runs_by_our_unit(host: Host) -> None:
    """netclient runs, starts at boot, and its secrets are for root's eyes only."""
    assert host.service("netclient").is_running
    assert host.service("netclient").is_enabled
    for name in ("netclient.json", "servers.json"):
        assert host.file(f"/etc/netclient/{name}").mode & 0o077 == 0
    assert host.file("/etc/netclient/nodes.json").contains("privacy-mesh")


def test_no_enrolment_key_is_left(host: Host) -> None:
    """What let a host in does not stay on it."""
    assert host.run("ls /etc/netclient /etc/op-dbus /root | grep -i -E 'token|enrol'").stdout == ""


@pytest.mark.parametrize("unit", ["netmaker", "netmaker-broker", "netmaker-front"])
def test_server_runs_and_starts_at_boot(unit: str) -> None:
    """The droplet's three services."""
    server = reach(SERVER)
    assert server.service(unit).is_running
    assert server.service(unit).is_enabled


@pytest.mark.parametrize("name", ["oo1424oo", "node3"])
@pytest.mark.parametrize("unit", ["netmaker", "netmaker-broker", "netmaker-front"])
def test_clients_run_no_server(name: str, unit: str) -> None:
    """A host that was not asked to be the server has none."""
    assert not reach(name).service(unit).is_running
