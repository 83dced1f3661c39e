# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build and cache the lab's two systems: the hosts' root file system and the containers' image."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lab import debian
from lab.base import CACHE, LabError, run

HERE = Path(__file__).resolve().parent
BUILD_TIMEOUT = 900.0

HOST_PACKAGES = [
    "systemd",
    "systemd-sysv",
    "dbus",
    "kmod",
    "openssh-server",
    "python3",
    "python3-apt",
    "iproute2",
    "iputils-ping",
    "iputils-arping",
    "nftables",
    "openvswitch-switch",
    "wireguard-tools",
    "wireguard-go",
    "lxc",
    "lxcfs",
    "uidmap",
    "zstd",
    "ethtool",
    "tcpdump",
    "curl",
    "conntrack",
    "procps",
    "ca-certificates",
    "netcat-openbsd",
    "openssl",
    "mosquitto",
    "mosquitto-clients",
    "caddy",
    "sqlite3",
    "python3-aiohttp",
]
"""What the roles ask for, so that their apt tasks only check, and what the proofs look with."""

GUEST_PACKAGES = [
    "systemd",
    "systemd-sysv",
    "dbus",
    "python3-minimal",
    "libpython3-stdlib",
    "iproute2",
    "iputils-ping",
]

MASKED_UNITS = [
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "dpkg-db-backup.timer",
    "systemd-networkd-wait-online.service",
    "lxc-monitord.service",
    "systemd-update-utmp.service",
    "systemd-update-utmp-runlevel.service",
    "networking.service",
    "getty@tty1.service",
    "console-getty.service",
]
"""Nothing on a lab host may wait for a network or work on a timer."""

GUEST_MASKED_UNITS = [
    "systemd-networkd.service",
    "systemd-resolved.service",
    "systemd-timesyncd.service",
    "systemd-logind.service",
    "systemd-user-sessions.service",
    "systemd-journal-flush.service",
    "getty.target",
    "dev-hugepages.mount",
    "dev-mqueue.mount",
]
"""LXC gives a container its network; nobody logs in to it; the rest fails or does nothing in a container."""

DISABLED_UNITS = ["mosquitto.service", "caddy.service"]
"""Debian enables them when they are installed; a host that was not provisioned runs no server."""

OFFLOADS = """\
[Service]
ExecStartPre=/usr/bin/ovs-vsctl --no-wait set Open_vSwitch . other_config:userspace-tso-enable=true
"""
"""Without it the userspace datapath forwards packets whose checksum the sender left to the hardware: TCP stalls."""


@dataclass(frozen=True, slots=True)
class Systems:
    """Paths of the built systems; ``sha256`` and ``template`` describe the guest image."""

    rootfs: Path
    image: Path
    sha256: str
    template: str


def digest(kind: str, packages: list[str], codename: str, *more: str) -> str:
    """Changes with whatever decides the content of a system."""
    recipe = [kind, codename, debian.architecture(), *packages, *debian.debian_sources(codename), *more]
    recipe += [path.read_text() for path in (Path(__file__), *sorted((HERE / "guest").glob("lab-*")))]
    return hashlib.sha256("\n".join(recipe).encode()).hexdigest()[:16]


def mmdebstrap(target: Path, packages: list[str], *options: str, codename: str) -> None:
    """Install ``packages`` of a Debian release into ``target``."""
    log = target.with_suffix(".log")
    argv = ["mmdebstrap", "--mode=root", f"--include={','.join(packages)}", *options, *debian.proxy_options()]
    argv += ['--aptopt=Acquire::Languages "none"', '--aptopt=APT::Install-Recommends "false"']
    argv += ["--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*"]
    argv += ["--dpkgopt=path-exclude=/usr/share/locale/*", "--dpkgopt=force-unsafe-io"]
    sources = "\n".join(debian.debian_sources(codename)) + "\n"
    done = run([*argv, codename, str(target), "-"], data=sources, check=False, timeout=BUILD_TIMEOUT)
    log.write_text(done.stdout + done.stderr)
    if done.returncode != 0:
        raise LabError(f"mmdebstrap failed with {done.returncode}; see {log}: {done.stderr.strip()[-1500:]}")


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def tune_host(root: Path) -> None:
    """Fast boot, no network at boot, no package work later; all else stays as Debian ships it."""
    for unit in MASKED_UNITS:
        (root / "etc/systemd/system" / unit).symlink_to("/dev/null")
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    write(
        root,
        {
            "etc/fstab": "",
            "etc/machine-id": "",
            "etc/default/lxc-net": 'USE_LXC_BRIDGE="false"\n',
            "etc/ssh/sshd_config.d/lab.conf": "UseDNS no\nPermitRootLogin prohibit-password\nUsePAM no\n"
            "GSSAPIAuthentication no\nMaxStartups 100:30:200\nHostKey /etc/ssh/ssh_host_ed25519_key\n",
            "etc/systemd/system/ovs-vswitchd.service.d/lab.conf": OFFLOADS,
            "etc/systemd/journald.conf.d/lab.conf": "[Journal]\nStorage=persistent\nSystemMaxUse=64M\n",
            "etc/systemd/system.conf.d/lab.conf": "[Manager]\nDefaultTimeoutStopSec=20s\n",
        },
    )
    run(["chroot", str(root), "systemctl", "enable", "systemd-networkd.service", "ssh.service"])
    run(["chroot", str(root), "systemctl", "disable", *DISABLED_UNITS])
    run(["chroot", str(root), "apt-cache", "gencaches"])


def _tune_guest(root: Path) -> None:
    service = (HERE / "guest/lab-service.py").read_text()
    unit = (HERE / "guest/lab-service.service").read_text()
    write(
        root,
        {
            "etc/machine-id": "",
            "usr/local/lib/lab-service.py": service,
            "etc/systemd/system/lab-service.service": unit,
        },
    )
    for name in [*MASKED_UNITS, *GUEST_MASKED_UNITS]:
        link = root / "etc/systemd/system" / name
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")
    wants = root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    (wants / "lab-service.service").symlink_to("/etc/systemd/system/lab-service.service")
    mark_up_to_date(root)


def mark_up_to_date(root: Path) -> None:
    """Spare the first boot what systemd does after each change of /usr: the caches of a new system are fresh."""
    for directory in ("etc", "var"):
        (root / directory / ".updated").touch()


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def fresh(target: Path) -> Path:
    """A place beside ``target`` to build in; what an interrupted build left there is removed."""
    part = target.with_name(target.name + ".part")
    for line in reversed(Path("/proc/mounts").read_text().splitlines()):
        if Path(line.split()[1]).is_relative_to(part):
            run(["umount", "--lazy", line.split()[1]])
    if part.is_dir():
        shutil.rmtree(part)
    return part


def build_rootfs(say: Callable[[str], None]) -> Path:
    """The hosts' root file system, a directory used as the lower layer of overlays."""
    codename, _number = debian.release()
    target = CACHE / f"host-{digest('host', HOST_PACKAGES, codename)}"
    with locked("host"):
        if not target.is_dir():
            begin, part = time.monotonic(), fresh(target)
            say(f"host system: installing {len(HOST_PACKAGES)} packages and what they need")
            mmdebstrap(part, HOST_PACKAGES, "--variant=apt", "--skip=cleanup/apt/lists", codename=codename)
            tune_host(part)
            part.rename(target)
            say(f"host system: built in {time.monotonic() - begin:.0f} s")
            forget_others("host-*", target)
    return target


def build_image(say: Callable[[str], None], codename: str) -> Path:
    """The containers' image, of a Debian release: a zstd tarball, with its digest beside it."""
    target = CACHE / f"guest-{digest('guest', GUEST_PACKAGES, codename)}.tar.zst"
    with locked("guest"):
        if not target.is_file():
            begin, tree = time.monotonic(), fresh(target.with_suffix(""))
            say(f"guest image: installing {len(GUEST_PACKAGES)} packages and what they need")
            mmdebstrap(tree, GUEST_PACKAGES, "--variant=minbase", codename=codename)
            _tune_guest(tree)
            part = target.with_name(target.name + ".part")
            pack = ["tar", "--numeric-owner", "--xattrs", "-I", "zstd -3 -T0", "-C", str(tree), "-cf", str(part), "."]
            run(pack, timeout=BUILD_TIMEOUT)
            shutil.rmtree(tree)
            target.with_suffix(".sha256").write_text(hashlib.sha256(part.read_bytes()).hexdigest() + "\n")
            part.rename(target)
            say(f"guest image: built in {time.monotonic() - begin:.0f} s")
            forget_others("guest-*.zst", target)
    return target


def forget_others(pattern: str, current: Path) -> None:
    """Keep the two youngest builds: a second checkout may use the other one."""
    others = (p for p in CACHE.glob(pattern) if p != current and p.suffix != ".part")
    older = sorted(others, key=lambda p: p.stat().st_mtime)[:-1]
    for path in older:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def build(say: Callable[[str], None] = lambda _text: None, guests: str = "") -> Systems:
    """Both systems, built at the same time when the cache lacks them. ``guests``: another release for containers."""
    own, number = debian.release()
    with ThreadPoolExecutor(2) as pool:
        host, guest = pool.submit(build_rootfs, say), pool.submit(build_image, say, guests or own)
        rootfs, image = host.result(), guest.result()
    digest = image.with_suffix(".sha256").read_text().strip()
    return Systems(rootfs, image, digest, f"debian-{debian.NUMBERS.get(guests, number)}")


if __name__ == "__main__":
    print(build(lambda text: print(text, file=sys.stderr, flush=True)))
