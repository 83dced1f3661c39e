# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for Proxmox' `pct` and for the script that plugs a container's device into a bridge.

It does what pve-container 6.1 does by its source; what it cannot show is in docs/proxmox.md.
"""
