# SPDX-License-Identifier: Apache-2.0
"""Is what a checkpoint uses of quotas summed up rightly, and compared with the room that there is?"""

import pytest

from karbor.model.cost import Item, Room, Use, bill, with_room

SNAPSHOT = Use("block_storage", "snapshots", 1, passing=True)
BACKUP = Use("block_storage", "backups", 1)


def test_of_what_passes_the_largest_batch_counts_and_of_what_stays_everything():
    backups, snapshots = bill([[("V", [SNAPSHOT, BACKUP])] * 3, [("V", [SNAPSHOT, BACKUP]), ("W", [SNAPSHOT])]])
    assert (backups.kept, backups.passing, backups.types) == (4, 0, {"V": 4})
    assert (snapshots.kept, snapshots.passing, snapshots.types) == (0, 3, {"V": 4, "W": 1})


@pytest.mark.parametrize(
    ("room", "fits"),
    [
        (None, True),
        (Room(None, 100), True),
        (Room(10, 6), True),
        (Room(10, 7), False),
        (Room(0, 0), False),
    ],
)
def test_what_stays_and_what_passes_must_fit_together(room, fits):
    assert Item("block_storage", "snapshots", kept=1, passing=3, room=room).fits is fits


def test_the_figures_are_told():
    item = Item("block_storage", "snapshots", kept=1, passing=3, types={"V": 7}, room=Room(10, 8))
    assert item.in_words() == "snapshots: 4 needed (3 of them for a while), 8 of 10 in use"
    assert item.to_dict() == {
        "service": "block-storage",
        "kind": "snapshots",
        "kept": 1,
        "passing": 3,
        "types": {"V": 7},
        "limit": 10,
        "used": 8,
    }


def test_a_quota_that_a_service_does_not_have_is_not_told_of():
    items = bill([[("V", [SNAPSHOT, Use("block_storage", "snapshots_fast", 1), Use("image", "count", 1)])]])
    found = with_room(items, {"block_storage": {"snapshots": Room(5, 0)}, "image": {}})
    assert [(item.kind, item.room) for item in found] == [("snapshots", Room(5, 0)), ("count", None)]
