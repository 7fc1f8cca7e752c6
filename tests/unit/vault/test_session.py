# SPDX-License-Identifier: Apache-2.0
"""What is left when the bank, or the process, fails in the middle of a write?"""

import random
import threading

import pytest

from karbor.model import errors
from karbor.sdk.streams import Kind
from karbor.sdk.testing.faults import FaultyBank
from karbor.vault import format
from tests.support.vaults import MIB, BytesSource, content_of, full, memory_bank, nothing, open_vault, parts

NOISE = random.Random(3).randbytes(20 * MIB)
SMALL = random.Random(4).randbytes(300_000)


def write(domain, data, base_id=None, extents=None):
    return domain.write_stream(BytesSource(data, extents), base_id=base_id, advance=nothing)


def calls_of_a_write(tmp_path):
    bank = FaultyBank(memory_bank())
    domain = open_vault(bank, tmp_path / "count").domain("project")
    bank.calls.clear()
    domain.read_back([write(domain, SMALL)], nothing)
    return len(bank.calls)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("lasting", [False, True])
def test_a_failure_of_any_call_leaves_nothing_half_visible_and_a_new_try_works(tmp_path, after, lasting):
    for nth in range(1, calls_of_a_write(tmp_path) + 1):
        inner = memory_bank()
        bank = FaultyBank(inner)
        vault = open_vault(bank, tmp_path / f"{after}-{lasting}-{nth}")
        domain = vault.domain("project")
        bank.fail(nth, after=after, lasting=lasting)
        with pytest.raises(errors.BankUnavailable):
            domain.read_back([write(domain, SMALL)], nothing)
        bank.heal()
        # Whatever became visible can be read from the bank alone, by a worker that knows nothing.
        other = open_vault(inner, tmp_path / f"{after}-{lasting}-{nth}-other")
        for name in list(inner.objects):
            if "/stream/" in name:
                assert content_of(other.domain("project"), name.rpartition("/")[2]) == SMALL
        info = write(domain, SMALL)
        domain.read_back([info], nothing)
        assert content_of(domain, info.id) == content_of(other.domain("project"), info.id) == SMALL
        vault.close()
        other.close()


def test_after_a_crash_behind_the_packs_they_are_found_again(tmp_path):
    inner = memory_bank()
    bank = FaultyBank(inner)
    vault = open_vault(bank, tmp_path)
    domain = vault.domain("project")
    write(domain, b"")  # makes the keys
    bank.fail(2, method="put_if_absent", lasting=True)  # the pack is put, the index object is not
    with pytest.raises(errors.BankUnavailable):
        write(domain, SMALL)
    vault.close()
    stored = sum(len(data) for data in inner.objects.values())
    vault = open_vault(inner, tmp_path)
    info = write(vault.domain("project"), SMALL)
    assert sum(len(data) for data in inner.objects.values()) - stored < 2000
    # The pack of the first try is read back with the second one, although that did not write it.
    vault.domain("project").read_back([info], nothing)
    name = next(name for name in inner.objects if "/pack/" in name)
    damaged = bytearray(inner.objects[name])
    damaged[100] ^= 1
    inner.objects[name] = bytes(damaged)
    with pytest.raises(errors.IntegrityError):
        vault.domain("project").read_back([info], nothing)


def test_a_pack_that_vanished_since_is_written_again(tmp_path):
    bank = memory_bank()
    domain = open_vault(bank, tmp_path).domain("project")
    write(domain, SMALL)
    for name in [name for name in bank.objects if "/pack/" in name]:
        del bank.objects[name]
    info = write(domain, SMALL)
    with pytest.raises(errors.IntegrityError):
        domain.read_back([info], nothing)
    info = write(domain, SMALL)
    domain.read_back([info], nothing)
    assert content_of(domain, info.id) == SMALL


@pytest.mark.parametrize("error", [errors.BankFull, errors.BankUnavailable])
def test_a_full_bank_ends_the_write_with_its_own_error_and_no_thread_left(tmp_path, error):
    bank = FaultyBank(memory_bank())
    domain = open_vault(bank, tmp_path).domain("project")
    write(domain, b"")
    before = threading.active_count()
    bank.fail(1, method="put_if_absent", error=error, lasting=True)
    with pytest.raises(error) as caught:
        write(domain, NOISE)
    assert type(caught.value) is error
    assert threading.active_count() == before
    bank.heal()
    assert content_of(domain, write(domain, NOISE).id) == NOISE


def test_a_put_that_took_effect_although_it_failed_is_no_obstacle(tmp_path):
    class Forgetful(FaultyBank):
        """Tries again by itself, as a layer for retries would: the second try finds the name taken."""

        def put_if_absent(self, name, data):
            made = super().put_if_absent(name, data)
            return False if "/pack/" in name or "/index/" in name or "/stream/" in name else made

    domain = open_vault(Forgetful(memory_bank()), tmp_path).domain("project")
    info = write(domain, SMALL)
    domain.read_back([info], nothing)
    assert content_of(domain, info.id) == SMALL


def test_many_chunks_are_listed_in_more_than_one_index_object(tmp_path):
    class Checkered(BytesSource):
        """Every second page holds its number, the others are zeroes: a chunk per page."""

        def read(self, offset, length):
            pages = range(offset // 4096, (offset + length) // 4096)
            return b"".join(bytes(4096) if page % 2 else (page + 1).to_bytes(4096) for page in pages)

    source = Checkered(b"", full(2 * 4096 * (format.INDEX_ENTRIES + 100)))
    source.size = 2 * 4096 * (format.INDEX_ENTRIES + 100)
    domain = open_vault(memory_bank(), tmp_path).domain("project")
    info = domain.write_stream(source, advance=nothing)
    assert len(info.packs) == 2
    domain.read_back([info], nothing)
    assert domain.open_stream(info.id).read(0, 16 * MIB) == source.read(0, 16 * MIB)


def test_two_writers_of_the_same_content_both_end_well(tmp_path):
    bank = memory_bank()
    domain = open_vault(bank, tmp_path).domain("project")
    write(domain, b"")
    meet = threading.Barrier(2)
    found = []

    class Together(BytesSource):
        def read(self, offset, length):
            if offset == 0:
                meet.wait(30)
            return super().read(offset, length)

    def work():
        found.append(domain.write_stream(Together(NOISE), advance=nothing))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    domain.read_back(found, nothing)
    for info in found:
        assert content_of(domain, info.id) == NOISE


def test_a_base_is_followed_after_a_crash(tmp_path):
    bank = FaultyBank(memory_bank())
    domain = open_vault(bank, tmp_path).domain("project")
    base = write(domain, NOISE)
    changed = NOISE[:MIB] + SMALL[: MIB // 4] + NOISE[MIB + MIB // 4 :]
    extents = parts(len(NOISE), [(MIB, MIB // 4)], rest=Kind.SAME)
    bank.fail(1, method="put_if_absent", after=True)
    with pytest.raises(errors.BankUnavailable):
        write(domain, changed, base.id, extents)
    info = write(domain, changed, base.id, extents)
    domain.read_back([info], nothing)
    assert content_of(domain, info.id) == changed
