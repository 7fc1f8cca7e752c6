# SPDX-License-Identifier: Apache-2.0
"""Is nothing of what users write to be read in a bank, and nothing of its content in the database?"""

import base64
import gzip

import pytest

from karbor.plugins.banks.filesystem import FilesystemBank
from karbor.protection.cleaner import clean_bank
from karbor.vault.cleanup import Settings
from tests.functional.test_operations import PROJECT, PROVIDER, House
from tests.support.markers import dump, found

PLANTED = {
    "plan": "planname-Qz7Kw2Xv9Lm4",
    "description": "described-Rt5Yb8Nc3Hj6",
    "parameters": "parameter-Gd4Fs1Pk7Wq0",
    "resource": "resource-Mx6Vz9Tb2Jn5",
    "data": "content-Uw3Le8Ia5Od1Yg",
    "project": PROJECT,
}


@pytest.fixture
def house(tmp_path):
    (tmp_path / "bank").mkdir()
    bank = FilesystemBank(FilesystemBank.Settings(file_system_bank_path=str(tmp_path / "bank")))
    found_ = House(tmp_path, bank=bank)
    yield found_
    found_.close()


def content():
    """The text in every form that compresses well, badly and not at all."""
    text = PLANTED["data"]
    lines = [text.encode() * 4000, text.encode("utf-16") * 2000, base64.b64encode(text.encode()) * 2000]
    return b"\n".join([*lines, text.encode().hex().encode() * 1000, gzip.compress(text.encode()), text.encode()])


def everything(root):
    """(path, bytes) of every file below a directory: names count too."""
    for path in sorted(root.rglob("*")):
        yield str(path.relative_to(root)), path.read_bytes() if path.is_file() else b""


def test_a_bank_tells_nothing_without_its_key(house, tmp_path):
    (house.files / PLANTED["resource"]).write_bytes(content())
    [resource] = [one for one in house.protectable.list(PROJECT) if one.name == PLANTED["resource"]]
    plan = house.plan([resource.to_dict()])
    plan |= {
        "name": PLANTED["plan"],
        "description": PLANTED["description"],
        "parameters": {"Another::Type": {"label": PLANTED["parameters"]}},
    }
    kept, gone = house.checkpoint(plan), house.checkpoint(plan)
    house.ask("delete", checkpoint_id=gone.id)
    clean_bank(house._parts.providers.get(PROVIDER), Settings(grace=0), pause=lambda _: None)
    house.vault.sealer(PROJECT)
    record = house.vault.domain(PROJECT).get_record("checkpoint", kept.id)
    assert not [text for text in PLANTED.values() if text not in str(record) and text != PLANTED["data"]]
    objects = list(everything(tmp_path / "bank"))
    assert len(objects) > 10
    assert [
        (name, hit) for name, data in objects for hit in found(name.encode() + b"\0" + data, PLANTED.values())
    ] == []


def test_the_forms_that_are_looked_for_would_be_found():
    marker = PLANTED["data"]
    for text in (
        content(),
        gzip.compress(b"x" + marker.encode() * 3),
        b"ab" + base64.b64encode(b"z" + marker.encode()),
    ):
        assert found(b"before" + text, [marker])
    assert not found(bytes(range(256)) * 100, [marker])


def test_caches_of_a_worker_tell_nothing_of_data(house, tmp_path):
    (house.files / PLANTED["resource"]).write_bytes(content())
    [resource] = [one for one in house.protectable.list(PROJECT) if one.name == PLANTED["resource"]]
    house.checkpoint(house.plan([resource.to_dict()]))
    files = list(everything(tmp_path / "cache"))
    assert files
    assert [hit for name, data in files for hit in found(name.encode() + data, PLANTED.values())] == []
    assert found(dump(house.database.engine), [PLANTED["data"]]) == []
