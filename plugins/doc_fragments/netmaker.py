# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the Netmaker modules reach the server."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  api_url:
    description:
      - Address of the server's API, for example V(https://api.nm.example.org) or, on the server itself,
        V(http://127.0.0.1:8081).
      - Plain HTTP is refused beyond the loopback, since the credential would be readable on the way.
      - Redirects are not followed, and no proxy is used for the loopback.
      - If not set, the environment variable E(NETMAKER_API_URL) is used.
    type: str
    required: true
  master_key:
    description:
      - The server's master key. It needs no login and works for every call of these modules.
      - If not set, the environment variable E(NETMAKER_MASTER_KEY) is used.
    type: str
  api_token:
    description:
      - Token of a user, which ends when the server says (12 hours unless changed), or an access token, which ends when
        it was made to. M(op_dbus.socket_network.netmaker_info) logs in and returns one.
      - If not set, the environment variable E(NETMAKER_API_TOKEN) is used.
    type: str
  tenant_id:
    description: Tenant, sent in the header C(X-Tenant-ID) to servers from 1.7 on that have several.
    type: str
  validate_certs:
    description: Whether the server's certificate must be valid. Turn off only to find out what is wrong with it.
    type: bool
    default: true
  ca_path:
    description: File with the certificate of the authority that signed the server's, where a private one did.
    type: path
  timeout:
    description: Seconds to wait for each answer. Servers without a local C(PUBLIC_IP_SERVICE) are slow with keys.
    type: int
    default: 60
attributes:
  action_group:
    membership:
      - op_dbus.socket_network.netmaker
      - op_dbus.socket_network.socket_network
    description:
      - Takes defaults from C(group/op_dbus.socket_network.netmaker), the modules that talk to the server's API, and
        C(group/op_dbus.socket_network.socket_network) in C(module_defaults).
requirements:
  - Netmaker 0.99.0 or newer; tested with 1.5.1
notes:
  - Delegate to the server or to the control node, so that the credential does not reach the managed hosts.
  - Reads are tried three times when the connection breaks or a gateway in front stumbles (502, 503, 504). Writes are
    sent once. When the answer to a write is lost the server is looked at again, and the module goes on if the change
    is there.
  - A change counts as done when the server has told it back twice in a row.
  - A failing module returns RV(ignore:error_code), one of V(unreachable), V(tls_failed), V(auth_failed),
    V(mfa_required), V(rate_limited), V(unsupported_version), V(route_missing), V(host_not_found), V(host_ambiguous),
    V(pending_approval), V(node_timeout), V(immutable_change), V(address_in_use), V(out_of_range), V(cidr_overlap),
    V(key_name_taken), V(ce_limit), V(has_members), V(invalid_value), V(not_found), V(not_kept) and V(server_error),
    and RV(ignore:status) when the server answered with one.
"""
