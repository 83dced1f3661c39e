# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What site.yml leaves on each host, seen by testinfra over ssh as an operator would see it."""

from __future__ import annotations

import pytest
import testinfra
from testinfra.host import Host

SSH_CONFIG = "/run/socket-network-lab/ssh_config"
UPLINKS = {"vps-gateway": ["host", "nm-server"], "oo1424oo": ["host", "nm-privacy", "warp0"]}
CONTAINERS = {"vps-gateway": ["mcp-server", "op-dbus-api", "xray-server"], "oo1424oo": ["gateway", "xray-client"]}
TUNNELS = {"vps-gateway": ["nm-server"], "oo1424oo": ["nm-privacy", "warp0"]}


@pytest.fixture(params=["vps-gateway", "oo1424oo"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def host(name: str) -> Host:
    return testinfra.get_host(f"ssh://{name}", ssh_config=SSH_CONFIG)


def test_no_unit_failed(host: Host) -> None:
    """systemd is content with the host."""
    assert host.run("systemctl --failed --no-legend").stdout == ""


def test_switch_is_secure(host: Host) -> None:
    """The bridge drops what no flow allows, and stays so when the switch restarts."""
    assert host.check_output("ovs-vsctl get-fail-mode mesh") == "secure"
    assert host.service("openvswitch-switch").is_enabled


def test_gateway_links_are_up(host: Host, name: str) -> None:
    """Each uplink has its gateway device, without IPv6, and its end on the bridge."""
    ports = host.check_output("ovs-vsctl list-ports mesh").split()
    for uplink in UPLINKS[name]:
        assert host.interface(f"gw-{uplink}").exists
        assert host.sysctl(f"net.ipv6.conf.gw-{uplink}.disable_ipv6") == 1
        assert f"ovs-{uplink}" in ports


def test_tunnels_run_and_start_at_boot(host: Host, name: str) -> None:
    """wg-quick keeps each tunnel; its configuration is for root's eyes only and adds no routes of its own."""
    for device in TUNNELS[name]:
        assert host.service(f"wg-quick@{device}").is_running
        assert host.service(f"wg-quick@{device}").is_enabled
        configuration = host.file(f"/etc/wireguard/{device}.conf")
        assert configuration.mode == 0o600
        assert "Table = off" in configuration.content_string


def test_containers_run_with_their_marks(host: Host, name: str) -> None:
    """Each container runs, starts at boot, and its description and port name it."""
    running = host.check_output("lxc-ls --running -1").split()
    assert sorted(running) == CONTAINERS[name]
    for container in CONTAINERS[name]:
        assert host.file(f"/etc/op-dbus/containers.d/{container}.json").exists
        assert host.service(f"op-dbus-lxc@{container}").is_enabled


def test_host_routes_stay_main(host: Host) -> None:
    """The host's own default route is not touched by any tunnel."""
    devices = {"wan0", "lan0"}
    assert host.check_output("ip -4 route show default").split()[4] in devices


def test_bridge_of_the_operator_is_left_alone(host: Host) -> None:
    """What the roles did not make, they do not touch."""
    if "foreign0" in host.check_output("ovs-vsctl list-br").split():
        assert host.check_output("ovs-vsctl br-get-external-id foreign0 owner") == "operator"
