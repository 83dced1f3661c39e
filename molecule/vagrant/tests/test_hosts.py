# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What site.yml leaves on each virtual machine, seen by testinfra over ssh as an operator would see it."""

from __future__ import annotations

import pytest
import testinfra
from testinfra.host import Host

SSH_CONFIG = "/run/socket-network-lab/ssh_config"
CONTAINERS = {
    "vps-gateway": ["mcp-server", "op-dbus-api", "xray-server"],
    "oo1424oo": ["gateway", "xray-client"],
    "node3": ["files"],
}


@pytest.fixture(params=CONTAINERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def host(name: str) -> Host:
    return testinfra.get_host(f"ssh://{name}", ssh_config=SSH_CONFIG)


def test_host_is_as_the_roles_left_it(host: Host, name: str) -> None:
    """No unit failed, the bridge is secure, in the kernel, and all containers run; the default route is the host's."""
    assert host.run("systemctl --failed --no-legend").stdout == ""
    assert host.check_output("ovs-vsctl get-fail-mode mesh") == "secure"
    assert host.check_output("ovs-vsctl get bridge mesh datapath_type") in ('""', "system")
    assert sorted(host.check_output("lxc-ls --running -1").split()) == CONTAINERS[name]
    assert host.check_output("ip -4 route show default").split()[4] == "eth1"
    assert host.service("openvswitch-switch").is_enabled
