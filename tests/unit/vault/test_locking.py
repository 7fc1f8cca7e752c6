# SPDX-License-Identifier: Apache-2.0
"""What is said of the locks of a project's records, whether there are any or not?"""

from datetime import timedelta

import pytest

from karbor.model import errors
from karbor.model.lock import Lock
from tests.support.cleanroom import KIND, CleanRoom


@pytest.fixture
def room(tmp_path):
    found = CleanRoom(tmp_path)
    yield found
    found.close()


def test_a_project_that_stored_nothing_has_nothing_locked_and_nothing_to_lock(room):
    domain = room.site()
    assert domain.locks_of(KIND, "a") == domain.settle_locks(KIND, "a") == Lock()
    assert domain.locked_records() == []
    domain.require_unlocked(KIND, "a")
    with pytest.raises(errors.ObjectNotFound):
        domain.lock_record(KIND, "a", "hold", reason="r")


def test_what_is_locked_here_is_known_to_be_so_elsewhere(room):
    room.protect("a", b"data")
    until = room.clock.now() + timedelta(days=1)
    made = room.site().lock_record(KIND, "a", "lock", mode="governance", until=until)
    there = room.site("there")
    assert there.locks_of(KIND, "a") == made == Lock(governance_until=until)
    assert there.locked_records() == [f"{KIND}/a"]
    with pytest.raises(errors.CheckpointLocked, match="governance"):
        there.require_unlocked(KIND, "a")
