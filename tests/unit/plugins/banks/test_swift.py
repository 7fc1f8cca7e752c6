# SPDX-License-Identifier: Apache-2.0
"""Which settings does the Swift bank take, and what does it do before it is asked?  (tests/contract has the rest.)"""

from pathlib import Path

import pytest
from oslo_config import cfg

from karbor.common import loading
from karbor.model import errors
from karbor.plugins.banks.swift import SwiftBank
from karbor.sdk.bank import Capabilities

GIVEN = {"swift_auth_url": "http://192.0.2.1/v3", "swift_user": "karbor", "swift_key": "hidden"}


def test_making_the_object_asks_nobody_and_late_lists_are_declared():
    bank = SwiftBank(SwiftBank.Settings(**GIVEN))
    assert bank.capabilities == Capabilities(shared=True, list_lag=600.0)


@pytest.mark.parametrize("container", ["", "a/b"])
def test_a_container_that_is_no_name_is_refused(container):
    with pytest.raises(errors.ConfigurationError):
        SwiftBank(SwiftBank.Settings(**GIVEN, bank_swift_object_container=container))


def test_the_key_is_secret_and_stands_in_a_section_of_its_own():
    sections = SwiftBank.Settings.cfg_sections("swift_bank_plugin")
    assert set(sections) == {"swift_client", "swift_bank_plugin"}
    assert [opt.name for opt in sections["swift_client"] if opt.secret] == ["swift_key"]
    assert "hidden" not in repr(SwiftBank.Settings(**GIVEN))


def test_the_provider_file_that_is_shipped_can_be_used():
    conf = cfg.ConfigOpts()
    path = Path(__file__).parents[4] / "etc" / "karbor" / "providers.d" / "swift.conf"
    conf([], project="trial", default_config_files=[str(path)], default_config_dirs=[])
    settings = loading.settings_from(conf, "swift_bank_plugin", SwiftBank.Settings)
    assert "example.com" in SwiftBank(settings)._place
    assert loading.plugin_class("karbor.protections", "karbor-swift-bank-plugin") is SwiftBank
