# SPDX-License-Identifier: Apache-2.0
"""Which types can a provider protect, by what it says of itself?"""

from karbor.model.provider import ProviderInfo


def test_types_are_those_with_options():
    info = ProviderInfo("i", "n", schemas={"options_schema": {"T": {}, "U": {}}, "restore_schema": {"V": {}}})
    assert info.resource_types == {"T", "U"}


def test_a_provider_that_says_nothing_protects_nothing():
    assert ProviderInfo("i", "n").resource_types == frozenset()
