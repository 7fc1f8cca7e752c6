# SPDX-License-Identifier: Apache-2.0
"""Can the committed bank with sealed keys be read, by Karbor and from its description alone?"""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from karbor.plugins.banks.filesystem import FilesystemBank
from karbor.vault.keys import MasterKey
from tests.format.tool import Tool
from tests.support.vaults import content_of, open_vault

HERE = Path(__file__).parent / "sealed"
EXPECTED = json.loads((HERE / "expected.json").read_text())


@pytest.fixture
def sample(tmp_path):
    shutil.copytree(HERE, tmp_path / "sample")
    (tmp_path / "sample" / "master.key").chmod(0o600)
    return tmp_path / "sample"


def digest(data):
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def test_every_point_is_found_and_read(sample):
    bank = FilesystemBank(FilesystemBank.Settings(file_system_bank_path=str(sample / "bank")))
    vault = open_vault(bank, sample / "cache", key=MasterKey.load(sample / "master.key"))
    for record_id, document in EXPECTED["records"].items():
        domain = vault.holder(EXPECTED["label"], "checkpoint", record_id)
        assert domain.get_record("checkpoint", record_id) == document
        [stream] = document["resources"][0]["streams"].values()
        assert digest(content_of(domain, stream)) == EXPECTED["streams"][stream]
    vault.close()


def test_every_point_is_read_from_the_description_alone(sample):
    tool = Tool(sample / "bank", sample / "master.key", sample)
    listed = tool.run("list")
    assert listed.code == 0
    assert listed.text.count(f"project {EXPECTED['label']}") == len(EXPECTED["records"])
    for record_id, document in EXPECTED["records"].items():
        [stream] = document["resources"][0]["streams"].values()
        assert digest(tool.restore(record_id).content("vda")) == EXPECTED["streams"][stream]


def test_another_master_key_reads_nothing(sample):
    found = Tool(sample / "bank", bytes(32), sample).run("list")
    assert found.code == 1
    assert found.text.count("LOST domain") == 2


def test_a_destroyed_key_reads_nothing_and_says_why(sample):
    bank = FilesystemBank(FilesystemBank.Settings(file_system_bank_path=str(sample / "bank")))
    vault = open_vault(bank, sample / "cache", key=MasterKey.load(sample / "master.key"))
    vault.destruction().destroy(vault.keyring.domain_name(EXPECTED["label"]), EXPECTED["label"])
    vault.close()
    found = Tool(sample / "bank", sample / "master.key", sample).run("list")
    assert found.code == 1
    assert found.text.count("the key is destroyed") == 2
