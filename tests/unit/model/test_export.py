# SPDX-License-Identifier: Apache-2.0
"""Does an export begin in a state in which its checkpoint is kept?"""

from karbor.model import states
from karbor.model.export import OPEN
from tests.support import rows as make


def test_a_new_export_is_open_and_those_that_ended_are_not():
    assert make.export().status == states.EXPORT.initial
    assert set(OPEN) == {state for state, after in states.EXPORT.moves.items() if after}
