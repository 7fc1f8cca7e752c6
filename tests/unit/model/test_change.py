# SPDX-License-Identifier: Apache-2.0
"""Is every state of everything told of?"""

from karbor.model import states
from karbor.model.change import WORDS


def test_every_state_has_a_word():
    for table in (states.CHECKPOINT, states.RESTORE, states.VERIFICATION, states.EXPORT, states.JOB):
        assert {state.replace("-", "_") for state in table.states} <= set(WORDS[table.noun])


def test_words_can_stand_in_the_name_of_an_event():
    assert all(word.isidentifier() for words in WORDS.values() for word in words)
