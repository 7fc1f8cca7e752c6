# SPDX-License-Identifier: Apache-2.0
"""What do most tests of the vault start from? One domain of a vault over a memory bank."""

import pytest

from tests.support.vaults import memory_bank, open_vault


@pytest.fixture
def bank():
    return memory_bank()


@pytest.fixture
def vault(bank, tmp_path):
    found = open_vault(bank, tmp_path)
    yield found
    found.close()


@pytest.fixture
def domain(vault):
    return vault.domain("project")
