#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What do banks cost: MB/s and CPU seconds of the client for each GB, beside a bare HTTP client on the same server?

    tools/bench/banks.py DIR [--data 512] [--size 16] [--threads 4] [--rounds 3] [--only directory s3 swift]

Puts ``--data`` MiB in objects of ``--size`` MiB into a directory below DIR, into an S3 service (moto, in memory) and
into a Swift, reads them back, and removes them; then the same by urllib3 alone, without signatures, checksums or marks.
Rounds alternate. Servers are started for this. Prints medians, and the ratio of the bank's CPU time to the peer's.
"""

import argparse
import os
import statistics
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import urllib3

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from karbor.plugins.banks.filesystem import FilesystemBank
from karbor.sdk.bank import Bank
from tests.support.moto import moto
from tests.support.stores import s3_bank, swift_bank
from tests.support.swift import KEY, USER, swift

MB, GB = 1e6, 1e9
#: The S3 service wants to know who asks, and asks for no proof.
WHO = "AWS4-HMAC-SHA256 Credential=test/20240101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"


class Peer:
    """Puts and gets by urllib3 alone."""

    def __init__(self, place: str, headers: dict[str, str]) -> None:
        self._place, self._headers = place, headers
        self._pool = urllib3.PoolManager(maxsize=32, retries=False)
        self._send("PUT", "")

    def put_own(self, name: str, data: bytes) -> None:
        self._send("PUT", f"/{name}", data)

    def get(self, name: str) -> bytes:
        return self._send("GET", f"/{name}")

    def delete(self, name: str) -> None:
        self._send("DELETE", f"/{name}")

    def _send(self, method: str, name: str, data: bytes | None = None) -> bytes:
        answer = self._pool.request(method, self._place + name, headers=self._headers, body=data)
        if answer.status >= 300:
            raise RuntimeError(f"{method} {name}: {answer.status}")
        return answer.data


def measured(work: Callable[[str], object], names: list[str], given: argparse.Namespace) -> tuple[float, float]:
    """(MB/s, CPU seconds for each GB) of doing this with all names."""
    nbytes = len(names) * given.size << 20
    begun, spent = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(given.threads) as pool:
        list(pool.map(work, names))
    return nbytes / MB / (time.perf_counter() - begun), (time.process_time() - spent) / (nbytes / GB)


def one_round(store: Bank | Peer, data: bytes, given: argparse.Namespace) -> dict[str, tuple[float, float]]:
    """Put, get and remove."""
    names = [f"pack/{uuid.uuid4().hex}" for _ in range(given.data // given.size)]
    found = {"put": measured(lambda name: store.put_own(name, data), names, given)}
    found["get"] = measured(store.get, names, given)
    for name in names:
        store.delete(name)
    return found


@contextmanager
def stores(given: argparse.Namespace) -> Iterator[dict[str, tuple[Bank, Peer | None]]]:
    """What is compared: each bank and its peer."""
    with ExitStack() as stack:
        found: dict[str, tuple[Bank, Peer | None]] = {}
        if "directory" in given.only:
            found["directory"] = (
                FilesystemBank(FilesystemBank.Settings(file_system_bank_path=str(given.directory))),
                None,
            )
        if "s3" in given.only:
            url = stack.enter_context(moto()).url
            found["s3"] = s3_bank(url), Peer(f"{url}/peer", {"Authorization": WHO})
        if "swift" in given.only:
            server = stack.enter_context(swift())
            login = {"X-Auth-User": USER, "X-Auth-Key": KEY}
            said = urllib3.request("GET", server.auth_url, headers=login).headers
            peer = Peer(f"{said['X-Storage-Url']}/peer", {"X-Auth-Token": said["X-Auth-Token"]})
            found["swift"] = swift_bank(server.url), peer
        for bank, _ in found.values():
            bank.initialise()
        yield found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--data", type=int, default=512, help="MiB")
    parser.add_argument("--size", type=int, default=16, help="MiB of one object")
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=["directory", "s3", "swift"])
    given = parser.parse_args()
    data = os.urandom(given.size << 20)
    rows: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    with stores(given) as compared:
        for _ in range(given.rounds):
            for name, (bank, peer) in compared.items():
                for who, store in (("bank", bank), ("urllib3", peer)):
                    if store is not None:
                        for what, figures in one_round(store, data, given).items():
                            rows.setdefault((name, what, who), []).append(figures)
    print(f"{'store':10} {'':4} {'who':8} {'MB/s':>8} {'CPU s/GB':>9} {'of peer':>8}")
    for (name, what, who), figures in rows.items():
        speed, cpu = (statistics.median(column) for column in zip(*figures, strict=True))
        peers = rows.get((name, what, "urllib3"))
        ratio = f"{cpu / statistics.median(one for _, one in peers):8.2f}" if peers and who == "bank" else ""
        print(f"{name:10} {what:4} {who:8} {speed:8.0f} {cpu:9.2f} {ratio}")
    print(f"load average {os.getloadavg()[0]:.1f}, {given.rounds} rounds of {given.data} MiB, {given.threads} threads")


if __name__ == "__main__":
    main()
