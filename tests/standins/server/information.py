# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the server says about itself, and its settings."""

from __future__ import annotations

from aiohttp import web

from . import answers, broker
from .answers import Problem
from .call import Call, Route
from .pull import server_config
from .settings import VERSION
from .state import NEVER, State

FLAGS = (
    *("enable_egress_ha", "enable_network_activity", "enable_oauth", "enable_idp_integration"),
    *("allow_multi_server_license", "enable_gws_ha", "enable_device_approval", "enable_flow_logs"),
    *("enable_posture_checks", "enable_overlapping_egress_ranges", "enable_jit"),
)
SHORTEST_LIFE, LONGEST_LIFE = 5, 525600
SHORTEST_DETECTION = 15


class Information:
    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/api/server/health", lambda _call: answers.text("up (stand-in)"), "open"),
            Route("GET", "/api/server/status", self._status, "open"),
            Route("GET", "/api/server/feature_flags", self._flags, "open"),
            Route("GET", "/api/server/getserverinfo", lambda _call: answers.bare(server_config(self._state))),
            Route("GET", "/api/server/getconfig", lambda _call: answers.bare(server_config(self._state))),
            Route("GET", "/api/server/settings", self._settings),
            Route("PUT", "/api/server/settings", self._change),
        ]

    def _status(self, _call: Call) -> web.Response:
        """``stand_in`` is not among what the real server says."""
        connected = self._state.settings.messages and broker.accepts(self._state.settings)
        return answers.bare(
            {
                "db_connected": True,
                "broker_connected": connected,
                "is_broker_conn_open": connected,
                "license_error": "",
                "is_pro": False,
                "deployment_mode": "self-hosted",
                "trial_end_date": NEVER,
                "is_on_trial_license": False,
                "version": self._state.settings.version,
                "stand_in": f"This is a stand-in for Netmaker {VERSION}, for tests only.",
            }
        )

    def _flags(self, _call: Call) -> web.Response:
        return answers.wrapped(dict.fromkeys(FLAGS, False), "")

    def _settings(self, _call: Call) -> web.Response:
        return answers.wrapped(self._state.config, "server settings")

    def _change(self, call: Call) -> web.Response:
        """What the body leaves out is reset."""
        body = call.document()
        config = {name: body.get(name, _nothing(value)) for name, value in self._state.config.items()}
        for name in ("jwt_validity_duration", "jwt_validity_duration_clients"):
            if not SHORTEST_LIFE <= config[name] <= LONGEST_LIFE:
                raise Problem(400, f"invalid settings: {name}")
        if config["ip_detection_interval"] < SHORTEST_DETECTION:
            raise Problem(400, "invalid settings: ip_detection_interval")
        self._state.config = self._state.store.put("server", "settings", config)
        return answers.wrapped(config, "server settings updated")


def _nothing(value: object) -> object:
    return None if value is None else type(value)()
