# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Run a program that takes a secret as an argument so that no list of processes ever shows it.

netclient takes its key by -t and by nothing else, and the argument list of a process is readable for everybody, its
environment only for root. The kernel copies both to the new program's stack as text, with a table of pointers to
them. The program is started under trace with the secret in its environment and a mark in its place; before its first
instruction the pointer to the mark is made to point at the secret. What /proc/PID/cmdline shows stays the mark.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import struct
import time
from collections.abc import Mapping, Sequence

from .._errors import SocketNetworkError

MARK = "(hidden)"
_VARIABLE = "OP_DBUS_HIDDEN="
_TRACEME, _DETACH = 0, 17
_WORD = struct.Struct("@N")


def run_hidden(argv: Sequence[str], secret: str, timeout: float) -> tuple[int, str]:
    """Run ``argv``, in which MARK stands for ``secret``. Returns exit status and output, without the secret."""
    environment = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LC_ALL")}
    environment[_VARIABLE.rstrip("=")] = secret
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    output = os.memfd_create("output")
    try:
        pid = _start(libc, argv, environment, output)
        try:
            _wait_for_exec(pid)
            _point_at_secret(pid)
            libc.ptrace(_DETACH, pid, None, None)
            status = _wait_for_end(pid, timeout)
        except BaseException:
            _end(pid)
            raise
        os.lseek(output, 0, os.SEEK_SET)
        said = os.read(output, 1 << 20).decode(errors="replace")
    finally:
        os.close(output)
    return status, said.replace(secret, MARK)


def _start(libc: ctypes.CDLL, argv: Sequence[str], environment: Mapping[str, str], output: int) -> int:
    """The process id of ``argv``, which stops before its first instruction."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    pid = os.fork()
    if pid == 0:
        try:
            for target, source in ((0, nothing), (1, output), (2, output)):
                os.dup2(source, target)
            libc.ptrace(_TRACEME, 0, None, None)
            os.execve(argv[0], list(argv), dict(environment))
        finally:
            os._exit(127)
    os.close(nothing)
    return pid


def _end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _wait_for_end(pid: int, timeout: float) -> int:
    end = time.monotonic() + timeout
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= end:
            raise SocketNetworkError(
                f"The program has not ended within {timeout:g} s.", fix="see that the server's API answers this host."
            )
        time.sleep(0.05)


def _wait_for_exec(pid: int) -> None:
    _pid, status = os.waitpid(pid, 0)
    if not os.WIFSTOPPED(status) or os.WSTOPSIG(status) != signal.SIGTRAP:
        raise SocketNetworkError(
            "The program cannot be started under trace, which hides the key from the list of processes.",
            fix="allow root to trace its own children on this host (sysctl kernel.yama.ptrace_scope below 3).",
        )


def _point_at_secret(pid: int) -> None:
    """The stack of a program that just started: argc, pointers to arguments, 0, pointers to the environment, 0."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
        start = int(stat.read().rpartition(")")[2].split()[25])  # startstack, the 28th field
    with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:

        def word(index: int) -> int:
            memory.seek(start + index * _WORD.size)
            return int(_WORD.unpack(memory.read(_WORD.size))[0])

        def text(address: int) -> bytes:
            memory.seek(address)
            return memory.read(256).partition(b"\0")[0]

        count = word(0)
        marks = [index for index in range(1, count + 1) if text(word(index)) == MARK.encode()]
        index = count + 2
        while word(index) and not text(word(index)).startswith(_VARIABLE.encode()):
            index += 1
        if len(marks) != 1 or not word(index):
            raise SocketNetworkError("The arguments of the new program are not where the kernel puts them.")
        secret = word(index) + len(_VARIABLE)
        memory.seek(start + marks[0] * _WORD.size)
        memory.write(_WORD.pack(secret))
