# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A secret reaches the program as its argument and stands in no list of processes."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._errors import SocketNetworkError
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netclient import hidden
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netclient.hidden import MARK, run_hidden

SECRET = "eyJzZXJ2ZXIi+/=="


def shell(script: str, *words: str) -> list[str]:
    return ["/bin/sh", "-c", script, "program", *words]


def test_program_gets_the_secret_and_its_exit_status_comes_back() -> None:
    script = f'[ "$2" = "{SECRET}" ] && [ "$1" = -t ] && [ "$3" = last ] && exit 7; exit 1'
    assert run_hidden(shell(script, "-t", MARK, "last"), SECRET, 10.0) == (7, "")


def test_list_of_processes_shows_the_mark() -> None:
    count = f'tr "\\0" "\\n" < /proc/$$/cmdline | grep -c -F -e "$2"; test ${{#2}} -eq {len(SECRET)} && echo got it'
    status, output = run_hidden(shell(count, "-t", MARK), SECRET, 10.0)
    assert (status, output) == (0, "0\ngot it\n")


def test_output_comes_back_without_the_secret() -> None:
    _status, output = run_hidden(shell('echo "post /register/$1 failed"; echo "$1" >&2', MARK), SECRET, 10.0)
    assert output == f"post /register/{MARK} failed\n{MARK}\n"


def test_script_of_an_interpreter_gets_it_too(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text(f'#!/bin/sh\n[ "$1" = "{SECRET}" ] && exit 5\n')
    program.chmod(0o755)
    assert run_hidden([str(program), MARK], SECRET, 10.0)[0] == 5


def test_program_that_does_not_end_is_ended() -> None:
    with pytest.raises(SocketNetworkError, match=r"has not ended within 0\.3 s"):
        run_hidden(shell("sleep 60", MARK), SECRET, 0.3)


def test_program_that_is_not_there_is_an_error() -> None:
    with pytest.raises(SocketNetworkError, match="cannot be started under trace"):
        run_hidden(["/nowhere/netclient", MARK], SECRET, 5.0)


def test_without_a_mark_nothing_is_run() -> None:
    with pytest.raises(SocketNetworkError, match="not where the kernel puts them"):
        run_hidden(["/bin/true"], SECRET, 5.0)
    assert hidden.MARK not in SECRET
