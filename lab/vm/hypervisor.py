# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A libvirtd to run machines with: the machine's own where one answers, else one started here and ended by the lab.

Where systemd is not process 1 there is no libvirtd, and no cgroups for it either. Ours gets a configuration for that,
mounted over the machine's in a mount namespace of its own, so that no file of the machine is changed.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from lab import base
from lab.base import wait_for
from lab.ledger import VIRSH, Ledger

QEMU_CONF = """\
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
"""

LOGS = Path("/var/log/libvirt/qemu")


def virsh(*words: str, check: bool = True) -> str:
    """Output of a virsh command. Raises LabError when it fails."""
    return base.run([*VIRSH, *words], check=check, timeout=60).stdout.strip()


def answers() -> bool:
    return base.run([*VIRSH, "version"], check=False, timeout=20).returncode == 0


def start(directory: Path, ledger: Ledger) -> None:
    """Start libvirtd when none answers, and write its process down where it is not systemd's."""
    if answers():
        return
    if Path("/run/systemd/system").is_dir():  # whose package was installed without starting it
        base.run(["systemctl", "start", "libvirtd.service"])
        wait_for("libvirtd to answer", answers, timeout=30.0, interval=0.2)
        return
    config = directory / "qemu.conf"
    config.write_text(QEMU_CONF)
    script = 'mount --bind "$1" /etc/libvirt/qemu.conf && shift && exec "$@"'
    argv = ["unshare", "--mount", "sh", "-c", script, "sh", str(config), "libvirtd"]
    with (directory / "libvirtd.log").open("ab") as log:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    ledger.record_process(process.pid)
    wait_for("libvirtd to answer", answers, timeout=30.0, interval=0.2)


def works_with_kvm(kernel: Path) -> bool:
    """Whether a kernel says its first words under KVM within five seconds: where it cannot, it hangs silently.

    Nested in some other hypervisors a boot sector runs and Linux does not, so nothing less than Linux tells.
    """
    if not (Path("/dev/kvm").exists() and kernel.exists()):
        return False
    argv = ["timeout", "--signal=KILL", "5", "qemu-system-x86_64", "-accel", "kvm", "-m", "256", "-nographic"]
    argv += ["-no-reboot", "-nodefaults", "-serial", "stdio", "-kernel", str(kernel)]
    argv += ["-append", "console=ttyS0 panic=-1"]
    return "Linux version" in base.run(argv, check=False).stdout
