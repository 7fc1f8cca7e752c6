# SPDX-License-Identifier: Apache-2.0
"""Can every committed sample repository be read, by Karbor and from its description alone?"""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from karbor.common.clock import Clock
from karbor.model import errors
from karbor.plugins.banks.filesystem import FilesystemBank
from karbor.vault.cleanup import Settings
from karbor.vault.keys import MasterKey
from karbor.vault.vault import Vault
from tests.format.plain_reader import PlainReader
from tests.support.vaults import KEY, BytesSource, content_of, nothing, open_vault

HERE = Path(__file__).parent
VERSIONS = sorted(path.name for path in HERE.glob("v[0-9]*"))
READINGS = ("learn_index_objects", "learn_packs")


class Sample:
    """A copy of a sample repository."""

    def __init__(self, version, tmp_path):
        shutil.copytree(HERE / version, tmp_path / "sample")
        self.path = tmp_path / "sample"
        (self.path / "master.key").chmod(0o600)
        self.key = MasterKey.load(self.path / "master.key")
        self.bank = FilesystemBank(FilesystemBank.Settings(file_system_bank_path=str(self.path / "bank")))
        self.expected = json.loads((self.path / "expected.json").read_text())
        self.vault = open_vault(self.bank, tmp_path / "cache", key=self.key)
        self.domain = self.vault.domain(self.expected["label"])


@pytest.fixture(params=VERSIONS)
def sample(request, tmp_path):
    found = Sample(request.param, tmp_path)
    yield found
    found.vault.close()


def digest(data):
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def test_there_is_a_sample():
    assert "v1" in VERSIONS


def test_streams_and_records_are_read(sample):
    for stream_id, wanted in sample.expected["streams"].items():
        assert digest(content_of(sample.domain, stream_id)) == wanted
    for record_id, document in sample.expected["records"].items():
        assert sample.domain.get_record("checkpoint", record_id) == document
    assert list(sample.domain.records("checkpoint")) == sorted(sample.expected["records"])
    with pytest.raises(errors.ObjectNotFound):
        sample.domain.get_record("checkpoint", "sample-deleted")


def test_a_sample_can_be_written_on(sample):
    data = b"a new stream in an old repository" * 1000
    info = sample.domain.write_stream(BytesSource(data), advance=nothing)
    sample.domain.read_back([info], nothing)
    assert content_of(sample.domain, info.id) == data


@pytest.mark.parametrize("learn", READINGS)
def test_a_sample_is_read_from_the_description_alone(sample, learn):
    container = sample.path / "bank" / "karbor"
    reader = PlainReader(container, master=sample.key.secret, label=sample.expected["label"])
    getattr(reader, learn)()
    for stream_id, wanted in sample.expected["streams"].items():
        assert digest(reader.stream(stream_id)) == wanted
    for record_id, document in sample.expected["records"].items():
        assert reader.document(f"record/checkpoint/{record_id}") == document


@pytest.mark.parametrize("learn", READINGS)
def test_what_is_written_today_is_read_from_the_description_alone(tmp_path, learn):
    bank = FilesystemBank(FilesystemBank.Settings(file_system_bank_path=str(tmp_path)))
    bank.initialise()
    data = b"written today " * 100_000 + bytes(5 << 20) + bytes(range(256)) * 100
    domain = open_vault(bank, tmp_path / "cache").domain("project")
    info = domain.write_stream(BytesSource(data), advance=nothing)
    reader = PlainReader(tmp_path / "karbor", master=bytes(range(32)), label="project")
    getattr(reader, learn)()
    assert reader.stream(info.id) == data


@pytest.mark.parametrize("learn", READINGS)
def test_what_clean_up_left_is_read_from_the_description_alone(tmp_path, learn):
    bank = FilesystemBank(FilesystemBank.Settings(file_system_bank_path=str(tmp_path)))
    bank.initialise()
    vault = Vault(bank, master_key=KEY, cache_dir=tmp_path / "cache", clock=Clock())  # as the bank's, for its ages
    domain = vault.domain("project")
    kept = {}
    for number in range(4):
        data = b"".join(hashlib.shake_128(b"%d" % (number + page)).digest(20_000) for page in range(3)) * 2
        info = domain.write_stream(BytesSource(data), advance=nothing)
        domain.read_back([info], nothing)
        domain.put_record("checkpoint", str(number), {"version": 1, "streams": [info.id]})
        kept[number] = (info.id, data)
    for number in (0, 2):
        domain.delete_record("checkpoint", str(number))
        del kept[number]
    before = domain.clean_up(Settings(grace=0, small_index=2), pause=lambda _: None)
    assert before.packs_deleted
    assert before.index_objects_deleted
    vault.close()
    reader = PlainReader(tmp_path / "karbor", master=bytes(range(32)), label="project")
    getattr(reader, learn)()
    for stream_id, data in kept.values():
        assert reader.stream(stream_id) == data


def test_a_sample_survives_clean_up(sample):
    report = sample.domain.clean_up(Settings(grace=0), pause=lambda _: None)
    assert report.chunks_lost == 0
    for stream_id, wanted in sample.expected["streams"].items():
        assert digest(content_of(sample.domain, stream_id)) == wanted


def test_the_plain_reader_needs_nothing_of_karbor():
    text = (HERE / "plain_reader.py").read_text()
    imports = [line for line in text.splitlines() if line.startswith(("import ", "from "))]
    assert not [line for line in imports if any(name in line for name in ("karbor", "blake3", "xxhash"))]
