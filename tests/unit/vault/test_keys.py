# SPDX-License-Identifier: Apache-2.0
"""Are key files read strictly, never made silently, and do wrapped keys open only where they belong?"""

import base64

import pytest

from karbor.model import errors
from karbor.vault.keys import DomainKeys, MasterKey
from tests.support.vaults import KEY


def key_file(path, text, mode=0o600):
    path.write_bytes(text)
    path.chmod(mode)
    return path


def test_a_key_that_was_made_can_be_loaded(tmp_path):
    made = MasterKey.create(tmp_path / "key")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert MasterKey.load(tmp_path / "key") == made


def test_a_key_is_never_overwritten(tmp_path):
    made = MasterKey.create(tmp_path / "key")
    with pytest.raises(errors.Conflict):
        MasterKey.create(tmp_path / "key")
    assert MasterKey.load(tmp_path / "key") == made


def test_a_missing_key_is_not_made(tmp_path):
    with pytest.raises(errors.KeyUnavailable) as caught:
        MasterKey.load(tmp_path / "key")
    assert caught.value.next_action
    assert list(tmp_path.iterdir()) == []


def test_hex_and_base64_are_both_read(tmp_path):
    secret = bytes(range(32))
    for text in (secret.hex().encode(), base64.b64encode(secret) + b"\n"):
        assert MasterKey.load(key_file(tmp_path / "key", text)).secret == secret


@pytest.mark.parametrize("text", [b"", b"short", b"\xff" * 32, b"zz" * 32, base64.b64encode(bytes(31))])
def test_what_is_no_key_is_refused(tmp_path, text):
    with pytest.raises(errors.ConfigurationError):
        MasterKey.load(key_file(tmp_path / "key", text))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_that_others_can_read_is_refused(tmp_path, mode):
    with pytest.raises(errors.ConfigurationError) as caught:
        MasterKey.load(key_file(tmp_path / "key", bytes(32).hex().encode(), mode))
    assert "chmod 600" in caught.value.next_action


def test_a_directory_is_no_key(tmp_path):
    with pytest.raises(errors.ConfigurationError):
        MasterKey.load(tmp_path)


def test_a_key_does_not_show_itself():
    assert KEY.secret.hex() not in repr(KEY)
    assert repr(KEY.secret) not in repr(KEY)
    assert "b'" not in repr(DomainKeys.from_data_key(bytes(32)))


def test_a_wrapped_document_opens_where_it_lies_and_nowhere_else():
    wrapped = KEY.wrap("d/one/key/", {"key": "secret"})
    assert b"secret" not in wrapped
    assert KEY.unwrap("d/one/key/", wrapped) == {"key": "secret"}
    with pytest.raises(errors.IntegrityError):
        KEY.unwrap("d/two/key/", wrapped)


def test_another_master_key_is_told_apart_from_damage():
    wrapped = KEY.wrap("d/one/key/", {"key": "secret"})
    assert MasterKey(bytes(32)).unwrap("d/one/key/", wrapped) is None


def test_every_flipped_bit_of_a_wrapped_key_is_noticed():
    wrapped = KEY.wrap("k", {"key": "secret"})
    for at in range(len(wrapped)):
        damaged = bytearray(wrapped)
        damaged[at] ^= 1
        try:
            assert KEY.unwrap("k", bytes(damaged)) is None
            assert 16 <= at < 32  # the id of the master key: taken for another key, never opened
        except errors.IntegrityError:
            pass


def test_a_wrapped_key_that_was_cut_off_is_damage():
    for length in (0, 10, 43, 50):
        with pytest.raises(errors.IntegrityError):
            KEY.unwrap("k", KEY.wrap("k", {"key": "secret"})[:length])
