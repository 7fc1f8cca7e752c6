# SPDX-License-Identifier: Apache-2.0
"""Do the master keys come from where the settings say?"""

import pytest

from karbor.model import errors
from karbor.vault.keys import MasterKey
from karbor.vault.keysource import CASTELLAN, FILE, KeySource
from tests.support import secretkeeper


def test_from_files_the_first_wraps(tmp_path):
    new, old = (MasterKey.create(tmp_path / name) for name in ("new", "old"))
    found = KeySource(FILE, str(tmp_path / "new"), [str(tmp_path / "old")]).load()
    assert list(found.ids) == [new.id, old.id]
    with pytest.raises(errors.KeyUnavailable):
        KeySource(FILE, str(tmp_path / "new"), [str(tmp_path / "gone")]).load()


def test_from_a_key_manager(tmp_path):
    secretkeeper.SECRETS.update(new=b"n" * 32, old=b"o" * 32)
    found = KeySource(CASTELLAN, "new", ["old"], secretkeeper.settings(tmp_path)).load()
    assert list(found.ids) == [MasterKey(b"n" * 32).id, MasterKey(b"o" * 32).id]
    secretkeeper.SECRETS.clear()
