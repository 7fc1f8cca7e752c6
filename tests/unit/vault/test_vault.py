# SPDX-License-Identifier: Apache-2.0
"""Do projects, sites and the bank see of each other what they should, and no more?"""

import random

import pytest

from karbor.model import errors
from tests.support.vaults import (
    MIB,
    BytesSource,
    content_of,
    nothing,
    open_vault,
)

BLOCK = random.Random(7).randbytes(MIB)


def write(domain, source, base_id=None):
    return domain.write_stream(source, base_id=base_id, advance=nothing)


def test_projects_share_nothing(vault, bank):
    infos = [write(vault.domain(name), BytesSource(BLOCK)) for name in ("one", "two")]
    assert infos[0].bytes_stored > MIB
    assert infos[1].bytes_stored > MIB
    assert not vault.domain("two").has_stream(infos[0].id)
    with pytest.raises(errors.ObjectNotFound):
        vault.domain("two").open_stream(infos[0].id)


def test_nothing_can_be_read_in_the_bank(vault, bank):
    planted = b"PLANTED-MARKER-4711-"
    domain = vault.domain("planted-project")
    info = write(domain, BytesSource(planted * 50_000 + BLOCK))
    domain.put_record("checkpoint", "1", {"plan": planted.decode(), "path": "/planted/path"})
    domain.delete_record("checkpoint", "1")
    domain.put_record("checkpoint", "2", {"plan": planted.decode(), "path": "/planted/path"})
    everything = b"".join(name.encode() + data for name, data in bank.objects.items())
    for word in (planted, b"planted", b"path", BLOCK[:64], bytes.fromhex(info.id) * 2):
        assert word not in everything


def test_a_vault_whose_cache_and_index_objects_are_lost_still_opens(domain, bank, tmp_path):
    info = write(domain, BytesSource(BLOCK * 3))
    for name in [name for name in bank.objects if "/index/" in name]:
        del bank.objects[name]
    other = open_vault(bank, tmp_path / "fresh").domain("project")
    assert content_of(other, info.id) == BLOCK * 3


def test_another_worker_finds_what_this_one_stored(domain, bank, tmp_path):
    other = open_vault(bank, tmp_path / "other").domain("project")
    write(other, BytesSource(b"first"))
    write(domain, BytesSource(BLOCK))
    assert write(other, BytesSource(BLOCK)).bytes_stored < 300


def test_a_domain_is_the_same_object_each_time(vault):
    assert vault.domain("one") is vault.domain("one")
    assert vault.domain("one") is not vault.domain("two")
