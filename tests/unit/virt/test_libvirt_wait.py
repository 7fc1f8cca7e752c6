# SPDX-License-Identifier: Apache-2.0
"""Does every wait end?"""

import pytest

from karbor.model import errors
from karbor.virt.libvirt_wait import wait_until


def test_it_returns_as_soon_as_it_is_done():
    answers = iter([False, False, True])
    wait_until(lambda: next(answers), "something", seconds=10, step=0.001)


def test_it_names_what_did_not_come():
    with pytest.raises(errors.Unavailable) as caught:
        wait_until(lambda: False, "the end", seconds=0.01, step=0.001)
    assert "the end" in caught.value.detail
