# SPDX-License-Identifier: Apache-2.0
"""Does a running worker forget a destroyed key by itself, and does a bank that is gone not end its looks?"""

import time

from karbor.model import errors
from karbor.protection.keywatch import KeyWatch
from karbor.sdk.testing.faults import FaultyBank
from tests.support.vaults import BytesSource, memory_bank, nothing, open_vault


class Provider:
    """What the watch needs of a provider."""

    id = "p"

    def __init__(self, vault):
        self.vault = vault
        self.forget_destroyed = vault.forget_destroyed


def test_a_destroyed_key_is_forgotten(tmp_path):
    bank = FaultyBank(memory_bank())
    vault, other = open_vault(bank, tmp_path / "here"), open_vault(bank.inner, tmp_path / "there")
    stream = vault.domain("project").write_stream(BytesSource(b"data" * 1000), advance=nothing).id
    reader = vault.domain("project").open_stream(stream)
    bank.fail(1, method="stat")  # the first look fails, the next ones do not
    with KeyWatch([Provider(vault)], interval=0.01):
        other.destruction().destroy(other.keyring.domain_name("project"), "project")
        deadline = time.monotonic() + 60
        while _readable(reader):
            assert time.monotonic() < deadline
    vault.close()
    other.close()


def _readable(reader):
    try:
        return bool(reader.read(0, 4))
    except errors.KeyDestroyed:
        return False
