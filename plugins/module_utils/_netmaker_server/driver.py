# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""Plan the server as a whole: what is there, what is missing, and in which order it comes to be."""

from __future__ import annotations

import pwd
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from .._errors import SocketNetworkError
from .._files import FileSpec, found, plan_files, shown, write_atomic
from .._netmaker.client import Client
from .._netmaker.options import Connection
from .._plan import Plan, Step, combine, result_of
from .._runner import Runner
from . import first_start, layout, restore, scripts, texts, units
from .absent import plan_absent
from .credentials import password_file
from .found import check_tools, filter_stands, old_programs, unused_units, version_on_disk, wanted_of
from .layout import Wanted
from .machine import Machine, read_units
from .versions import check_program, check_step

_PAUSE = 0.2
"""Seconds between two looks at a server that starts."""
_UNIT_FILES = {name: f"{layout.UNITS}/{name}" for name in layout.RUNNING}


class Present:
    """One run that makes the server. ``backup`` is the path of a backup that is to come back."""

    def __init__(self, runner: Runner, client: Client, wanted: Wanted, backup: str | None, timeout: int) -> None:
        self.runner, self.client, self.wanted, self.backup = runner, client, wanted, backup
        self.timeout = timeout
        self.machine = Machine(runner, read_units(runner, (*layout.RUNNING, *layout.DEBIAN)))
        have = found(layout.PASSWORDS)
        passwords = password_file(have.content if have else None, layout.BROKER_USER, wanted.broker_password)
        self.front = FileSpec(layout.CADDYFILE, texts.caddyfile(wanted))
        specs = [*texts.configuration(wanted, passwords), *units.unit_files(wanted), *scripts.script_files(wanted)]
        self.specs = specs
        self.dirty = {spec.path for spec in (*specs, self.front) if found(spec.path, secret=spec.secret) != spec}
        self.status = first_start.status(client) if self.machine.units[layout.SERVER].active else None
        self.closed = self._closed()

    def _closed(self) -> bool:
        """Whether the front must stay closed for now: as long as nobody is known to be superadmin."""
        if self.backup or not Path(layout.DATABASE).exists():
            return True
        return self.status is not None and not first_start.has_superadmin(self.client)

    def plan(self) -> Plan:
        self._check()
        files = plan_files(self.specs)
        steps: list[Step] = []
        steps += self._backup_first()
        steps += [*files.steps, *self._user(), *self._unused(), *self._stop_for_restore(), *self._certificate()]
        steps += [*self._restore(), *self._reload(), *self._firewall(), *self._broker()]
        front = self._front_closed() if self.closed else Plan()
        content = self._content()
        steps += [*front.steps, *self._server(), *content.steps]
        opened = self._front_opened() if self.closed else self._front()
        steps += [*opened.steps, *self._timers(), *self._old_programs()]
        text = combine([files, content, opened])
        return Plan(tuple(steps), text.before, text.after)

    # ------------------------------------------------------------ before anything changes

    def _check(self) -> None:
        installed = str(self.status["version"]) if self.status else version_on_disk()
        if self.backup:
            restore.check_backup(self.backup, self.wanted)
        elif installed and Path(layout.DATABASE).exists():
            check_step(installed, self.wanted.version)
        first_start.wanted_settings(self.wanted)
        server = self.machine.units[layout.SERVER]
        if self.status and not self._stale(layout.SERVER, *self._read_by_server()) and server.active:
            check_program(str(self.status["version"]), self.wanted.version, self.wanted.program)

    def _backup_first(self) -> list[Step]:
        before = version_on_disk()
        if before in (None, self.wanted.version) or not Path(layout.BACKUP_SCRIPT).exists():
            return []
        return [Step(f"back up version {before}", partial(self._run, "Backing up", layout.BACKUP_SCRIPT))]

    # ------------------------------------------------------------ parts

    def _user(self) -> list[Step]:
        try:
            pwd.getpwnam(layout.USER)
        except KeyError:
            make = ["systemd-sysusers", layout.SYSUSERS]
            return [Step(f"make user {layout.USER}", partial(self._run, "Making the user", *make))]
        return []

    def _unused(self) -> list[Step]:
        names = [name for name in layout.DEBIAN if self.machine.units[name].active or self.machine.units[name].enabled]
        return self.machine.end(unused_units(self.runner, names) if names else ())

    def _stop_for_restore(self) -> list[Step]:
        running = [n for n in (layout.FRONT, layout.SERVER, layout.BROKER) if self.machine.units[n].active]
        if not self.backup or not running:
            return []
        return [Step(f"stop {', '.join(running)}", lambda: self.machine.systemctl("stop", *running))]

    def _certificate(self) -> list[Step]:
        script = scripts.certificate_script(self.wanted)
        argv = ["sh", "-s", "--", "--check"]
        due = self.runner.run(argv, stdin=script, ok=(0, scripts.DUE), what="Looking at the certificate").rc
        if not due or self.backup:
            return []
        return [Step("renew the certificate", partial(self._run, "Making the certificate", layout.CERTIFICATE_SCRIPT))]

    def _restore(self) -> list[Step]:
        if not self.backup:
            return []

        def bring_back(path: str) -> None:
            restore.restore(path)
            self._run("Making the certificate", layout.CERTIFICATE_SCRIPT)

        return [Step(f"restore {self.backup}", partial(bring_back, self.backup))]

    def _reload(self) -> list[Step]:
        ours = any(path.startswith(layout.UNITS) for path in self.dirty)
        if ours or any(unit.reload for unit in self.machine.units.values()):
            return [Step("reload systemd", lambda: self.machine.systemctl("daemon-reload"))]
        return []

    def _firewall(self) -> list[Step]:
        return self.machine.run(
            layout.FIREWALL, again=layout.RULESET in self.dirty or not filter_stands(self.runner), verb="reload"
        )

    def _broker(self) -> list[Step]:
        read = (layout.BROKER_CONFIG, layout.PASSWORDS, layout.SERVER_ACL, layout.CLIENT_ACL)
        return self._started(layout.BROKER, self._stale(layout.BROKER, *read))

    def _read_by_server(self) -> tuple[str, ...]:
        return (layout.ENVIRONMENT, self.wanted.program)

    def _server(self) -> list[Step]:
        steps = self._started(layout.SERVER, self._stale(layout.SERVER, *self._read_by_server()))
        if steps or self.status is None:
            steps.append(Step("wait for the server", self._wait))
        return steps

    def _content(self) -> Plan:
        if self.status is None or self.backup:
            return first_start.plan_unseen(self.client, self.wanted, self._restart)
        return first_start.plan(self.client, self.wanted, self._restart)

    def _front(self) -> Plan:
        file = plan_files([self.front])
        steps = self._started(layout.FRONT, self._stale(layout.FRONT, layout.CADDYFILE))
        return Plan((*file.steps, *steps), file.before, file.after)

    def _front_closed(self) -> Plan:
        def close() -> None:
            write_atomic(layout.CADDYFILE, texts.caddyfile(self.wanted, public=False))
            self.machine.restart(layout.FRONT)

        return Plan((Step(f"start {layout.FRONT}, closed to the outside", close),))

    def _front_opened(self) -> Plan:
        def open_front() -> None:
            write_atomic(layout.CADDYFILE, self.front.content)
            self.machine.systemctl("enable", "--quiet", layout.FRONT)
            self.machine.restart(layout.FRONT)

        step = Step(f"open {layout.FRONT}", open_front)
        return Plan((step,), shown(found(layout.CADDYFILE)), shown(self.front))

    def _timers(self) -> list[Step]:
        steps = []
        for name in (layout.CERTIFICATE_TIMER, layout.BACKUP_TIMER):
            steps += self.machine.run(name, again=_UNIT_FILES[name] in self.dirty)
        return steps

    def _old_programs(self) -> list[Step]:
        return [Step(f"remove {path}", partial(Path(path).unlink)) for path in old_programs(self.wanted)]

    # ------------------------------------------------------------ helpers

    def _stale(self, unit: str, *read: str) -> bool:
        """Whether ``unit`` runs with another text than that of the files ``read`` or of its unit."""
        paths = (_UNIT_FILES[unit], *read)
        return bool(self.dirty & set(paths)) or self.machine.units[unit].older_than(paths)

    def _started(self, unit: str, stale: bool) -> list[Step]:
        return self.machine.run(unit, again=stale or bool(self.backup))

    def _run(self, what: str, *argv: str) -> None:
        self.runner.run(argv, what=what)

    def _restart(self) -> None:
        self.machine.restart(layout.SERVER)
        self._wait()

    def _wait(self) -> None:
        """Until the server answers, has its broker, and is the version that it should be."""
        end = time.monotonic() + self.timeout
        while True:
            answer = first_start.status(self.client)
            if answer and answer.get("broker_connected") and answer.get("is_broker_conn_open", True):
                break
            if time.monotonic() > end:
                argv = ["journalctl", "--unit", layout.SERVER, "--lines=12", "--output=cat", "--quiet"]
                said = self.client.clean(self.runner.run(argv, ok=(0, 1)).stdout.strip())
                state = "has no connection to its broker" if answer else "does not answer"
                raise SocketNetworkError(
                    f"{layout.SERVER} {state} {self.timeout} seconds after its start. It said: {said}",
                    fix=f"see `systemctl status 'netmaker*'` and `journalctl -u {layout.BROKER}`.",
                )
            time.sleep(_PAUSE)
        check_program(str(answer["version"]), self.wanted.version, self.wanted.program)


def run_server(runner: Runner, opener: Callable[..., Any], params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """The module: ``opener`` is ``ansible.module_utils.urls.Request``."""
    if params["state"] == "absent":
        return result_of(plan_absent(runner, params["purge"]), "server", check_mode)
    wanted = wanted_of(params)
    if not check_mode:
        check_tools(wanted)
    client = Client(opener, Connection(layout.API, credential=wanted.master_key, timeout=20))
    client.hide(wanted.master_key, wanted.admin_password, wanted.broker_password)
    present = Present(runner, client, wanted, params["restore"], params["start_timeout"])
    result = result_of(present.plan(), "server", check_mode)
    ca_path = layout.CA_CERTIFICATE if wanted.own_ca else None
    return {**result, "answered": present.status is not None, "ca_path": ca_path}
