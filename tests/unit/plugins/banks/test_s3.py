# SPDX-License-Identifier: Apache-2.0
"""Which settings does the S3 bank take, and what does it do before it is asked?  (tests/contract has the rest.)"""

from pathlib import Path

import pytest
from oslo_config import cfg

from karbor.common import loading
from karbor.model import errors
from karbor.plugins.banks.s3 import S3Bank
from karbor.sdk.bank import Capabilities


def test_making_the_object_asks_nobody():
    bank = S3Bank(S3Bank.Settings(s3_endpoint="http://192.0.2.1"))
    assert bank.capabilities == Capabilities(shared=True)


@pytest.mark.parametrize("bucket", ["", "a/b"])
def test_a_bucket_that_is_no_name_is_refused(bucket):
    with pytest.raises(errors.ConfigurationError):
        S3Bank(S3Bank.Settings(bank_s3_object_bucket=bucket))


def test_keys_are_secret_and_stand_in_a_section_of_their_own():
    sections = S3Bank.Settings.cfg_sections("s3_bank_plugin")
    assert set(sections) == {"s3_client", "s3_bank_plugin"}
    assert [opt.name for opt in sections["s3_client"] if opt.secret] == ["s3_secret_key"]
    assert "hidden" not in repr(S3Bank.Settings(s3_secret_key="hidden"))


def test_an_endpoint_that_is_no_url_is_said_with_the_next_action():
    with pytest.raises(errors.BankUnavailable) as caught:
        S3Bank(S3Bank.Settings(s3_endpoint="nonsense", s3_access_key="a", s3_secret_key="b")).identity()
    assert "[s3_client]" in caught.value.next_action


def test_the_provider_file_that_is_shipped_can_be_used():
    conf = cfg.ConfigOpts()
    path = Path(__file__).parents[4] / "etc" / "karbor" / "providers.d" / "s3.conf"
    conf([], project="trial", default_config_files=[str(path)], default_config_dirs=[])
    settings = loading.settings_from(conf, "s3_bank_plugin", S3Bank.Settings)
    assert "example.com" in S3Bank(settings)._place
    assert loading.plugin_class("karbor.protections", "karbor-s3-bank-plugin") is S3Bank
