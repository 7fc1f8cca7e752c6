# SPDX-License-Identifier: Apache-2.0
"""How was the sample with sealed keys (key scheme 2) made? ``python -m tests.format.make_sealed_sample DIRECTORY``

Run once; the result is committed and never made again, because every later reader must open it. One point was stored
by a worker with the master key, two more by one that only seals.
"""

import hashlib
import json
import sys
import tempfile
from pathlib import Path

from karbor.plugins.banks.filesystem import FilesystemBank
from karbor.sdk.streams import Kind
from karbor.vault.keys import MasterKey
from karbor.vault.sealring import Sealers
from tests.support.vaults import KIB, BytesSource, nothing, open_vault, parts

LABEL = "5ea1ed0c7f6a4b1c9d8e7f6a5b4c3d2e"
KEY = bytes(range(50, 82))


def contents():
    """What the points hold: text that repeats, and a change of it."""
    first = b"What is sealed here is opened elsewhere. " * 20_000
    return first, first[: 64 * KIB] + b"*" * 4096 + first[68 * KIB :]


def main(directory: Path) -> None:
    bank = FilesystemBank(FilesystemBank.Settings(file_system_bank_path=str(directory / "bank")))
    bank.initialise()
    (directory / "master.key").write_text(KEY.hex() + "\n")
    expected: dict = {"label": LABEL, "streams": {}, "records": {}}

    def point(domain, number, data, extents=None, base=None):
        info = domain.write_stream(BytesSource(data, extents), base_id=base, advance=nothing)
        domain.read_back([info], nothing)
        resource = {"key": "OS::Nova::Server#1", "streams": {"vda": info.id}}
        document = {"version": 1, "checkpoint_id": f"sample-{number}", "project_id": LABEL, "resources": [resource]}
        domain.put_record("checkpoint", f"sample-{number}", document)
        expected["streams"][info.id] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        expected["records"][f"sample-{number}"] = document
        return info.id

    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        first, second = contents()
        full = open_vault(bank, root / "full", key=MasterKey(KEY))
        point(full.domain(LABEL), 0, first)
        full.sealer(LABEL).save(root / "project.seal")
        sealing = open_vault(bank, root / "sealing", key=Sealers(root))
        base = point(sealing.domain(LABEL), 1, first)
        changed = parts(len(second), [(64 * KIB, 4096)], rest=Kind.SAME)
        point(sealing.domain(LABEL), 2, second, changed, base)
        full.close()
        sealing.close()
    (directory / "expected.json").write_text(json.dumps(expected, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
