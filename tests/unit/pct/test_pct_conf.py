# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proxmox' file of a container, read by the driver and written by the stand-in, which know nothing of each other."""

from __future__ import annotations

import pytest
from ansible_collections.op_dbus.socket_network.plugins.module_utils._pct import conf, wanted
from hypothesis import given
from hypothesis import strategies as st

from tests.standins.pct import configfile, options
from tests.unit.pct.sample_pct import PENDING, SNAPSHOT, SOURCE, TEXT, spec

KEYS = st.sampled_from(["memory", "swap", "hostname", "cores", "tags", "mp0", "onboot"])
WORDS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=12)
NOTES = st.lists(st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=20), max_size=3)
RAW = st.lists(st.tuples(st.sampled_from(["lxc.net.0.script.up", "lxc.cap.drop", "lxc.idmap"]), WORDS), max_size=4)


@st.composite
def sections(draw: st.DrawFn) -> configfile.Section:
    description = "".join(f"{note}\n" for note in draw(NOTES))
    return configfile.Section(draw(st.dictionaries(KEYS, WORDS, max_size=4)), draw(RAW), description)


@st.composite
def configs(draw: st.DrawFn) -> configfile.Config:
    pending = configfile.Section(draw(st.dictionaries(KEYS, WORDS, max_size=2)))
    return configfile.Config(draw(sections()), pending, draw(st.dictionaries(st.sampled_from(["a", "b1"]), sections())))


@given(configs())
def test_what_the_stand_in_writes_is_read(config: configfile.Config) -> None:
    found = conf.parse(config.text())
    assert found.options == config.current.values
    assert found.raw == tuple(config.current.raw)
    assert list(found.notes) == config.current.description.splitlines()
    assert found.pending == config.pending.values


@given(configs())
def test_raw_keys_are_put_where_they_belong_and_nothing_else_changes(config: configfile.Config) -> None:
    """Its own part gets our keys, last and once; another run changes nothing; the rest is as it was."""
    text = config.text()
    changed = conf.with_raw(text, wanted.RAW)
    found = conf.parse(changed)
    kept = [(key, value) for key, value in config.current.raw if key not in wanted.RAW]
    assert found.raw == (*kept, *wanted.RAW.items())
    assert conf.with_raw(changed, wanted.RAW) == changed
    config.current.raw = list(found.raw)
    assert changed == config.text()


def test_sections_are_told_apart() -> None:
    found = conf.parse(TEXT + PENDING + "delete: !features,swap\nmemory: 1024\n" + SNAPSHOT)
    assert (found.options["memory"], found.pending, found.deleted) == ("512", {"memory": "1024"}, {"features", "swap"})
    assert found.raw == tuple(wanted.RAW.items())
    assert (found.is_unprivileged, found.is_protected, found.lock) == (True, False, "")
    assert wanted.is_marked("102", found)
    assert not wanted.is_marked("103", found), "a clone is nobody of ours"
    assert wanted.source_of(found) == SOURCE


def test_notes_of_snapshots_are_no_mark() -> None:
    assert not wanted.is_marked("102", conf.parse("memory: 512\n" + SNAPSHOT))


def test_notes_are_encoded_as_proxmox_does() -> None:
    found = conf.parse("#a%3A b%25 %C3%BC\n")
    assert found.notes == ("a: b% ü",)
    assert [conf.encoded(note) for note in found.notes] == ["a%3A b%25 %C3%BC"]


@pytest.mark.parametrize(
    ("key", "one", "other"),
    [
        (
            "net0",
            "name=eth0,bridge=mesh,hwaddr=02:00:0A:00:00:66",
            "hwaddr=02:00:0a:00:00:66,type=veth,bridge=mesh,name=eth0,firewall=no",
        ),
        ("features", "nesting=1,keyctl=0", "nesting=yes"),
        ("features", "nesting=0", None),
        ("cpulimit", "2", "2.0"),
        ("cpulimit", "0", None),
        ("onboot", "0", None),
        ("swap", "0", None),
        ("memory", "512", None),
    ],
)
def test_spelling_does_not_count(key: str, one: str, other: str | None) -> None:
    assert wanted.normal(key, one) == wanted.normal(key, other)


def test_wanted_options() -> None:
    have = wanted.options(spec(), SOURCE)
    assert have["net0"] == (
        "name=eth0,bridge=mesh,firewall=0,gw=10.0.0.1,hwaddr=02:00:0A:00:00:66,ip=10.0.0.102/24,mtu=1280,type=veth"
    )
    assert have["net0"] == options.canonical("net0", have["net0"]), "in Proxmox' own order"
    assert (have["cpulimit"], have["memory"], have["swap"], have["features"]) == ("1.5", "512", "256", None)
    free = wanted.options(spec(memory=None, swap=None, cpus=None, nesting=True, autostart=False), SOURCE)
    assert (free["memory"], free["swap"], free["cpulimit"]) == ("512", "512", None)
    assert (free["features"], free["onboot"]) == ("nesting=1", "0")


def test_a_mac_address_keeps_its_spelling() -> None:
    """Proxmox compares it as text, and makes the device anew where it differs."""
    small = conf.parse("net0: name=eth0,bridge=mesh,firewall=1,hwaddr=02:00:0a:00:00:66\n")
    assert ",hwaddr=02:00:0a:00:00:66," in str(wanted.options(spec(), SOURCE, small)["net0"])
    other = conf.parse("net0: name=eth0,bridge=mesh,hwaddr=02:00:0a:00:00:67\n")
    assert ",hwaddr=02:00:0A:00:00:66," in str(wanted.options(spec(), SOURCE, other)["net0"])


def test_features_and_notes_of_others_stay() -> None:
    have = conf.parse("#Ask Ann\n#op-dbus-owner=lxc_service/7\nfeatures: fuse=1,nesting=1\n")
    assert wanted.options(spec(), SOURCE, have)["features"] == "fuse=1"
    assert wanted.options(spec(nesting=True), SOURCE, have)["features"] == "fuse=1,nesting=1"
    notes = ["op-dbus-owner=lxc_service/102", f"op-dbus-source={SOURCE}", "Ask Ann"]
    assert (wanted.options(spec(), SOURCE, have)["description"] or "").splitlines() == notes
    moved = [notes[2], notes[1], notes[0]]
    assert wanted.notes("102", SOURCE, moved) == moved, "their order is the operator's"
