# SPDX-License-Identifier: Apache-2.0
"""How many questions about files does a worker answer at a time?"""

from contextlib import ExitStack

import pytest

from karbor.model import errors
from karbor.protection.filecontent import Readers


def test_no_more_are_answered_than_allowed_and_a_place_is_free_again():
    readers = Readers(2, wait=0.01)
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(readers.turn())
        with pytest.raises(errors.Unavailable), readers.turn():
            pass
    for _ in range(3):
        with readers.turn():
            pass
