#!/usr/bin/env bash
# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# usage: bootstrap.sh lab|machines|dev
# Installs what the lab (the lab with virtual machines, the lab and every check) needs and this machine lacks: Debian packages, and Python packages in
# a virtual environment of their own. Prints that environment's path; tells on standard error what it installs.
set -euo pipefail

CACHE=${SOCKET_NETWORK_CACHE:-/var/cache/socket-network-lab}
PYTHON=/usr/bin/python3
POLICY=/usr/sbin/policy-rc.d
ROOT=$(cd "$(dirname "$0")/.." && pwd)
PACKAGES=(
    ca-certificates conntrack ethtool iproute2 jq mmdebstrap netcat-openbsd nftables openssh-client openvswitch-switch procps python3-venv
    systemd-container tcpdump util-linux wireguard-go wireguard-tools zstd
)
MACHINES=(
    cpio dnsmasq-base libvirt-clients libvirt-daemon-system qemu-system-x86 qemu-utils ruby-libvirt vagrant vagrant-libvirt
)

say() { printf '    %s\n' "$*" >&2; }

missing_packages() {
    local package
    for package in "${PACKAGES[@]}"; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || printf '%s\n' "$package"
    done
}

# The tools are needed, their services are not: a switch or container manager started here could disturb the machine.
install_packages() {
    local log=$CACHE/apt.log
    say "installing Debian packages: $* (log: $log)"
    if [[ ! -e $POLICY ]]; then
        trap 'rm -f "$POLICY"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$POLICY"
        chmod 755 "$POLICY"
    fi
    {
        apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
    } >"$log" 2>&1 </dev/null || { tail -n 20 "$log" >&2; say 'the packages could not be installed'; exit 1; }
}

# The name carries a digest of all that decides the content, so an environment is never changed, only made or left.
environment() {
    local requirements=$ROOT/requirements-$1.txt key venv log
    key=$({ "$PYTHON" --version; printf '%s\n' "$1"; cat "$ROOT"/requirements-*.txt; } | sha256sum | cut -c 1-12)
    venv=$CACHE/venv-$1-$key
    log=$CACHE/pip.log
    if [[ ! -e $venv/.complete ]]; then
        say "installing Python packages of ${requirements##*/} in $venv (log: $log)"
        rm -rf "$venv"
        {
            "$PYTHON" -m venv "$venv" && "$venv/bin/pip" install --quiet --requirement "$requirements"
        } >"$log" 2>&1 </dev/null || { tail -n 20 "$log" >&2; say 'the Python packages could not be installed'; exit 1; }
        touch "$venv/.complete"
    fi
    printf '%s\n' "$venv"
}

case ${1-} in
lab) ;;
machines)
    PACKAGES+=("${MACHINES[@]}")
    # Part of the daemon's own package before Debian 13.
    [[ $(</etc/debian_version) == 12* ]] || PACKAGES+=(libvirt-daemon-driver-interface)
    ;;
dev) PACKAGES+=(git shellcheck) ;;
*)
    echo 'usage: bootstrap.sh lab|machines|dev' >&2
    exit 2
    ;;
esac
[[ $(id -u) == 0 ]] || { echo 'bootstrap.sh: run this as root (sudo): the lab makes containers and network namespaces' >&2; exit 1; }
[[ -e /etc/debian_version ]] || { echo 'bootstrap.sh: the lab needs Debian 12 or later' >&2; exit 1; }
mkdir -p "$CACHE"
exec 9>"$CACHE/bootstrap.lock"
flock 9
mapfile -t missing < <(missing_packages)
((${#missing[@]} == 0)) || install_packages "${missing[@]}"
environment "$1"
