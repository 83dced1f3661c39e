# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Netmaker servers for tests, each alone in a namespace: the stand-in always, the real one when it is at hand."""

from __future__ import annotations

import base64
import itertools
import json
import os
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.base import wait_for
from lab.ledger import Ledger
from lab.netns import Namespace
from tests.integration.netmaker.forwarder import Forwarder
from tests.standins.programs import build_server

STAND_IN = "stand-in"
REAL = "real"
PORT = 8081
MASTER_KEY = "test-master-key-0123456789"
SERVER_NAME = "nm.example.org"
ENVIRONMENT = {
    "MASTER_KEY": MASTER_KEY,
    "SERVER_NAME": SERVER_NAME,
    "SERVER_HTTP_HOST": f"api.{SERVER_NAME}",
    "SERVER_API_CONN_STRING": f"api.{SERVER_NAME}:443",
    "SERVER_HOST": "192.0.2.10",
    "COREDNS_ADDR": "192.0.2.10",
    "API_PORT": str(PORT),
    "BROKER_ENDPOINT": f"mqtts://broker.{SERVER_NAME}:8883",
    "SERVER_BROKER_ENDPOINT": "mqtt://127.0.0.1:1883",
    "MQ_USERNAME": "netmaker",
    "MQ_PASSWORD": "test-broker-password",
    "MESSAGEQUEUE_BACKEND": "off",
    "DATABASE": "sqlite",
    "DISABLE_REMOTE_IP_CHECK": "on",
    "PUBLIC_IP_SERVICE": f"http://127.0.0.1:{PORT}/api/getip",
    "NETCLIENT_AUTO_UPDATE": "disabled",
    "MANAGE_DNS": "false",
    "STUN": "false",
    "ENDPOINT_DETECTION": "false",
    "TELEMETRY": "off",
    "VERBOSITY": "0",
}
_numbers = itertools.count()


def kinds() -> list[str]:
    """Which servers tests run against."""
    return [STAND_IN, *([REAL] if os.environ.get("NETMAKER_BINARY") else [])]


@dataclass(frozen=True, slots=True)
class Answer:
    """``status`` 0: the connection ended without an answer. ``body`` is parsed JSON, or the text where that fails."""

    status: int
    kind: str = ""
    text: str = ""

    @property
    def body(self) -> Any:
        try:
            return json.loads(self.text)
        except ValueError:
            return self.text


@dataclass
class Netmaker:
    """A running server. ``url`` is reachable from this machine; ``trusted`` is its certificate when it speaks TLS."""

    kind: str
    namespace: Namespace
    url: str
    directory: Path
    program: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    trusted: Path | None = None
    _process: subprocess.Popen[bytes] | None = None
    _networks: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def is_stand_in(self) -> bool:
        return self.kind == STAND_IN

    @property
    def log(self) -> Path:
        return self.directory / "log"

    def start(self, *, wait: bool = True) -> Netmaker:
        """Also again, on the data of before; nothing happens when it runs."""
        if self._process is not None:
            return self
        words = [f"{name}={value}" for name, value in {**ENVIRONMENT, **self.environment}.items()]
        argv = ["env", f"--chdir={self.directory}", *words, *self.program]
        self._process = self.namespace.start(*argv, log=self.log)
        if wait:
            what = f"the {self.kind} Netmaker (log: {self.log})"
            wait_for(what, lambda: self.call("GET", "/api/server/status").status == 200)
        return self

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(10)
            self._process = None

    def ended(self, timeout: float) -> int:
        """Wait for it to end by itself. Returns its exit status."""
        assert self._process is not None
        return self._process.wait(timeout)

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = MASTER_KEY,
        raw: str | None = None,
        timeout: float = 60.0,
    ) -> Answer:
        """One request. ``raw`` is a body that need not be JSON; ``token`` None sends no credential."""
        text = raw if raw is not None else None if body is None else json.dumps(body)
        request = urllib.request.Request(self.url + path, None if text is None else text.encode(), method=method)
        if token is not None:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=timeout, context=self._trust()) as response:
                return Answer(response.status, response.headers.get("Content-Type", ""), response.read().decode())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers.get("Content-Type", ""), error.read().decode())
        except OSError:
            return Answer(0)

    def _trust(self) -> ssl.SSLContext | None:
        """The name in the certificate is not the one that this machine uses."""
        if self.trusted is None:
            return None
        context = ssl.create_default_context(cafile=self.trusted)
        context.check_hostname = False
        return context

    def network(self, addressrange: str | None = None, **fields: object) -> dict[str, Any]:
        """Make a network with a name of its own and a range that no other test uses."""
        number = next(self._networks)
        body = {"netid": f"net-{number}", "addressrange": addressrange or f"10.{number}.0.0/16", **fields}
        return self._made("POST", "/api/networks", body)

    def key(self, network: str, **fields: object) -> dict[str, Any]:
        """Make an enrollment key for the network, with unlimited uses unless told otherwise."""
        limit = fields or {"unlimited": True}
        body = {"tags": [f"key-{next(_numbers)}"], "networks": [network], **limit}
        return self._made("POST", "/api/v1/enrollment-keys", body)

    def register(self, token: str, host: Mapping[str, Any]) -> Answer:
        """As netclient does it."""
        return self.call("POST", f"/api/v1/host/register/{token}", host, token=None)

    def join(self, network: str, **fields: object) -> dict[str, Any]:
        """Register a host of its own without netclient and wait for its node. Returns the node; its ``hostid`` names
        the host."""
        host = new_host(**fields)
        answer = self.register(self.key(network)["token"], host)
        assert answer.status == 200, answer
        wait_for("the node to appear", lambda: self.node_of(network, host["id"]))
        node = self.node_of(network, host["id"])
        assert node is not None
        return node

    def nodes(self, network: str) -> list[dict[str, Any]]:
        return list(self.call("GET", f"/api/nodes/{network}").body)

    def node_of(self, network: str, host: str) -> dict[str, Any] | None:
        return next((node for node in self.nodes(network) if node["hostid"] == host), None)

    def host(self, key: str) -> dict[str, Any] | None:
        return next((host for host in self.call("GET", "/api/hosts").body if host["id"] == key), None)

    def egress(self, network: str) -> list[dict[str, Any]]:
        return list(self.call("GET", f"/api/v1/egress?network={network}").body["Response"])

    def fault(self, **fields: object) -> None:
        """Let the stand-in fail; see tests/standins/server/faults.py for the fields."""
        assert self.call("POST", "/stand-in/faults", fields).status == 200

    def forget_faults(self) -> None:
        self.call("DELETE", "/stand-in/faults")

    def set_clock(self, skew: float) -> None:
        assert self.call("PUT", "/stand-in/clock", {"skew": skew}).status == 200

    def _made(self, method: str, path: str, body: object) -> dict[str, Any]:
        answer = self.call(method, path, body)
        assert answer.status == 200, answer
        return dict(answer.body)


def new_host(**fields: object) -> dict[str, Any]:
    """What netclient sends of a host that the server does not know. ``name``, ``endpointip``, … can be given."""
    key = os.urandom(32)
    return {
        "id": str(uuid.uuid4()),
        "name": f"host-{next(_numbers)}",
        "hostpass": "test-host-password",
        "version": "v1.4.0",
        "os": "linux",
        "os_family": "debian",
        "os_version": "12",
        "kernel_version": "6.1",
        "interface": "netmaker",
        "listenport": 51821,
        "mtu": 1420,
        "publickey": list(key),
        "macaddress": base64.b64encode(key[:6]).decode(),
        "traffickeypublic": list(os.urandom(32)),
        "firewallinuse": "nftables",
        "isstaticport": True,
        "endpointip": "",
        "endpointipv6": "",
        "nodes": [],
        "interfaces": [],
        "daemoninstalled": True,
        "ipforwarding": True,
        **fields,
    }


@contextmanager
def running(kind: str, directory: Path, **environment: str) -> Iterator[Netmaker]:
    """A server of that kind with its data in ``directory``, ended afterwards. ``environment`` adds to ENVIRONMENT."""
    with prepared(kind, directory, **environment) as server:
        yield server.start()


@contextmanager
def prepared(kind: str, directory: Path, **environment: str) -> Iterator[Netmaker]:
    """The same, not yet started."""
    directory.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(directory / "ledger")
    program = [sys.executable, str(build_server(directory))] if kind == STAND_IN else [os.environ["NETMAKER_BINARY"]]
    try:
        namespace = Namespace(f"nmt-{os.getpid()}-{next(_numbers)}", ledger).create()
        with Forwarder(namespace.path, PORT) as forwarder:
            made = environment.get("NETMAKER_STANDIN_CERTIFICATE")
            url = f"{'https' if made else 'http'}://127.0.0.1:{forwarder.port}"
            yield Netmaker(kind, namespace, url, directory, program, environment, Path(made) if made else None)
    finally:
        assert ledger.release() == []
