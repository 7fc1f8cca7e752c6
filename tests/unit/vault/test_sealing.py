# SPDX-License-Identifier: Apache-2.0
"""Does a sealed key open for its domain alone, and is a sealer file kept as a secret?"""

import pytest

from karbor.model import errors
from karbor.vault.keys import MasterKey
from karbor.vault.sealing import Sealer, parent_of, unseal

DATA_KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
PARENT = "ab" * 16
PLACE = f"d/{'cd' * 16}/key/"
CONTENT = {"version": 1, "label": "project", "key": "00" * 32, "created": ""}


@pytest.fixture
def sealer():
    return Sealer.of(DATA_KEY, bank="bank", domain=PARENT, label="project")


def test_the_data_key_opens_what_was_sealed(sealer):
    sealed = sealer.seal(PLACE, CONTENT)
    assert unseal(DATA_KEY, PLACE, sealed) == CONTENT
    assert parent_of(sealed) == PARENT
    assert sealer.seal(PLACE, CONTENT) != sealed


def test_no_other_key_opens_it_nor_at_another_place_nor_changed(sealer):
    sealed = sealer.seal(PLACE, CONTENT)
    flipped = [sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :] for at in (17, 33, 63, 70, len(sealed) - 1)]
    tries = [(OTHER, PLACE, sealed), (DATA_KEY, "d/x/key/", sealed), (DATA_KEY, PLACE, sealed[:40])]
    for key, place, data in tries + [(DATA_KEY, PLACE, data) for data in flipped]:
        with pytest.raises(errors.IntegrityError):
            unseal(key, place, data)
    with pytest.raises(errors.IntegrityError):  # a point of small order makes a secret that all know
        unseal(DATA_KEY, PLACE, sealed[:32] + bytes(32) + sealed[64:])


def test_other_wrapped_keys_have_no_parent():
    assert parent_of(MasterKey(DATA_KEY).wrap(PLACE, CONTENT)) is None
    assert parent_of(b"") is None


def test_a_file_is_read_back_and_never_replaced(sealer, tmp_path):
    path = tmp_path / "project.seal"
    sealer.save(path)
    assert Sealer.load(path) == sealer
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(errors.Conflict):
        sealer.save(path)
    assert sealer.secret.hex() not in repr(sealer)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 2}', "\x00"])
def test_a_file_that_is_none_is_refused(tmp_path, text):
    path = tmp_path / "project.seal"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(errors.ConfigurationError):
        Sealer.load(path)


def test_a_file_that_others_can_read_or_that_is_missing_is_refused(sealer, tmp_path):
    path = tmp_path / "project.seal"
    with pytest.raises(errors.KeyUnavailable):
        Sealer.load(path)
    sealer.save(path)
    path.chmod(0o640)
    with pytest.raises(errors.ConfigurationError):
        Sealer.load(path)
