#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What does a worker do with one disk? The data path alone, as a process that can be measured.

    tools/bench/vault_child.py backup BANK DISK [--base STREAM --changed RANGES.json] [--nbd] [--threads 2] [--unproven]
    tools/bench/vault_child.py restore BANK TARGET --base STREAM

BANK is a directory bank, made where it is missing; keys and caches lie beside it. Content is compressed and encrypted
as in the service, and read back from the bank unless ``--unproven``. ``--nbd`` reads the disk through qemu-nbd, as the
service does. Prints JSON: the stream, and wall and CPU seconds of each part without the start of the process.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from karbor.common.clock import Clock
from karbor.common.memory import give_back_early
from karbor.plugins.banks.filesystem import FilesystemBank
from karbor.sdk.streams import Extent, Kind, Source
from karbor.vault.keys import MasterKey
from karbor.vault.vault import Vault
from karbor.virt.diskwriter import write_image
from karbor.virt.nbdserver import qemu_nbd
from karbor.virt.source import NbdSource
from tools.bench.disk import data_ranges

PROJECT = "bench"


class RawDisk:
    """A raw image as a Source. ``data`` are the ranges to read; the rest is ``rest``."""

    def __init__(self, path: Path, data: Sequence[tuple[int, int]], rest: Kind) -> None:
        self._handle = os.open(path, os.O_RDONLY)
        self.size = os.fstat(self._handle).st_size
        self._data, self._rest = data, rest

    def extents(self) -> Iterator[Extent]:
        end = 0
        for offset, length in self._data:
            if offset > end:
                yield Extent(end, offset - end, self._rest)
            yield Extent(offset, length, Kind.DATA)
            end = offset + length
        if end < self.size:
            yield Extent(end, self.size - end, self._rest)

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self._handle, length, offset)

    def read_into(self, offset: int, into: memoryview) -> None:
        os.preadv(self._handle, [into], offset)


class Dirty:
    """An NBD source of which only some ranges changed."""

    def __init__(self, source: NbdSource, path: Path, data: Sequence[tuple[int, int]]) -> None:
        self.size = source.size
        self.read = source.read
        self.read_into = source.read_into
        self.extents = RawDisk(path, data, Kind.SAME).extents


@contextmanager
def opened(disk: Path, changed: list[tuple[int, int]] | None, *, nbd: bool, threads: int) -> Iterator[Source]:
    """The disk as the service would see it."""
    if not nbd:
        ranges = data_ranges(disk) if changed is None else changed
        yield RawDisk(disk, ranges, Kind.ZERO if changed is None else Kind.SAME)
        return
    with ExitStack() as stack:
        sockets = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        path = stack.enter_context(qemu_nbd(str(disk), "raw", export="disk", socket_dir=sockets))
        source = stack.enter_context(NbdSource(path, "disk", connections=threads + 1))
        yield source if changed is None else Dirty(source, disk, changed)


@contextmanager
def part(name: str, found: dict[str, object]) -> Iterator[None]:
    """Write down what a part of the work takes."""
    begun, spent = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
    yield
    now = resource.getrusage(resource.RUSAGE_SELF)
    cpu = now.ru_utime + now.ru_stime - spent.ru_utime - spent.ru_stime
    found[name] = {"wall": time.monotonic() - begun, "cpu": cpu}


def vault_of(bank: Path, threads: int) -> Vault:
    store = FilesystemBank(FilesystemBank.Settings(file_system_bank_path=str(bank)))
    store.initialise()
    # Always the same key: this bank is for nothing else.
    return Vault(
        store, master_key=MasterKey(bytes(32)), cache_dir=bank.with_name("cache"), clock=Clock(), threads=threads
    )


def main() -> None:
    """See the module text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("backup", "restore"))
    parser.add_argument("bank", type=Path)
    parser.add_argument("disk", type=Path)
    parser.add_argument("--base")
    parser.add_argument("--changed", type=Path)
    parser.add_argument("--nbd", action="store_true")
    parser.add_argument("--unproven", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    give_back_early()  # as all daemons do
    found: dict[str, object] = {}
    vault = vault_of(given.bank, given.threads)
    domain = vault.domain(PROJECT)
    if given.verb == "restore":
        with part("restore", found), tempfile.TemporaryDirectory(prefix="bench-") as sockets:
            reader = domain.open_stream(given.base)
            write_image(str(given.disk), "raw", reader, lambda _: None, socket_dir=sockets, threads=given.threads)
    else:
        changed = [tuple(one) for one in json.loads(given.changed.read_text())] if given.changed else None
        with part("write", found), opened(given.disk, changed, nbd=given.nbd, threads=given.threads) as source:
            info = domain.write_stream(source, base_id=given.base, advance=lambda _: None)
        if not given.unproven:
            with part("read back", found):
                domain.read_back([info], lambda _: None)
        found.update(stream=info.id, read=info.bytes_read, stored=info.bytes_stored)
    vault.close()
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
