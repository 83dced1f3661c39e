# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What the server's answers mean: envelopes opened, refusals turned into typed errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from .errors import NetmakerError

MASK = "********"
GATEWAY_STUMBLED = frozenset({502, 503, 504})
_PHRASES = (
    ("key names must be unique", "key_name_taken", "take another name, or remove the key that has it."),
    ("only set one routing node on ce", "ce_limit", "give the range to one host; several need Netmaker Pro."),
    ("cidr already in use", "cidr_overlap", "take a range that no other network of the server overlaps."),
    ("already allocated", "address_in_use", "take another address, or remove the node that holds it."),
    ("out of network range", "out_of_range", "take an address within the network's range."),
)
"""Words of the server (in lower case) -> error code, and what to do."""
_CREDENTIALS = (
    "check the credential. Networks, keys, hosts, nodes and egress take master_key or a user's api_token; a user's "
    "token ends after the server's jwt_validity_duration."
)


def envelope(body: bytes, what: str) -> Any:
    """The object that ``body`` holds; None for an empty body. The content type is not to be relied on."""
    if not body.strip():
        return None
    try:
        found = json.loads(body)
    except ValueError:
        raise NetmakerError(
            "server_error",
            f"{what}: the answer is not JSON.",
            fix="check that api_url is the API of Netmaker, not its dashboard.",
            uncertain=True,
            status=200,
        ) from None
    if isinstance(found, dict) and {"Code", "Message", "Response"} <= set(found):
        return found["Response"]
    return found


def words_of(body: bytes) -> tuple[str, bool]:
    """What the server says in an error, and whether Netmaker itself said it (a proxy in front does not use JSON)."""
    try:
        found = json.loads(body)
        return str(found["Message"]), True
    except (ValueError, KeyError, TypeError):
        text = body.decode("utf-8", "replace").strip()
        return (text.splitlines()[0][:200] if text else "(no message)"), False


def error_of(status: int, body: bytes, what: str, clean: Callable[[str], str]) -> NetmakerError:
    """The error for an answer with ``status``."""
    words, own = words_of(body)
    words = clean(words)

    def fail(code: str, fix: str) -> NetmakerError:
        said = f"{what}: {status}: {words.rstrip('.')}."
        again = status in GATEWAY_STUMBLED
        return NetmakerError(code, said, fix=fix, status=status, uncertain=status >= 500, again=again)

    return fail(*_meaning(status, words, own))


def _meaning(status: int, words: str, own: bool) -> tuple[str, str]:
    """Error code and fix. ``own`` is False for an answer that Netmaker did not write."""
    lower = words.lower()
    known = [(code, fix) for phrase, code, fix in _PHRASES if phrase in lower]
    if 300 <= status < 400:
        known = [("unreachable", "give the address that the redirect leads to in api_url; none is followed.")]
    elif status in {401, 403}:
        known = [("auth_failed", _CREDENTIALS)]
    elif status == 429:
        known = [("rate_limited", "wait a minute, and use master_key or api_token, which need no login.")]
    elif status == 404 and not own:
        known = [("route_missing", "use Netmaker 0.99.0 or newer, and an api_url that leads to its API.")]
    elif status == 404:
        known += [("not_found", "create it first.")]
    return next(iter(known), ("server_error", "read the log of the server (`journalctl -u netmaker`)."))
