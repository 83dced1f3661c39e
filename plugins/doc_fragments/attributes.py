# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all modules of this collection say about themselves."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Tells in check mode what would change, also where packages are still missing, and changes nothing.
  diff_mode:
    description: Shows what is found on the host beside what is wanted, one setting a line and with secrets masked.
  idempotent:
    description: A second run with the same parameters, on a host that nobody else has changed, reports no change.
  platform:
    description: Operating system that the module supports.
    support: full
    platforms: debian
"""

    ACTIONGROUP = r"""
options: {}
attributes:
  action_group:
    description: Takes defaults from C(group/op_dbus.socket_network.socket_network) in C(module_defaults).
    support: full
    membership:
      - op_dbus.socket_network.socket_network
"""
