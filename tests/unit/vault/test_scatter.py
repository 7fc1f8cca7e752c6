# SPDX-License-Identifier: Apache-2.0
"""Does a whole stream come out once, in bounded pieces, whatever happens to its packs on the way?"""

import random
import threading

import pytest

from karbor.model import errors
from karbor.sdk.testing.faults import FaultyBank
from tests.support.vaults import KIB, MIB, BytesSource, memory_bank, nothing, open_vault

NOISE = random.Random(9).randbytes(5 * MIB)
DATA = NOISE + bytes(3 * MIB) + NOISE[MIB : 3 * MIB] + b"words " * 200_000 + bytes(MIB + 123)


class Target:
    """A place that starts with some bytes and counts what is put."""

    def __init__(self, content: bytes) -> None:
        self.content = bytearray(content)
        self.puts: list[tuple[int, int]] = []
        self._lock = threading.Lock()

    def put(self, offset: int, *parts: bytes | memoryview) -> None:
        data = b"".join(parts)
        with self._lock:
            self.content[offset : offset + len(data)] = data
            self.puts.append((offset, len(data)))

    def old(self, offset: int, length: int) -> bytes:
        return bytes(self.content[offset : offset + length])

    @property
    def written(self) -> int:
        return sum(length for _, length in self.puts)


@pytest.fixture
def bank():
    return FaultyBank(memory_bank())


@pytest.fixture
def domain(bank, tmp_path):
    vault = open_vault(bank, tmp_path / "one")
    yield vault.domain("project")
    vault.close()


@pytest.fixture
def reader(domain):
    return domain.open_stream(domain.write_stream(BytesSource(DATA), advance=nothing).id)


def test_every_byte_of_data_is_put_once_and_all_is_counted(reader):
    target, counted = Target(bytes(len(DATA))), []
    reader.scatter(target.put, counted.append)
    assert target.content == DATA
    assert sum(counted) == len(DATA)
    places = sorted(target.puts)
    assert all(at + length <= following for (at, length), (following, _) in zip(places, places[1:], strict=False))
    assert target.written < len(DATA) - 4 * MIB + 4 * KIB  # no zeroes


def test_it_needs_few_requests(bank, reader):
    bank.calls.clear()
    reader.scatter(Target(bytes(len(DATA))).put, nothing)
    assert bank.calls.count("get") < 8


def test_an_increment_and_an_empty_stream_come_out_whole(domain):
    base = domain.write_stream(BytesSource(DATA), advance=nothing)
    changed = DATA[:MIB] + random.Random(1).randbytes(8 * KIB) + DATA[MIB + 8 * KIB :]
    info = domain.write_stream(BytesSource(changed), advance=nothing, base_id=base.id)
    target = Target(bytes(len(changed)))
    domain.open_stream(info.id).scatter(target.put, nothing)
    assert target.content == changed
    none = domain.write_stream(BytesSource(b""), advance=nothing)
    domain.open_stream(none.id).scatter(Target(b"").put, nothing)


def test_what_is_there_already_is_neither_read_nor_put(bank, reader):
    held = bytearray(DATA)
    held[2 * MIB : 2 * MIB + 5] = b"other"
    target, counted = Target(held), []
    reader.scatter(lambda *_: None, nothing)  # the nodes are known from here on
    bank.calls.clear()
    reader.scatter(target.put, counted.append, old=target.old)
    assert target.content == DATA
    assert target.puts == [(2 * MIB, 4 * KIB)]
    assert bank.calls.count("get") == 1
    assert sum(counted) == len(DATA)


def test_a_pack_that_moved_meanwhile_is_found_again(bank, domain, reader, tmp_path):
    lost = [name for name in bank.inner.objects if "/pack/" in name]
    index = [name for name in bank.inner.objects if "/index/" in name]
    for name in [*lost, *index]:
        del bank.inner.objects[name]
    open_vault(bank, tmp_path / "two").domain("project").write_stream(BytesSource(DATA), advance=nothing)
    target = Target(bytes(len(DATA)))
    reader.scatter(target.put, nothing)
    assert target.content == DATA


def test_a_fault_of_the_bank_the_target_or_the_caller_ends_it_with_its_reason(bank, reader):
    def full(*_):
        raise OSError("no room")

    def cancelled(*_):
        raise errors.Cancelled()

    with pytest.raises(OSError, match="no room"):
        reader.scatter(full, nothing)
    with pytest.raises(errors.Cancelled):
        reader.scatter(Target(bytes(len(DATA))).put, cancelled)
    bank.fail(1, lasting=True)
    with pytest.raises(errors.BankUnavailable):
        reader.scatter(Target(bytes(len(DATA))).put, nothing)


def test_a_lost_pack_is_damage(bank, reader):
    for name in [name for name in bank.inner.objects if "/pack/" in name]:
        del bank.inner.objects[name]
    with pytest.raises(errors.IntegrityError):
        reader.scatter(Target(bytes(len(DATA))).put, nothing)
