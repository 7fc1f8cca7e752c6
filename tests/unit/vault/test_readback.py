# SPDX-License-Identifier: Apache-2.0
"""Is what was written read again from the bank before it counts?"""

import random
import shutil

import pytest

from karbor.model import errors
from karbor.sdk.streams import Extent, Kind
from karbor.sdk.testing.faults import FaultyBank
from tests.support.vaults import (
    KIB,
    MIB,
    BytesSource,
    content_of,
    nothing,
    open_vault,
    parts,
)

NOISE = random.Random(9).randbytes(40 * KIB)
DATA = NOISE + bytes(8 * KIB) + b"text " * 5000


def write(domain, data, base_id=None, extents=None):
    return domain.write_stream(BytesSource(data, extents), base_id=base_id, advance=nothing)


def test_no_flipped_bit_in_any_object_is_ever_silent(bank, domain, tmp_path):
    """Of every byte of the bank: reading back fails, or opening fails, or what was read is right all the same."""
    base = write(domain, DATA)
    changed = DATA[:100] + b"!" + DATA[101:]
    info = write(domain, changed, base.id, parts(len(DATA), [(0, 4096)], rest=Kind.SAME))
    domain.put_record("checkpoint", "1", {"stream": info.id})
    # Every single byte of a pack, an object and a key is tried in the tests of those.
    whole = dict(bank.objects)
    noticed = 0
    for name, data in whole.items():
        for at in {*range(0, min(64, len(data)), 7), *range(64, len(data), 499), len(data) - 1}:
            bank.objects[name] = data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]
            fresh = open_vault(bank, tmp_path / "fresh")
            try:
                view = fresh.domain("project")
                assert content_of(view, base.id) == DATA
                assert content_of(view, info.id) == changed
                assert view.get_record("checkpoint", "1") == {"stream": info.id}
                view.read_back([base, info], nothing)
            except (errors.IntegrityError, errors.KeyUnavailable):
                noticed += 1
            else:
                raise AssertionError(f"byte {at} of {name} was changed and nobody noticed")
            finally:
                fresh.close()
                for note in set(bank.objects) - set(whole):
                    del bank.objects[note]
                shutil.rmtree(tmp_path / "fresh", ignore_errors=True)
        bank.objects[name] = data
    assert noticed > 100


def test_damage_is_found_in_the_bank_not_in_memory(bank, domain):
    info = write(domain, DATA)
    domain.read_back([info], nothing)
    (name,) = [name for name in bank.objects if "/pack/" in name]
    bank.objects[name] = bank.objects[name][:50] + bytes(1) + bank.objects[name][51:]
    with pytest.raises(errors.IntegrityError):
        domain.read_back([info], nothing)


def test_what_is_found_damaged_is_stored_anew_by_the_next_try(bank, domain):
    info = write(domain, DATA)
    (name,) = [name for name in bank.objects if "/pack/" in name]
    bank.objects[name] = bank.objects[name][:50] + bytes(1) + bank.objects[name][51:]
    with pytest.raises(errors.IntegrityError):
        domain.read_back([info], nothing)
    info = write(domain, DATA)
    domain.read_back([info], nothing)
    assert content_of(domain, info.id) == DATA


@pytest.mark.parametrize("host", ["here", "there"])
def test_found_content_that_nobody_read_back_is_read_now(bank, domain, tmp_path, host):
    """The first write ended, and its worker died before it read back. The second one stores nothing."""
    write(domain, DATA)
    (name,) = [name for name in bank.objects if "/pack/" in name]
    good = bank.objects[name]
    bank.objects[name] = good[:50] + bytes(1) + good[51:]
    view = domain if host == "here" else open_vault(bank, tmp_path / host).domain("project")
    info = write(view, DATA)
    assert info.packs == ()
    with pytest.raises(errors.IntegrityError):
        view.read_back([info], nothing)


@pytest.mark.parametrize("kind", ["cut", "lost"])
def test_what_is_found_damaged_is_stored_anew_by_other_hosts_too(bank, domain, tmp_path, kind):
    info = write(domain, DATA)
    (name,) = [name for name in bank.objects if "/pack/" in name]
    data = bank.objects.pop(name)
    if kind == "cut":
        bank.objects[name] = data[: len(data) // 2]
    with pytest.raises(errors.IntegrityError):
        domain.read_back([info], nothing)
    view = open_vault(bank, tmp_path / "there").domain("project")
    lease = view.lease("job", fence=1, record=("checkpoint", "1"))
    info = view.write_stream(BytesSource(DATA, None), base_id=None, advance=nothing, lease=lease)
    view.read_back([info], nothing)
    assert content_of(view, info.id) == DATA


def test_found_content_that_another_host_read_back_is_not_read_again(bank, domain, tmp_path):
    domain.read_back([write(domain, DATA)], nothing)
    counted = FaultyBank(bank)
    view = open_vault(counted, tmp_path / "other").domain("project")
    told = []
    view.read_back([write(view, DATA)], told.append)
    assert sum(told) == 0


@pytest.mark.parametrize("part", ["/pack/", "/index/"])
def test_a_missing_object_is_damage(bank, domain, part):
    info = write(domain, DATA)
    (name,) = [name for name in bank.objects if part in name]
    del bank.objects[name]
    with pytest.raises(errors.IntegrityError):
        domain.read_back([info], nothing)


def test_a_missing_root_is_said_to_be_missing(bank, domain):
    info = write(domain, DATA)
    (name,) = [name for name in bank.objects if "/stream/" in name]
    del bank.objects[name]
    with pytest.raises(errors.ObjectNotFound):
        domain.read_back([info], nothing)


def test_a_lost_older_pack_is_noticed_where_the_new_stream_needs_it(bank, domain):
    noise = random.Random(1).randbytes(MIB)
    write(domain, noise)
    (old,) = [name for name in bank.objects if "/pack/" in name]
    info = write(domain, noise + NOISE)
    domain.read_back([info], nothing)
    del bank.objects[old]
    with pytest.raises(errors.IntegrityError):
        domain.read_back([info], nothing)


def test_an_increment_is_proven_without_reading_what_it_shares(bank, tmp_path):
    counted = FaultyBank(bank)
    domain = open_vault(counted, tmp_path).domain("project")
    noise = random.Random(1).randbytes(MIB)
    base = write(domain, noise * 40)
    info = write(domain, noise * 39 + noise[::-1], base.id, parts(40 * MIB, [(39 * MIB, MIB)], rest=Kind.SAME))
    fresh = open_vault(counted, tmp_path / "fresh").domain("project")
    fresh.has_stream(info.id)
    counted.calls.clear()
    fresh.read_back([info], nothing)
    assert len(counted.calls) < 30


def test_a_stream_whose_base_is_gone_is_followed_to_its_last_leaf(bank, domain):
    base = write(domain, DATA)
    info = write(domain, DATA, base.id, [Extent(0, len(DATA), Kind.SAME)])
    for name in [name for name in bank.objects if base.id in name or "/pack/" in name]:
        del bank.objects[name]
    with pytest.raises(errors.IntegrityError):
        domain.read_back([info], nothing)


def test_progress_is_about_what_was_stored(domain):
    told = []
    info = write(domain, NOISE * 20)
    domain.read_back([info], told.append)
    assert 0.9 * info.bytes_stored < sum(told) <= info.bytes_stored


def test_nothing_to_prove_is_proven(domain, bank):
    domain.read_back([], nothing)
    assert bank.objects == {}


def test_what_advance_raises_ends_the_proof(domain):
    def stop(_: int) -> None:
        raise errors.LeaseLost

    info = write(domain, DATA)
    with pytest.raises(errors.LeaseLost):
        domain.read_back([info], stop)
