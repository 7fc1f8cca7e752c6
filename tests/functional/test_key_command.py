# SPDX-License-Identifier: Apache-2.0
"""Do the commands for keys do what they say, asked as an operator would, and is a killed one finished by the next?"""

import argparse
import functools
import io
import subprocess
import time

import pytest
from oslo_config import cfg
from oslo_log import log as oslo_log

from karbor import conf as settings
from karbor.app.wiring import Shared
from karbor.clients.sealedlogins import LoginSeal
from karbor.cmd import keys
from karbor.common.clock import Clock
from karbor.db.database import Database
from karbor.model import errors
from karbor.plugins.banks.filesystem import FilesystemBank
from karbor.vault.keys import MasterKey
from karbor.vault.sealing import Sealer
from karbor.vault.wrapping import MasterKeys
from tests.support.service import BIN
from tests.support.vaults import BytesSource, content_of, nothing, open_vault

PROVIDER = "5f0d4a5e-6c1b-4d0e-9b55-2b1f3a7c9e10"
PROJECT = "7" * 32
SETTINGS = """[DEFAULT]
provider_config_dir = {root}/providers.d
state_path = {root}
[database]
connection = sqlite:///{root}/karbor.sqlite
[vault]
master_key_file = {root}/{key}
other_master_key_files = {others}
cache_dir = {root}/cache
"""
PROVIDER_FILE = """[provider]
name = near
id = {id}
bank = karbor-fs-bank-plugin
enabled = True
[file_system_bank_plugin]
file_system_bank_path = {root}/bank
"""


class Site:
    """A provider with a bank in a directory, and an operator at the command line."""

    def __init__(self, root):
        self.root = root
        (root / "providers.d").mkdir()
        (root / "bank").mkdir()
        (root / "providers.d" / "near.conf").write_text(PROVIDER_FILE.format(id=PROVIDER, root=root))
        self.old, self.new = (MasterKey.create(root / name) for name in ("old.key", "new.key"))
        self.bank = FilesystemBank(FilesystemBank.Settings(file_system_bank_path=str(root / "bank")))
        self.bank.initialise()
        vault = open_vault(self.bank, root / "writer", key=self.old)
        self.stream = vault.domain(PROJECT).write_stream(BytesSource(b"data" * 9000), advance=nothing).id
        vault.close()
        self.database = Database(f"sqlite:///{root}/karbor.sqlite", clock=Clock())
        self.database.upgrade()
        self.set("old.key")

    def set(self, key, *others):
        """Change the settings."""
        names = ",".join(str(self.root / name) for name in others)
        (self.root / "karbor.conf").write_text(SETTINGS.format(root=self.root, key=key, others=names))

    def key(self, *arguments):
        """The answer of ``karbor-manage key``."""
        conf = cfg.ConfigOpts()
        oslo_log.register_options(conf)
        settings.register_opts(conf)
        conf([], project="karbor", default_config_files=[str(self.root / "karbor.conf")], default_config_dirs=[])
        parser = argparse.ArgumentParser()
        keys.add_verbs(functools.partial(_verb, parser.add_subparsers()))
        given = parser.parse_args(arguments)
        return given.function(argparse.Namespace(shared=Shared(conf, Clock(), self.database, None)), given)

    def readable_with(self, key):
        vault = open_vault(self.bank, self.root / key.id.hex(), key=key)
        try:
            return content_of(vault.domain(PROJECT), self.stream) == b"data" * 9000
        finally:
            vault.close()


def _verb(category, name, function, help_):
    found = category.add_parser(name, help=help_)
    found.set_defaults(function=function)
    return found


@pytest.fixture
def site(tmp_path):
    found = Site(tmp_path)
    yield found
    found.database.dispose()


def test_a_master_key_is_changed(site):
    listed = site.key("list")
    assert listed["counts"] == {site.old.id.hex(): 2}
    assert {entry.get("project") for entry in listed["entries"]} == {None, PROJECT}
    assert site.key("create", "--file", str(site.root / "another.key"))["id"] not in listed["counts"]
    site.set("new.key", "old.key")
    assert site.key("rotate", "--dry-run")["counts"]["left"] == 2
    assert site.key("rotate", "--provider", PROVIDER)["counts"]["wrapped now"] == 2
    assert site.key("list")["counts"] == {site.old.id.hex(): 2, site.new.id.hex(): 2}
    assert site.readable_with(site.old) and site.readable_with(site.new)
    assert site.key("retire", site.old.id.hex()) == [{"provider": PROVIDER, "removed": 2}]
    site.set("new.key")
    assert site.key("list")["counts"] == {site.new.id.hex(): 2}
    assert site.readable_with(site.new)
    with pytest.raises(errors.KeyUnavailable):
        site.readable_with(site.old)


def test_a_key_for_logins_is_made_where_the_settings_or_the_operator_say(site):
    with pytest.raises(errors.InvalidInput, match="login_key_file"):
        site.key("login")
    path = site.root / "login.key"
    assert site.key("login", "--file", str(path))["key"] == str(path)
    with (site.root / "karbor.conf").open("a") as file:
        file.write(f"[clients]\nlogin_key_file = {path}\n")
    with pytest.raises(errors.Conflict):
        site.key("login")
    assert LoginSeal.load(path).open("r", LoginSeal.load(path).seal("r", {"x": "y"})) == {"x": "y"}


def test_a_rotation_is_killed_and_finished(site):
    projects = [f"{number:032x}" for number in range(8)]
    vault = open_vault(site.bank, site.root / "many", key=site.old)
    for project in projects:
        vault.keyring.make_domain_keys(vault.keyring.make_domain_name(project), project)
    vault.close()
    site.set("new.key", "old.key")
    command = [str(BIN / "karbor-manage"), "--config-file", str(site.root / "karbor.conf"), "key", "rotate", "--json"]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not list((site.root / "bank").glob("**/key/00000002")) and running.poll() is None:
        assert time.monotonic() < deadline
    running.kill()
    running.wait()
    both = open_vault(site.bank, site.root / "both", key=MasterKeys(site.new, [site.old]))
    assert both.keyring.label(both.keyring.domain_name(projects[5])) == projects[5]
    both.close()
    found = site.key("rotate")
    assert found["sound"] and found["counts"]["left"] == 0
    assert found["counts"]["wrapped now"] + found["counts"]["wrapped already"] == len(projects) + 2
    assert site.readable_with(site.new) and site.readable_with(site.old)


def test_a_key_is_destroyed_only_by_who_means_it(site, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))
    with pytest.raises(errors.Cancelled):
        site.key("destroy", PROJECT)
    assert site.readable_with(site.old)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PROJECT}\n"))
    done = site.key("destroy", PROJECT)
    assert [(entry["provider"], entry["key"]) for entry in done["entries"]] == [(PROVIDER, "destroyed")]
    with pytest.raises(errors.KeyDestroyed):
        site.readable_with(site.old)
    assert "destroyed" in {entry["state"] for entry in site.key("list")["entries"]}
    assert site.key("destroy", PROJECT, "--yes")["entries"][0]["key"] == "was destroyed before"


def test_banks_that_were_not_named_are_told_of(site):
    text = PROVIDER_FILE.format(id=PROVIDER.replace("5f", "6f"), root=site.root).replace("name = near", "name = far")
    (site.root / "bank2").mkdir()
    (site.root / "providers.d" / "far.conf").write_text(text.replace("/bank\n", "/bank2\n"))
    bank = FilesystemBank(FilesystemBank.Settings(file_system_bank_path=str(site.root / "bank2")))
    bank.initialise()
    vault = open_vault(bank, site.root / "far", key=site.old)
    vault.domain(PROJECT).write_stream(BytesSource(b"copy" * 9000), advance=nothing)
    vault.close()
    near, far = site.key("destroy", PROJECT, "--yes", "--provider", PROVIDER)["entries"]
    assert (near["key"], far["bank"], far["key"][:14]) == ("destroyed", "far", "IS STILL THERE")
    everywhere = site.key("destroy", PROJECT, "--yes")["entries"]
    assert sorted(entry["key"] for entry in everywhere) == ["destroyed", "was destroyed before"]


def test_a_sealer_file_is_written(site):
    path = site.root / "project.seal"
    told = site.key("sealer", PROJECT, "--provider", PROVIDER, "--output", str(path))
    sealer = Sealer.load(path)
    assert (sealer.label, sealer.bank) == (PROJECT, told["bank"])
    assert sealer.secret.hex() not in str(told)


def test_a_provider_file_that_cannot_be_used_is_no_reason_to_pass_its_bank_over(site):
    (site.root / "providers.d" / "bad.conf").write_text("nonsense")
    with pytest.raises(errors.ConfigurationError):
        site.key("rotate")
