# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Errors of the Netmaker modules: each has a code that playbooks can tell apart, and the fix for the operator."""

from __future__ import annotations

from .._errors import RefusedError, SocketNetworkError

CODES = frozenset(
    {
        "unreachable",
        "tls_failed",
        "auth_failed",
        "mfa_required",
        "rate_limited",
        "unsupported_version",
        "host_not_found",
        "host_ambiguous",
        "pending_approval",
        "node_timeout",
        "immutable_change",
        "address_in_use",
        "out_of_range",
        "cidr_overlap",
        "key_name_taken",
        "ce_limit",
        "route_missing",
        "invalid_value",
        "not_found",
        "has_members",
        "not_kept",
        "server_error",
    }
)


class NetmakerError(SocketNetworkError):
    """The server cannot be used, or did not do what it was asked.

    ``code`` is one of CODES. ``uncertain`` is True when a write may have been carried out although it failed,
    ``again`` when it may help to read again.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        fix: str | None = None,
        status: int | None = None,
        uncertain: bool = False,
        again: bool = False,
    ) -> None:
        super().__init__(message, fix=fix)
        self.code = code
        self.status = status
        self.uncertain = uncertain
        self.again = again

    def result(self) -> dict[str, object]:
        found: dict[str, object] = {"error_code": self.code}
        return found if self.status is None else {**found, "status": self.status}


class NetmakerRefusedError(RefusedError):
    """What is asked for is unsafe or wrong; nothing has been changed. ``code`` is one of CODES."""

    def __init__(self, code: str, message: str, *, fix: str) -> None:
        super().__init__(message, fix=fix)
        self.code = code

    def result(self) -> dict[str, object]:
        return {"error_code": self.code}
