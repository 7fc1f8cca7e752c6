# SPDX-License-Identifier: Apache-2.0
"""How was the sample repository of a format version made? ``python -m tests.format.make_sample DIRECTORY``

Run once per version; the result is committed and never made again, because every later reader must open it.
"""

import hashlib
import json
import random
import sys
import tempfile
from pathlib import Path

from karbor.plugins.banks.filesystem import FilesystemBank
from karbor.sdk.streams import Kind
from karbor.vault.keys import MasterKey
from tests.support.vaults import KIB, MIB, BytesSource, nothing, open_vault, parts

LABEL = "0b1d0c5e7f6a4b1c9d8e7f6a5b4c3d2e"
KEY = bytes(range(100, 132))


def contents():
    """Three generations of one disk: text, noise, zeroes; a small change and growth; a change and shrinking."""
    numbers = random.Random(1)
    first = bytearray(40 * MIB)
    first[: 2 * MIB] = (b"The quick brown fox jumps over the lazy dog. " * 50_000)[: 2 * MIB]
    first[33 * MIB : 33 * MIB + 24 * KIB] = numbers.randbytes(24 * KIB)
    second = first + bytes(MIB) + b"grown" * 1000
    second[33 * MIB + 8 * KIB : 33 * MIB + 12 * KIB] = numbers.randbytes(4 * KIB)
    third = second[: 33 * MIB + 20 * KIB + 77]
    third[512:1024] = b"\xaa" * 512
    changed = (
        [(0, 4 * MIB), (33 * MIB, MIB)],
        [(33 * MIB, 64 * KIB), (40 * MIB, len(second) - 40 * MIB)],
        [(0, 64 * KIB)],
    )
    return list(zip((bytes(first), bytes(second), bytes(third)), changed, strict=True))


def main(directory: Path) -> None:
    bank = FilesystemBank(FilesystemBank.Settings(file_system_bank_path=str(directory / "bank")))
    bank.initialise()
    (directory / "master.key").write_text(KEY.hex() + "\n")
    with tempfile.TemporaryDirectory() as cache:
        vault = open_vault(bank, Path(cache), key=MasterKey(KEY))
        domain = vault.domain(LABEL)
        expected = {"label": LABEL, "streams": {}, "records": {}}
        base_id = None
        for number, (data, changed) in enumerate(contents()):
            rest = Kind.ZERO if base_id is None else Kind.SAME
            source = BytesSource(data, parts(len(data), changed, rest=rest))
            info = domain.write_stream(source, base_id=base_id, advance=nothing)
            domain.read_back([info], nothing)
            base_id = info.id
            expected["streams"][info.id] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            document = {"version": 1, "number": number, "streams": {"vda": info.to_dict()}}
            domain.put_record("checkpoint", f"sample-{number}", document)
            expected["records"][f"sample-{number}"] = document
        domain.put_record("checkpoint", "sample-deleted", {"version": 1})
        domain.delete_record("checkpoint", "sample-deleted")
        vault.close()
    (directory / "expected.json").write_text(json.dumps(expected, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
