# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""The systemd unit that starts a container at boot, after the switch and its flows, and again when its monitor dies."""

from __future__ import annotations

from .._files import FileSpec
from .config import PORT_SCRIPT
from .port import SCRIPT, SIDECARS

SYSTEM = "/etc/systemd/system"
TEMPLATE = f"{SYSTEM}/op-dbus-lxc@.service"
STOP_SECONDS = 30

_TEXT = f"""# Written by op_dbus.socket_network; edits are replaced by its next run.
# Not Debian's lxc@.service: that one waits for lxc.service and its bridge, and is ready before the container is.
[Unit]
Description=Service container %i
After=network.target openvswitch-switch.service op-dbus-nftables.service
Wants=openvswitch-switch.service
ConditionPathExists={SIDECARS}/%i.json

[Service]
Type=forking
PIDFile=/run/op-dbus-lxc-%i.pid
ExecStart=/usr/bin/lxc-start --name %i --daemon --pidfile /run/op-dbus-lxc-%i.pid
ExecStop=/usr/bin/lxc-stop --name %i --timeout {STOP_SECONDS}
TimeoutStartSec=120
TimeoutStopSec={2 * STOP_SECONDS}
Restart=on-failure
RestartSec=1
KillMode=mixed
Delegate=yes

[Install]
WantedBy=multi-user.target
"""


def shared_files() -> list[FileSpec]:
    """What all containers of the host have in common; it goes with the last of them."""
    return [FileSpec(PORT_SCRIPT, SCRIPT, 0o755), FileSpec(TEMPLATE, _TEXT)]


def unit(name: str) -> str:
    return f"op-dbus-lxc@{name}.service"


def boot_link(name: str) -> str:
    """The link that exists while the unit is enabled: looking at it costs no process."""
    return f"{SYSTEM}/multi-user.target.wants/{unit(name)}"
