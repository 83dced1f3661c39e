# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Understands what the role asks netclient for: daemon, register, leave, version."""

from __future__ import annotations

import argparse
import os
import sys
from typing import NoReturn

from .commands import leave, register, version
from .daemon import daemon


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"Error: {message}", file=sys.stderr)
        raise SystemExit(1)


def main() -> int:
    parser = Parser(prog="netclient", description="stand-in for netclient, for tests only")
    commands = parser.add_subparsers(required=True, parser_class=Parser)
    for name, command in (("daemon", daemon), ("version", version)):
        commands.add_parser(name).set_defaults(command=command)
    leaving = commands.add_parser("leave")
    leaving.add_argument("network")
    leaving.set_defaults(command=leave)
    for name in ("register", "join"):
        words = commands.add_parser(name)
        words.add_argument("-t", "--token", default="")
        words.add_argument("-p", "--port", type=int, default=0)
        words.add_argument("-m", "--mtu", type=int, default=0)
        words.add_argument("-o", "--name", default="")
        words.add_argument("-e", "--endpoint-ip", default="")
        words.add_argument("-j", "--static-port", action="store_true")
        words.add_argument("-i", "--static-endpoint", action="store_true")
        words.set_defaults(command=register)
    chosen = parser.parse_args()
    if os.geteuid() != 0:
        print("This program must be run with elevated privileges (sudo).")
        return 1
    return int(chosen.command(chosen))
