# SPDX-License-Identifier: Apache-2.0
"""Does a sealed login tell nothing, and open only for whom and what it was sealed?"""

import stat

import pytest

from karbor.clients.sealedlogins import LoginSeal
from karbor.model import errors
from tests.support.markers import found

LOGIN = {"url": "http://there/v3", "given": {"password": "hunter-Kd8Zx3Vb6Nq1"}}


@pytest.fixture
def path(tmp_path):
    LoginSeal.create(tmp_path / "key")
    return tmp_path / "key"


def test_a_login_opens_for_its_purpose_only(path):
    sealed = LoginSeal.load(path).seal("restore-1", LOGIN)
    assert found(sealed.encode(), ["hunter-Kd8Zx3Vb6Nq1"]) == []
    assert LoginSeal.load(path).open("restore-1", sealed) == LOGIN
    with pytest.raises(errors.KeyUnavailable, match="cannot be opened"):
        LoginSeal.load(path).open("restore-2", sealed)


def test_after_a_change_of_keys_the_old_ones_open_and_the_new_one_seals(path, tmp_path):
    old = LoginSeal.load(path).seal("r", LOGIN)
    LoginSeal.create(tmp_path / "new")
    both = tmp_path / "both"
    both.write_bytes((tmp_path / "new").read_bytes() + path.read_bytes())
    both.chmod(0o600)
    seal = LoginSeal.load(both)
    assert seal.open("r", old) == LOGIN
    assert LoginSeal.load(tmp_path / "new").open("r", seal.seal("r", LOGIN)) == LOGIN
    with pytest.raises(errors.KeyUnavailable):
        LoginSeal.load(tmp_path / "new").open("r", old)


def test_damage_does_not_open(path):
    seal = LoginSeal.load(path)
    sealed = seal.seal("r", LOGIN)
    for wrong in ("", "x", sealed[:-4], sealed[:20] + "A" + sealed[21:]):
        with pytest.raises(errors.KeyUnavailable):
            seal.open("r", wrong)


def test_a_key_file_is_private_and_never_replaced(path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(errors.Conflict):
        LoginSeal.create(path)
    path.chmod(0o640)
    with pytest.raises(errors.ConfigurationError, match="open to others"):
        LoginSeal.load(path)


@pytest.mark.parametrize("text", [b"", b"short\n", b"\xff" * 44])
def test_a_file_without_keys_is_a_wrong_setting(path, text):
    path.write_bytes(text)
    with pytest.raises(errors.ConfigurationError, match="does not hold keys"):
        LoginSeal.load(path)


def test_a_lost_key_file_is_a_key_that_is_not_there(tmp_path):
    with pytest.raises(errors.KeyUnavailable):
        LoginSeal.load(tmp_path / "none")
