# SPDX-License-Identifier: Apache-2.0
"""Is each move of a status allowed or refused as drawn, and does every state have a way in?"""

import itertools

import pytest

from karbor.model import errors, states

#: Every arrow, spelled out a second time on purpose: a changed table must be meant.
ARROWS = {
    "plan": {("suspended", "started"), ("started", "suspended")},
    "checkpoint": {
        ("protecting", "available"),
        ("protecting", "error"),
        ("protecting", "deleting"),
        ("wait_copying", "copying"),
        ("wait_copying", "error"),
        ("wait_copying", "deleting"),
        ("copying", "available"),
        ("copying", "error"),
        ("copying", "deleting"),
        ("available", "deleting"),
        ("available", "error"),
        ("error", "deleting"),
        ("error", "available"),
        ("deleting", "deleted"),
        ("deleting", "error-deleting"),
        ("deleting", "available"),
        ("deleting", "error"),
        ("error-deleting", "deleting"),
        ("error-deleting", "error"),
    },
    "restore": {("in_progress", "success"), ("in_progress", "fail")},
    "verification": {("in_progress", "success"), ("in_progress", "fail")},
    "export": {
        ("starting", "active"),
        ("starting", "closing"),
        ("starting", "closed"),
        ("starting", "error"),
        ("active", "closing"),
        ("active", "closed"),
        ("active", "error"),
        ("closing", "closed"),
    },
    "job": {
        ("queued", "running"),
        ("queued", "failed"),
        ("running", "queued"),
        ("running", "done"),
        ("running", "failed"),
    },
    "host step": {("asked", "running"), ("running", "asked"), ("running", "done"), ("running", "failed")},
    "scheduled run": {
        ("waiting", "running"),
        ("waiting", "missed"),
        ("waiting", "skipped"),
        ("waiting", "failed"),
        ("running", "success"),
        ("running", "failed"),
        ("running", "missed"),
    },
}
FINAL = {
    "plan": set(),
    "checkpoint": {"deleted"},
    "restore": {"success", "fail"},
    "verification": {"success", "fail"},
    "export": {"closed", "error"},
    "job": {"done", "failed"},
    "host step": {"done", "failed"},
    "scheduled run": {"success", "failed", "missed", "skipped"},
}
PAIRS = [(table, old, new) for table in states.ALL for old, new in itertools.product(sorted(table.states), repeat=2)]
tables = pytest.mark.parametrize("table", states.ALL, ids=lambda table: table.noun)


@pytest.mark.parametrize(("table", "old", "new"), PAIRS, ids=lambda part: getattr(part, "noun", part))
def test_a_move_is_allowed_exactly_where_there_is_an_arrow_or_no_change(table, old, new):
    if new == old or (old, new) in ARROWS[table.noun]:
        assert table.move(old, new) == new
    else:
        with pytest.raises(errors.Conflict) as caught:
            table.move(old, new)
        assert table.noun in caught.value.message and old in caught.value.message


@tables
def test_arrows_lead_to_known_states(table):
    assert {state for after in table.moves.values() for state in after} <= table.states
    assert {state for arrow in ARROWS[table.noun] for state in arrow} <= table.states


@tables
def test_every_state_is_reached_from_an_initial_one(table):
    reached, todo = set(), [table.initial, *table.also_initial]
    while todo:
        state = todo.pop()
        if state not in reached:
            reached.add(state)
            todo.extend(table.moves[state])
    assert reached == table.states


@tables
def test_only_the_final_states_have_no_way_out(table):
    assert {state for state, after in table.moves.items() if not after} == FINAL[table.noun]


@tables
def test_unknown_states_are_refused(table):
    for old, new in ((table.initial, "nonsense"), ("nonsense", table.initial), ("nonsense", "nonsense")):
        with pytest.raises(errors.Conflict):
            table.move(old, new)
