# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults that a test asks for, over routes of its own: POST, GET and DELETE /stand-in/faults, PUT /stand-in/clock.

A fault is JSON: ``method`` and ``path`` (regular expressions that must match the whole word), ``times`` (how often it
strikes, default once), ``skip`` (how many matching requests pass first), ``status`` (the answer's), ``text`` (its
body), ``drop`` (close the connection instead of an answer), ``after`` (do the work first: the write is done, its
answer is lost), ``delay`` (seconds before the answer, whatever it is).
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

from aiohttp import web

from . import answers
from .state import State

FAULTS = "/stand-in/faults"
CLOCK = "/stand-in/clock"
DEFAULTS: dict[str, Any] = {
    "method": ".*",
    "path": ".*",
    "times": 1,
    "skip": 0,
    "status": 0,
    "text": "",
    "drop": False,
    "after": False,
    "delay": 0.0,
}


class Faults:
    def __init__(self, state: State) -> None:
        self._state = state
        self._faults: list[dict[str, Any]] = []

    def add_to(self, router: web.UrlDispatcher) -> None:
        router.add_post(FAULTS, self._add)
        router.add_get(FAULTS, self._list)
        router.add_delete(FAULTS, self._clear)
        router.add_put(CLOCK, self._set_clock)

    async def strike(self, request: web.Request, handler: answers.Handler) -> web.StreamResponse:
        """The answer of ``handler``, or what a fault makes of it."""
        fault = self._next(request)
        if fault is None:
            return await handler(request)
        if fault["delay"]:
            await request.read()  # a caller that gives up takes nothing back
            await asyncio.sleep(fault["delay"])
        if fault["after"] or not (fault["status"] or fault["drop"]):
            answer = await handler(request)
            if not (fault["status"] or fault["drop"]):
                return answer
        if fault["drop"]:
            raise answers.HangUp
        if fault["text"]:
            return answers.text(fault["text"], fault["status"])
        return answers.wrapped(None, "fault made by a test", fault["status"])

    def _next(self, request: web.Request) -> dict[str, Any] | None:
        for fault in self._faults:
            if not re.fullmatch(fault["method"], request.method) or not re.fullmatch(fault["path"], request.path):
                continue
            if fault["skip"]:
                fault["skip"] -= 1
            elif fault["times"]:
                fault["times"] -= 1
                return fault
        return None

    async def _add(self, request: web.Request) -> web.Response:
        fault = json.loads(await request.text())
        unknown = set(fault) - set(DEFAULTS)
        if unknown:
            return answers.text(f"unknown: {', '.join(sorted(unknown))}", 400)
        self._faults.append({**DEFAULTS, **fault})
        return answers.empty()

    async def _list(self, _request: web.Request) -> web.Response:
        return answers.bare(self._faults)

    async def _clear(self, _request: web.Request) -> web.Response:
        self._faults.clear()
        return answers.empty()

    async def _set_clock(self, request: web.Request) -> web.Response:
        """{"skew": seconds}."""
        self._state.skew = float(json.loads(await request.text())["skew"])
        return answers.empty()
