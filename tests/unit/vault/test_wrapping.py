# SPDX-License-Identifier: Apache-2.0
"""Which of several master keys wraps, and which can open?"""

import pytest

from karbor.model import errors
from karbor.vault.keys import MasterKey
from karbor.vault.wrapping import MasterKeys

OLD, NEW, FOREIGN = (MasterKey(bytes([number]) * 32) for number in range(3))
CONTENT = {"key": "secret"}


@pytest.mark.parametrize("keys", [OLD, MasterKeys(OLD), MasterKeys(NEW, [OLD])])
def test_what_any_of_them_wrapped_is_opened(keys):
    assert keys.unwrap("place/", OLD.wrap("place/", CONTENT)) == CONTENT
    assert keys.unwrap("place/", FOREIGN.wrap("place/", CONTENT)) is None
    with pytest.raises(errors.IntegrityError):
        keys.unwrap("other/", OLD.wrap("place/", CONTENT))


def test_the_first_wraps():
    keys = MasterKeys(NEW, [OLD, NEW])
    assert keys.id == NEW.id
    assert list(keys.ids) == [NEW.id, OLD.id]
    wrapped = keys.wrap("place/", CONTENT)
    assert NEW.unwrap("place/", wrapped) == CONTENT
    assert OLD.unwrap("place/", wrapped) is None
