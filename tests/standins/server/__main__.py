# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run as Netmaker's server is: settled by its environment, data in ./data, everything else refused."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import ssl
import sys
from pathlib import Path

from aiohttp import web

from . import broker
from .app import Server
from .settings import VERSION, Settings
from .state import State
from .store import Store

GIVEN_UP = 2
BANNER = f"THIS IS A STAND-IN for Netmaker {VERSION}, for tests only"


async def serve(settings: Settings) -> int:
    """Returns the exit status."""
    store = Store(Path("data"))
    runner = web.AppRunner(Server(State(settings, store)).application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", settings.api_port, ssl_context=_tls(settings)).start()
    logging.info("%s: API on port %d", BANNER, settings.api_port)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if settings.messages and not await _broker_ready(settings, stop):
        logging.error("stand-in: could not connect to broker %s, exiting", settings.server_broker)
        return GIVEN_UP
    await stop.wait()
    await runner.cleanup()
    store.close()
    return 0


async def _broker_ready(settings: Settings, stop: asyncio.Event) -> bool:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + settings.patience
    while not stop.is_set() and not await loop.run_in_executor(None, broker.accepts, settings):
        if loop.time() > deadline:
            return False
        await asyncio.sleep(1)
    return True


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if not settings.certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(settings.certificate, settings.key)
    return context


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="[netmaker stand-in] %(asctime)s %(message)s", stream=sys.stdout)
    arguments = sys.argv[1:]
    if arguments and arguments[0] != "-c":
        print(f"{BANNER}\nflag provided but not defined: {arguments[0]}\n  -c string\n", file=sys.stderr)
        return GIVEN_UP
    try:
        settings = Settings.from_environment(os.environ)
    except ValueError as error:
        logging.error("stand-in: %s", error)
        return GIVEN_UP
    return asyncio.run(serve(settings))
