# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inventory plugin that asks a Netmaker server for the members of its networks."""

from __future__ import annotations

DOCUMENTATION = r"""
name: netmaker
author: op-dbus maintainers (@op-dbus)
version_added: 0.1.0
short_description: Hosts of a Netmaker server
description:
  - Asks a Netmaker server for the hosts that are members of its networks.
  - Each network becomes a group, each host gets its overlay addresses and what the server knows of it as variables.
  - Reads only, and takes over chosen fields; keys and passwords of hosts never become variables or enter a cache.
  - Takes files whose names end in C(netmaker.yml) or C(netmaker.yaml).
notes:
  - A host is called what Netmaker calls it. Where several hosts share a name, the start of the host's id is added.
  - Hosts without a network, plain WireGuard clients and nodes that are being deleted are left out.
  - A user's O(api_token) is enough; the master key can do anything and is better kept on the server.
extends_documentation_fragment:
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
options:
  plugin:
    description: Names this plugin, so that the file is taken for its configuration.
    type: str
    required: true
    choices: [op_dbus.socket_network.netmaker]
  api_url:
    description:
      - Address of the API, such as V(https://api.example.org).
      - Plain C(http) is taken for loopback addresses only.
    type: str
    required: true
    env:
      - name: NETMAKER_API_URL
  api_token:
    description:
      - Access token of a user. This or O(master_key).
      - May be a template, for example a lookup.
    type: str
    env:
      - name: NETMAKER_API_TOKEN
  master_key:
    description:
      - The server's master key. This or O(api_token).
      - May be a template, for example a lookup.
    type: str
    env:
      - name: NETMAKER_MASTER_KEY
  tenant_id:
    description: Tenant, for servers that have several.
    type: str
  validate_certs:
    description: Whether the server's certificate is checked.
    type: bool
    default: true
  ca_path:
    description: Certificate of the authority that signed the server's, in PEM form, where it is no public one.
    type: path
  timeout:
    description: Seconds to wait for each answer.
    type: int
    default: 60
  networks:
    description: Networks whose members are wanted. All of them if empty.
    type: list
    elements: str
    default: []
  group_prefix:
    description:
      - What the names of the groups begin with.
      - What a name of a group may not have becomes an underscore, so V(privacy-mesh) gives C(netmaker_privacy_mesh).
    type: str
    default: netmaker_
"""

EXAMPLES = r"""
# inventories/mine/netmaker.yml: all members of all networks, the token taken from the environment
plugin: op_dbus.socket_network.netmaker
api_url: https://api.nm.example.org

---
# One network, reached over the mesh; hosts behind the gateway in a group of their own; asked once in ten minutes
plugin: op_dbus.socket_network.netmaker
api_url: https://api.nm.example.org
api_token: "{{ lookup('ansible.builtin.file', '~/.config/netmaker-token') }}"
networks: [privacy-mesh]
compose:
  ansible_host: netmaker_addresses['privacy-mesh']
groups:
  relayed: netmaker_host.networks['privacy-mesh'].relayed_by is not none
keyed_groups:
  - key: netmaker_host.os
    prefix: os
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: ~/.cache/netmaker-inventory
cache_timeout: 600

# Variables of a host:
#
# netmaker_addresses: {privacy-mesh: 10.100.0.2}
# netmaker_host:
#   id: 6a0b5c6e-…
#   public_key: …
#   version: v1.4.0
#   os: linux
#   endpoint: null
#   endpoint6: null
#   listen_port: 51821
#   mtu: 1420
#   networks:
#     privacy-mesh:
#       node_id: 0f6d…
#       address: 10.100.0.2
#       address6: null
#       connected: true
#       gateway: false
#       relayed_by: vps-gateway
#       egress: [10.0.0.0/24]
"""

from typing import Any

from ansible.errors import AnsibleParserError
from ansible.inventory.group import to_safe_group_name
from ansible.module_utils.urls import Request
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable
from ansible_collections.op_dbus.socket_network.plugins.module_utils._errors import SocketNetworkError
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker.client import Client
from ansible_collections.op_dbus.socket_network.plugins.module_utils._netmaker.options import connection_of
from ansible_collections.op_dbus.socket_network.plugins.plugin_utils._netmaker_hosts import read_hosts

CONNECTION = ("api_url", "master_key", "api_token", "tenant_id", "validate_certs", "ca_path", "timeout")


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):  # type: ignore[misc]
    """Members of Netmaker's networks, constructed and cached as the file says."""

    NAME = "op_dbus.socket_network.netmaker"

    def verify_file(self, path: str) -> bool:
        """Whether ``path`` is one of ours by its name."""
        return bool(super().verify_file(path)) and path.endswith(("netmaker.yml", "netmaker.yaml"))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Add hosts and groups to ``inventory``."""
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        for host in self._hosts(self.get_cache_key(path), cache):
            self._add(host)

    def _hosts(self, key: str, cache: bool) -> list[dict[str, Any]]:
        """From the cache, if it is wanted and has them; else from the server."""
        wanted = self.get_option("cache")
        if wanted and cache and key in self._cache:
            cached: list[dict[str, Any]] = self._cache[key]
            return cached
        found = self._ask()
        if wanted:
            self._cache[key] = found
        return found

    def _ask(self) -> list[dict[str, Any]]:
        options = {name: self._templated(self.get_option(name)) for name in CONNECTION}
        if bool(options["master_key"]) == bool(options["api_token"]):
            raise AnsibleParserError(f"{self.NAME}: one of api_token and master_key is needed, and only one.")
        try:
            return read_hosts(Client(Request, connection_of(options)), self.get_option("networks"))
        except SocketNetworkError as error:
            raise AnsibleParserError(f"{self.NAME}: {error}") from error

    def _templated(self, value: object) -> Any:
        return self.templar.template(value) if isinstance(value, str) else value

    def _add(self, host: dict[str, Any]) -> None:
        name, about = host["name"], {key: value for key, value in host.items() if key != "name"}
        networks = host["networks"]
        addresses = {network: node["address"] or node["address6"] for network, node in networks.items()}
        self.inventory.add_host(name)
        for network in networks:
            prefixed = f"{self.get_option('group_prefix')}{network}"
            group = self.inventory.add_group(to_safe_group_name(prefixed, force=True, silent=True))
            self.inventory.add_child(group, name)
        variables = {"netmaker_addresses": addresses, "netmaker_host": about}
        for key, value in variables.items():
            self.inventory.set_variable(name, key, value)
        strict = self.get_option("strict")
        self._set_composite_vars(self.get_option("compose"), variables, name, strict=strict)
        self._add_host_to_composed_groups(self.get_option("groups"), variables, name, strict=strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, name, strict=strict)
