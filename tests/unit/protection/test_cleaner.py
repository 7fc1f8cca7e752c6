# SPDX-License-Identifier: Apache-2.0
"""Are all banks cleaned up, and does one that cannot be keep no other from it?"""

import pytest
from oslo_config import cfg

from karbor import conf as settings
from karbor.protection.cleaner import Cleaner, clean_bank, settings_from
from karbor.vault.cleanup import Settings
from karbor.vault.vault import Vault
from tests.support.clock import TwinClock
from tests.support.vaults import KEY, BytesSource, memory_bank, nothing

AT_ONCE = Settings(grace=0)


class Provider:
    """What clean-up needs of a provider: a vault, here with two projects and one deleted checkpoint in each."""

    def __init__(self, directory, id_):
        self.id = id_
        self.bank = memory_bank()
        self.clock = TwinClock()
        self.vault = Vault(self.bank, master_key=KEY, cache_dir=directory / id_, clock=self.clock)
        for project in ("one", "two"):
            domain = self.vault.domain(project)
            info = domain.write_stream(BytesSource(b"gone" * 9000), advance=nothing)
            domain.put_record("checkpoint", "1", {"streams": [info.id]})
            domain.delete_record("checkpoint", "1")

    def packs(self):
        return [name for name in self.bank.objects if "/pack/" in name]


@pytest.fixture
def provider(tmp_path):
    found = Provider(tmp_path, "p")
    yield found
    found.vault.close()


def test_every_project_of_a_bank_is_cleaned_up(provider):
    found = clean_bank(provider, AT_ONCE, pause=nothing)
    assert found["entries"] == []
    assert (found["counts"]["domains"], found["counts"]["packs_deleted"]) == (2, 2)
    assert provider.packs() == []


def test_a_dry_run_deletes_nothing(provider):
    found = clean_bank(provider, AT_ONCE, pause=nothing, dry_run=True)
    assert found["counts"]["condemned_packs"] == 2
    assert len(provider.packs()) == 2


def test_a_project_that_cannot_be_cleaned_up_is_named_and_the_others_are(provider):
    domain = provider.vault.domain("one")
    domain.put_record("checkpoint", "2", {})
    name = next(name for name in provider.bank.objects if name.endswith("record/checkpoint/2"))
    provider.bank.objects[name] = b"rot"
    found = clean_bank(provider, AT_ONCE, pause=nothing)
    assert [entry["domain"] for entry in found["entries"]] == [name.split("/")[1]]
    assert len(provider.packs()) == 1


def test_a_bank_that_somebody_cleaned_up_lately_is_left_alone(provider):
    clean_bank(provider, AT_ONCE, pause=nothing)
    assert clean_bank(provider, AT_ONCE, pause=nothing, interval=600)["counts"]["domains"] == 0
    provider.clock.pass_time(600)
    assert clean_bank(provider, AT_ONCE, pause=nothing, interval=600)["counts"]["domains"] == 2


def test_a_bank_that_is_away_keeps_no_other_from_being_cleaned_up(provider, tmp_path):
    other = Provider(tmp_path, "away")
    other.bank._identity = None
    cleaner = Cleaner([other, provider], AT_ONCE, interval=600)
    cleaner.look()
    assert provider.packs() == []
    other.vault.close()


def test_a_stop_is_heard(provider):
    cleaner = Cleaner([provider], AT_ONCE, interval=600)
    cleaner.start()
    cleaner.stop()
    cleaner.look()
    assert len(provider.packs()) == 2
    Cleaner([provider], AT_ONCE, interval=0).stop()


def test_settings_are_those_of_the_section():
    conf = cfg.ConfigOpts()
    settings.register_opts(conf)
    conf(args=[], default_config_files=[], default_config_dirs=[])
    assert settings_from(conf) == Settings()
    assert settings_from(conf, grace=0).grace == 0
