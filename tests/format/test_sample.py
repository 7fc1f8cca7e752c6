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
from tests.format.tool import TOOL, Tool
from tests.support.vaults import KEY, BytesSource, content_of, nothing, open_vault

HERE = Path(__file__).parent
VERSIONS = sorted(path.name for path in HERE.glob("v[0-9]*"))


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


@pytest.mark.parametrize("index_is_lost", [False, True])
def test_a_sample_is_read_from_the_description_alone(sample, tmp_path, index_is_lost):
    tool = Tool(sample.path / "bank", sample.path / "master.key", tmp_path)
    tool = tool.without_index() if index_is_lost else tool
    for stream_id, wanted in sample.expected["streams"].items():
        done = tool.restore(stream_id)
        assert (done.code, done.lost) == (0, [])
        assert digest(done.content(stream_id)) == wanted
    listed = tool.run("list").text
    assert "sample-deleted" not in listed
    assert all(record_id in listed for record_id in sample.expected["records"])
    assert tool.restore("sample-1").document == sample.expected["records"]["sample-1"]


@pytest.mark.parametrize("index_is_lost", [False, True])
def test_what_clean_up_left_is_read_from_the_description_alone(tmp_path, index_is_lost):
    bank = FilesystemBank(FilesystemBank.Settings(file_system_bank_path=str(tmp_path / "bank")))
    bank.initialise()
    vault = Vault(bank, master_key=KEY, cache_dir=tmp_path / "cache", clock=Clock())  # as the bank's, for its ages
    domain = vault.domain("project")
    kept = {}
    for number in range(4):
        data = b"".join(hashlib.shake_128(b"%d" % (number + page)).digest(20_000) for page in range(3)) * 2
        data += b"written today " * 100_000 + bytes(5 << 20) + bytes(range(256)) * 100
        info = domain.write_stream(BytesSource(data), advance=nothing)
        domain.read_back([info], nothing)
        saved = {"key": "OS::Nova::Server#1", "streams": {"disk": info.id}}
        domain.put_record("checkpoint", str(number), {"version": 1, "resources": [saved]})
        kept[number] = data
    for number in (0, 2):
        domain.delete_record("checkpoint", str(number))
        del kept[number]
    before = domain.clean_up(Settings(grace=0, small_index=2), pause=lambda _: None)
    assert before.packs_deleted
    assert before.index_objects_deleted
    vault.close()
    tool = Tool(tmp_path / "bank", KEY.secret, tmp_path)
    tool = tool.without_index() if index_is_lost else tool
    for number, data in kept.items():
        done = tool.restore(str(number), "--resource", "OS::Nova::Server#1", "--stream", "disk")
        assert done.code == 0
        assert done.content("disk") == data


def test_a_tombstone_on_a_locked_checkpoint_does_not_count(tmp_path):
    """Whoever deletes a checkpoint closes its locks first; a tombstone beside locks that are open is somebody's."""
    bank = FilesystemBank(FilesystemBank.Settings(file_system_bank_path=str(tmp_path / "bank")))
    bank.initialise()
    vault = open_vault(bank, tmp_path / "cache")
    domain = vault.domain("project")
    for name in ("kept", "lifted"):
        domain.put_record("checkpoint", name, {"version": 1, "resources": [], "plan": {"name": name}})
        domain.lock_record("checkpoint", name, "hold", reason="a trial")
    domain.lock_record("checkpoint", "lifted", "release")
    records = domain._for_writing().records
    records._bury("record/checkpoint/kept", {})  # what somebody with the keys of the service can do
    domain.delete_record("checkpoint", "lifted")
    vault.close()
    text = Tool(tmp_path / "bank", KEY.secret, tmp_path).run("list").text
    assert "kept" in text
    assert "lifted" not in text


def test_a_copy_is_read_from_the_description_alone(sample, tmp_path):
    bank = FilesystemBank(FilesystemBank.Settings(file_system_bank_path=str(tmp_path / "other")))
    bank.initialise()
    other = open_vault(bank, tmp_path / "other-cache")
    earlier = []
    for stream_id in sample.expected["streams"]:
        info = sample.domain.copy_stream(stream_id, other.domain("project"), nothing, earlier=earlier)
        earlier.insert(0, info.id)
    other.close()
    tool = Tool(tmp_path / "other", KEY.secret, tmp_path)
    for copy_id, wanted in zip(reversed(earlier), sample.expected["streams"].values(), strict=True):
        assert digest(tool.restore(copy_id).content(copy_id)) == wanted


def test_a_sample_survives_clean_up(sample):
    report = sample.domain.clean_up(Settings(grace=0), pause=lambda _: None)
    assert report.chunks_lost == 0
    for stream_id, wanted in sample.expected["streams"].items():
        assert digest(content_of(sample.domain, stream_id)) == wanted


def test_the_program_shares_no_code_with_karbor_and_is_short():
    text = TOOL.read_text()
    imports = [line for line in text.splitlines() if line.startswith(("import ", "from "))]
    assert not [line for line in imports if any(name in line for name in ("karbor", "blake3", "xxhash"))]
    assert len(text.splitlines()) <= 400
