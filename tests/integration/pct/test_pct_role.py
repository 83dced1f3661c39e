# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role on the stand-in for a Proxmox host: it finds Proxmox by itself and installs nothing."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from tests.integration.pct.conftest import DIGEST, IMAGE, Site
from tests.integration.pct.machine import ROOT

ROLE = "op_dbus.socket_network.lxc_service"


def written(directory: Path) -> list[str]:
    """Arguments of ansible-playbook for a play with the role on this host, as it is in the inventory."""
    container = {
        "id": "102",
        "name": "xray-client",
        "veth": "veth102",
        "bridge": "mesh",
        "ipv4_address": "10.0.0.102/24",
        "features": {"nesting": True},
        "image": {"path": IMAGE, "sha256": DIGEST},
        "services": [{"name": "web", "protocol": "tcp", "port": 443, "exposed": True, "health": {"command": "true"}}],
    }
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "socket_bridge_bridges": [{"name": "mesh", "subnet": "10.0.0.0/24"}],
        "lxc_service_containers": [container],
        "lxc_service_storage": "local-zfs",
    }
    inventory, playbook = directory / "hosts.json", directory / "play.yml"
    inventory.write_text(json.dumps({"socket_network": {"hosts": {"oo1424oo": variables}}}), encoding="utf-8")
    playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "roles": [ROLE]}]), encoding="utf-8")
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    return [program, "-i", str(inventory), str(playbook)]


def test_role(site: Site, tmp_path: Path) -> None:
    play = written(tmp_path)
    settings = {"ANSIBLE_HOME": str(tmp_path / "home"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_CONFIG": f"{ROOT}/ansible.cfg"}
    settings |= {"ANSIBLE_COLLECTIONS_PATH": f"{ROOT}/.collections", "ANSIBLE_LOCAL_TEMP": str(tmp_path / "local")}

    def changed(*arguments: str) -> int:
        output = site.machine.run(*play, *arguments, env=settings).stdout
        found = re.search(r"changed=(\d+) +unreachable=0 +failed=0", output)
        assert found, output
        return int(found[1])

    empty = site.state()
    assert (changed("--check"), site.state()) == (1, empty)
    assert changed() == 1
    assert "rootfs: local-zfs:vm-102-disk-0,size=8G" in site.conf()
    assert changed() == 0
