# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to op_dbus.socket_network: no stability is promised to other collections.
"""What the modules `warp_tunnel` and `wireguard_uplink` do and return, apart from their documentation."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from .._errors import RefusedError
from .._files import found
from .._plan import Plan, Step, result_of
from .._runner import Runner
from .config import Tunnel, check_device, mesh_tunnel, warp_tunnel
from .driver import Driver
from .health import MAX_HANDSHAKE_AGE, age_of, health
from .profile import DIRECTORY, Profile, parse
from .runtime import INSTALL

WARP_MTU = 1280
WARP_KEEPALIVE = 25
STARTING = ("present", "up")
"""States that need a running tunnel, and so the packages."""


def report(driver: Driver, max_age: int) -> dict[str, Any]:
    """The tunnel as it is now, without secrets."""
    runtime, now = driver.read(), driver.clock()
    state = health(runtime, now, max_age)
    peers = [
        {
            "public_key": peer.public_key,
            "endpoint": peer.endpoint,
            "allowed_ips": sorted(peer.allowed_ips),
            "keepalive": peer.keepalive,
            "latest_handshake_age": age_of(peer, now),
            "rx_bytes": peer.rx,
            "tx_bytes": peer.tx,
        }
        for _key, peer in sorted(runtime.device.peers.items() if runtime.device else ())
    ]
    return {
        "device": driver.device,
        "config_path": driver.path,
        "running": runtime.unit.running and runtime.link is not None and runtime.link.up,
        "enabled": runtime.unit.enabled,
        "health": state.state,
        "latest_handshake_age": state.age,
        "rx_bytes": state.rx,
        "tx_bytes": state.tx,
        "addresses": sorted(str(address) for address in runtime.link.addresses) if runtime.link else [],
        "mtu": runtime.link.mtu if runtime.link else None,
        "public_key": runtime.device.public_key if runtime.device else None,
        "listen_port": runtime.device.listen_port if runtime.device else None,
        "peers": peers,
    }


def plan_absent(driver: Driver) -> tuple[Plan, list[str]]:
    """Plan that removes what we made, and words about what is left alone."""
    if driver.is_foreign():
        return Plan(), [f"{driver.path} was not written by this collection: {driver.device} is left as it is."]
    return driver.plan_stopped(remove=True), []


def read_profile(device: str, path: str, own: str) -> Profile:
    """The tunnel of the profile at ``path`` on this host."""
    if path == own:
        raise RefusedError(
            f"config_file is {path}, which this module writes itself.",
            fix="move the profile elsewhere, for example to /etc/op-dbus/warp/profile.conf.",
        )
    file = found(path, secret=True)
    if file is None:
        raise RefusedError(f"config_file {path} is not on this host.", fix="copy it there, or give `config`.")
    profile = parse(file.content, device=device, source=path, mtu=WARP_MTU, keepalive=WARP_KEEPALIVE)
    if len(profile.tunnel.peers) != 1 or profile.tunnel.peers[0].endpoint is None:
        raise RefusedError(
            f"{path} does not describe a WARP tunnel: it needs exactly one peer, with an endpoint.",
            fix="give the profile that wgcf or your provider made for one device.",
        )
    return profile


def wanted_profile(driver: Driver, params: Mapping[str, Any]) -> Profile:
    """The tunnel that module `warp_tunnel` is asked for."""
    if params["config_file"]:
        return read_profile(driver.device, params["config_file"], driver.path)
    return Profile(warp_tunnel(driver.device, params["config"]))


def driver_for(runner: Runner, params: Mapping[str, Any], check: bool, directory: str) -> Driver:
    """The driver of the tunnel that ``params`` name."""
    lenient = check or params["state"] not in STARTING
    return Driver(runner=runner, device=check_device(params["name"]), lenient=lenient, directory=directory)


def run_warp(runner: Runner, params: Mapping[str, Any], check: bool, directory: str = DIRECTORY) -> dict[str, Any]:
    """Body of module `warp_tunnel`; returns its result."""
    state, max_age = params["state"], params["max_handshake_age"]
    driver = driver_for(runner, params, check, directory)
    plan = Plan()
    ignored: list[str] = []
    warnings: list[str] = []
    if state == "present" and check and params["config_file"] and not os.path.exists(params["config_file"]):
        # A task before this one would have put it there.
        plan = Plan((Step(f"configure {driver.device} from {params['config_file']}, not there yet", lambda: None),))
    elif state == "present":
        profile = wanted_profile(driver, params)
        plan, ignored = driver.plan_running(profile.tunnel), list(profile.ignored)
    elif state == "up":
        plan = driver.plan_running(driver.stored())
    elif state == "down":
        plan = driver.plan_stopped()
    elif state == "absent":
        plan, warnings = plan_absent(driver)
    done = result_of(plan, driver.device, check)
    if state in STARTING and params["wait_handshake"] and not check:
        driver.wait_healthy(params["wait_handshake"], max_age)
    seen = report(driver, max_age)
    peer = seen["peers"][0] if seen["peers"] else None
    endpoint = peer["endpoint"] if peer else None
    return {**seen, "peer": peer, "endpoint": endpoint, "ignored": ignored, "warnings": warnings, **done}


def check_public_key(runner: Runner, params: Mapping[str, Any], tunnel: Tunnel, check: bool) -> None:
    """Refuse a private key that does not belong to the public key which the other hosts were told."""
    if not params["public_key"]:
        return
    try:
        derived = runner.run(["wg", "pubkey"], stdin=f"{tunnel.private_key}\n", what="Deriving the public key")
    except FileNotFoundError as error:
        if check:
            return
        raise RefusedError("wg is not on this host.", fix=INSTALL) from error
    if derived.stdout.strip() != params["public_key"]:
        raise RefusedError(
            f"The private key of {tunnel.device} belongs to the public key {derived.stdout.strip()}, but the "
            f"inventory tells the other hosts {params['public_key']}: no peer would answer.",
            fix="set public_key of the uplink, or the private key, so that they match (`wg pubkey`).",
        )


def run_mesh(runner: Runner, params: Mapping[str, Any], check: bool, directory: str = DIRECTORY) -> dict[str, Any]:
    """Body of module `wireguard_uplink`; returns its result."""
    state, driver = params["state"], driver_for(runner, params, check, directory)
    plan = Plan()
    warnings: list[str] = []
    if state == "present":
        tunnel = mesh_tunnel(params)
        check_public_key(runner, params, tunnel, check)
        plan = driver.plan_running(tunnel)
    elif state == "absent":
        plan, warnings = plan_absent(driver)
    done = result_of(plan, driver.device, check)
    return {**report(driver, MAX_HANDSHAKE_AGE), "warnings": warnings, **done}
