# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build and cache a Vagrant box for libvirt from Debian packages: a disk, and kernel and initrd to boot it directly.

Direct boot saves the boot loader's time, which under emulation is most of a boot. The initrd holds busybox and what the
disk needs; udev loads the rest from there.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab import rootfs
from lab.base import CACHE, LabError, run
from lab.debian import NUMBERS
from lab.topology import IMAGE

VM_PACKAGES = ["linux-image-cloud-amd64", "apparmor", "udev", "sudo", "busybox-static"]
DISK_MODULES = ["virtio_blk", "virtio_pci", "ext4"]
ARCHIVES = Path(__file__).with_name("guest") / "lab_archives.py"
PYTHON = "usr/lib/python3/dist-packages"
SIZE = "8G"
BUILD_TIMEOUT = 900.0
COMMAND_LINE = "root=/dev/vda rw console=ttyS0 net.ifnames=0 quiet mitigations=off"

INIT = """\
#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
while read -r module; do /bin/busybox insmod "/modules/$module"; done </modules/order
tries=0
while [ ! -b /dev/vda ] && [ $tries -lt 400 ]; do /bin/busybox usleep 50000; tries=$((tries + 1)); done
/bin/busybox mount -t ext4 -o rw,noatime /dev/vda /root || exec /bin/busybox sh
/bin/busybox mount --move /dev /root/dev
exec /bin/busybox switch_root /root /sbin/init
"""

EARLY_SSH = """\
[Unit]
Description=OpenBSD Secure Shell server, which does not wait for the switch
DefaultDependencies=no
After=systemd-remount-fs.service systemd-tmpfiles-setup.service
Conflicts=shutdown.target
Before=shutdown.target

[Service]
Type=notify
ExecStartPre=/bin/sh -c 'test -e {key} || ssh-keygen -q -t ed25519 -N "" -f {key}'
ExecStart=/usr/sbin/sshd -D
ExecReload=/bin/kill -HUP $MAINPID
KillMode=process
Restart=on-failure
RuntimeDirectory=sshd
RuntimeDirectoryMode=0755

[Install]
WantedBy=sysinit.target
""".replace("{key}", "/etc/ssh/ssh_host_ed25519_key")
"""Open vSwitch orders itself before network.target, for which Debian's unit waits."""

MANAGEMENT = """\
[Match]
Name=eth0

[Network]
DHCP=ipv4
IPv6AcceptRA=no
LinkLocalAddressing=no

[DHCPv4]
ClientIdentifier=mac
UseRoutes=no
UseDNS=no
"""

NO_IPV6 = "[Network]\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n"
"""For the file that systemd makes of the kernel's command line, whose number depends on the release."""

MASKED_UNITS = [
    *(f"modprobe@{module}.service" for module in ("configfs", "dm_mod", "drm", "efi_pstore", "loop")),
    *("sys-kernel-config.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount"),
    *("dev-hugepages.mount", "dev-mqueue.mount", "systemd-pstore.service", "e2scrub_reap.service"),
    *("serial-getty@ttyS0.service", "systemd-logind.service"),
]
"""Each costs an emulated machine seconds of its boot, and nobody needs them there."""

UNUSED_PROFILES = ["lsb_release", "nvidia_modprobe", "usr.bin.tcpdump"]
"""Of AppArmor; each takes seconds to compile at the first boot, emulated."""

VAGRANTFILE = """\
Vagrant.configure("2") do |config|
  config.ssh.insert_key = false
  config.vm.synced_folder ".", "/vagrant", disabled: true
  config.vm.provider :libvirt do |libvirt|
    directory = File.dirname(File.realpath(__FILE__))
    libvirt.kernel = "#{directory}/vmlinuz"
    libvirt.initrd = "#{directory}/initrd.img"
    libvirt.cmd_line = "%s"
    libvirt.disk_bus = "virtio"
  end
end
"""


@dataclass(frozen=True, slots=True)
class Box:
    """A box as vagrant takes it. ``name`` tells release and content."""

    name: str
    directory: Path

    @property
    def path(self) -> Path:
        return self.directory / "libvirt.box"

    @property
    def kernel(self) -> Path:
        return self.directory / "vmlinuz"


def build(codename: str, image: Path, say: Callable[[str], None]) -> Box:
    """The box of a Debian release (`bookworm`, `trixie`), with the containers' ``image`` in it. Raises LabError."""
    if codename not in NUMBERS:
        raise LabError(f"no box is made of Debian {codename!r}; known: {', '.join(NUMBERS)}")
    packages = [*rootfs.HOST_PACKAGES, *VM_PACKAGES]
    key = rootfs.digest("box", packages, codename, Path(__file__).read_text(), ARCHIVES.read_text(), image.name)
    box = Box(f"socket-network/{codename}-{key}", CACHE / f"box-{codename}-{key}")
    with rootfs.locked(f"box-{codename}"):
        if not box.directory.is_dir():
            begin, work = time.monotonic(), rootfs.fresh(box.directory)
            say(f"box of Debian {NUMBERS[codename]}: installing {len(packages)} packages and what they need")
            work.mkdir(parents=True)
            _fill(work, codename, packages, image)
            work.rename(box.directory)
            rootfs.forget_others(f"box-{codename}-*", box.directory)
            say(f"box of Debian {NUMBERS[codename]}: built in {time.monotonic() - begin:.0f} s")
    return box


def _fill(work: Path, codename: str, packages: list[str], image: Path) -> None:
    tree = work / "tree"
    rootfs.mmdebstrap(tree, packages, "--variant=apt", codename=codename)
    _tune(tree)
    (tree / IMAGE).parent.mkdir(parents=True)
    shutil.copyfile(image, tree / IMAGE)
    _pack(tree, work)
    shutil.rmtree(tree)


def _tune(root: Path) -> None:
    rootfs.tune_host(root)
    key = _vagrant_key()
    run(["chroot", str(root), "useradd", "--password", "*", "--create-home", "--shell", "/bin/bash", "vagrant"])
    rootfs.write(
        root,
        {
            "etc/fstab": "/dev/vda / ext4 rw,noatime 0 0\n",
            "etc/hostname": "debian\n",
            "etc/hosts": "127.0.0.1 localhost\n",
            "etc/machine-id": f"{hashlib.sha256(b'box').hexdigest()[:32]}\n",  # an empty one is a first boot: presets
            "etc/resolv.conf": "",
            "etc/sysctl.d/90-lab.conf": "net.ipv6.conf.eth1.disable_ipv6 = 1\n",  # Netmaker's client forwards IPv6: MLD
            "etc/sudoers.d/vagrant": "vagrant ALL=(ALL) NOPASSWD:ALL\n",
            "etc/systemd/network/10-eth0.network": MANAGEMENT,
            **{f"etc/systemd/network/{number}-eth1.network.d/lab.conf": NO_IPV6 for number in (70, 90)},
            "etc/systemd/system/ssh.service": EARLY_SSH,
            "etc/tmpfiles.d/systemd-nologin.conf": "",
            f"{PYTHON}/{ARCHIVES.name}": ARCHIVES.read_text(),
            f"{PYTHON}/{ARCHIVES.stem}.pth": f"import {ARCHIVES.stem}\n",
            "home/vagrant/.ssh/authorized_keys": key,
            "root/.ssh/authorized_keys": key,
        },
    )
    (root / "etc/systemd/system/ovs-vswitchd.service.d/lab.conf").unlink()
    for profile in UNUSED_PROFILES:
        (root / "etc/apparmor.d" / profile).unlink(missing_ok=True)
    for secret in ("home/vagrant/.ssh", "root/.ssh"):
        (root / secret).chmod(0o700)
    run(["chroot", str(root), "chown", "-R", "vagrant:", "/home/vagrant/.ssh"])
    (root / "etc/systemd/system/multi-user.target.wants/ssh.service").unlink(missing_ok=True)
    run(["chroot", str(root), "systemctl", "enable", "--quiet", "ssh.service"])
    for unit in MASKED_UNITS:
        (root / "etc/systemd/system" / unit).symlink_to("/dev/null")
    rootfs.mark_up_to_date(root)


def _vagrant_key() -> str:
    """The well-known public keys that Vagrant first logs in with; where they are depends on the release."""
    for gems in ("share/rubygems-integration", "lib/*/rubygems-integration"):
        for path in Path("/usr").glob(f"{gems}/*/gems/vagrant-*/keys/vagrant.pub"):
            return path.read_text()
    raise LabError("no keys/vagrant.pub below /usr; is Debian's package vagrant installed?")


def _pack(tree: Path, work: Path) -> None:
    """Kernel, initrd, disk image, and the archive of all that."""
    (version,) = (path.name for path in (tree / "lib/modules").iterdir())
    shutil.copyfile(tree / f"boot/vmlinuz-{version}", work / "vmlinuz")
    _initrd(tree, version, work)
    raw, disk = work / "box.raw", work / "box.img"
    options = "lazy_itable_init=0,lazy_journal_init=0"
    run(["mkfs.ext4", "-q", "-F", "-E", options, "-L", "root", "-d", str(tree), str(raw), SIZE], timeout=BUILD_TIMEOUT)
    run(["qemu-img", "convert", "-O", "qcow2", str(raw), str(disk)], timeout=BUILD_TIMEOUT)
    (work / "metadata.json").write_text(json.dumps({"provider": "libvirt", "format": "qcow2", "virtual_size": 8}))
    (work / "Vagrantfile").write_text(VAGRANTFILE % COMMAND_LINE)
    files = ["metadata.json", "Vagrantfile", "box.img", "vmlinuz", "initrd.img"]
    run(["tar", "-C", str(work), "-cf", str(work / "libvirt.box"), *files], timeout=BUILD_TIMEOUT)
    for path in (raw, disk):
        path.unlink()


def _initrd(tree: Path, version: str, work: Path) -> None:
    initrd = work / "initrd"
    for name in ("bin", "dev", "proc", "sys", "root", "modules"):
        (initrd / name).mkdir(parents=True)
    shutil.copy(tree / "usr/bin/busybox", initrd / "bin/busybox")
    order: dict[str, None] = {}
    for module in DISK_MODULES:
        needed = run(["chroot", str(tree), "modprobe", "-S", version, "--show-depends", module], check=False).stdout
        for line in needed.splitlines():
            if line.startswith("insmod "):
                order[line.split()[1]] = None
    for path in order:
        shutil.copy(tree / path.lstrip("/"), initrd / "modules")
    (initrd / "modules/order").write_text("".join(f"{Path(path).name}\n" for path in order))
    (initrd / "init").write_text(INIT)
    (initrd / "init").chmod(0o755)
    names = "\n".join(str(path.relative_to(initrd)) for path in sorted(initrd.rglob("*"))) + "\n"
    archive = work / "initrd.img"
    run(["sh", "-c", f"cd {initrd} && cpio -o -H newc --quiet > {archive}"], data=names)
    shutil.rmtree(initrd)
