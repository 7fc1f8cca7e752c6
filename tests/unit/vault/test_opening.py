# SPDX-License-Identifier: Apache-2.0
"""Are the keys of a domain opened when they are needed, and is nothing done without them?"""

import random

import pytest

from karbor.model import errors
from karbor.vault.keys import MasterKey
from tests.support.vaults import (
    MIB,
    BytesSource,
    nothing,
    open_vault,
)

BLOCK = random.Random(7).randbytes(MIB)


def write(domain, source, base_id=None):
    return domain.write_stream(source, base_id=base_id, advance=nothing)


def test_a_project_that_stored_nothing_leaves_no_trace_by_reading(domain, bank):
    assert domain.has_stream("1") is False
    assert domain.records("checkpoint") == []
    for call in (lambda: domain.open_stream("1"), lambda: domain.get_record("checkpoint", "1")):
        with pytest.raises(errors.ObjectNotFound):
            call()
    assert bank.objects == {}


def test_a_wrong_master_key_opens_nothing_and_writes_nothing(domain, bank, tmp_path):
    info = write(domain, BytesSource(BLOCK))
    before = dict(bank.objects)
    other = open_vault(bank, tmp_path / "other", key=MasterKey(bytes(32))).domain("project")
    calls = (
        lambda: other.open_stream(info.id),
        lambda: other.has_stream(info.id),
        lambda: other.records("checkpoint"),
        lambda: write(other, BytesSource(b"x")),
        lambda: other.put_record("checkpoint", "1", {}),
    )
    for call in calls:
        with pytest.raises(errors.KeyUnavailable):
            call()
    assert bank.objects == before
