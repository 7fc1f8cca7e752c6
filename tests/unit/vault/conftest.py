# SPDX-License-Identifier: Apache-2.0
"""What do most tests of the vault start from? One domain of a vault over a memory bank."""

import pytest

from tests.support.cleanroom import CleanRoom
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


@pytest.fixture
def room(tmp_path):
    found = CleanRoom(tmp_path)
    yield found
    found.close()
