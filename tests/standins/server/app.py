# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server as a whole: routes, credentials, errors."""

from __future__ import annotations

from email.utils import formatdate
from http import HTTPStatus

from aiohttp import web

from . import answers
from .access import Gate
from .answers import HangUp, Problem
from .call import Call, Route
from .egress import Egress
from .faults import Faults
from .gateways import Gateways
from .hosts import Hosts
from .information import Information
from .keys import Keys
from .networks import Networks
from .nodes import Nodes
from .policies import Policies
from .registration import Registration
from .state import State
from .users import Users

PARTS = (Information, Users, Networks, Keys, Hosts, Registration, Nodes, Gateways, Egress, Policies)
NAME = "netmaker-stand-in"


class Server:
    def __init__(self, state: State) -> None:
        self._state = state
        self._gate = Gate(state.settings, state.store, state.tokens)
        self._faults = Faults(state)

    def application(self) -> web.Application:
        application = web.Application(middlewares=[self._guard])
        for part in PARTS:
            for route in part(self._state).routes():
                self._add(application.router, route)
        self._faults.add_to(application.router)
        return application

    def _add(self, router: web.UrlDispatcher, route: Route) -> None:
        access = route.access
        if self._state.settings.old and route.since_1_5_1:
            if access != "host":
                return
            access = "user"

        async def handle(request: web.Request) -> web.StreamResponse:
            caller = self._gate.caller(request.headers.get("Authorization", ""), access, dict(request.match_info))
            call = Call(caller, dict(request.match_info), dict(request.query), await request.read())
            return route.handler(call)

        router.add_route(route.method, route.path, handle)

    @web.middleware
    async def _guard(self, request: web.Request, handler: answers.Handler) -> web.StreamResponse:
        try:
            answer = await self._faults.strike(request, handler)
        except Problem as error:
            answer = answers.problem(error)
        except HangUp:
            if request.transport:
                request.transport.close()
            answer = answers.empty()
        except web.HTTPNotFound:
            answer = answers.text("404 page not found\n", HTTPStatus.NOT_FOUND)
        except web.HTTPMethodNotAllowed:
            answer = answers.empty()
            answer.set_status(HTTPStatus.METHOD_NOT_ALLOWED)
        answer.headers["Server"] = NAME
        answer.headers["Date"] = formatdate(self._state.now(), usegmt=True)
        return answer
