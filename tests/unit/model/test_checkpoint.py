# SPDX-License-Identifier: Apache-2.0
"""Is the record of a checkpoint the same after it was kept, and is an unknown one refused?"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karbor.model import checkpoint, states
from karbor.model.checkpoint import Checkpoint, CheckpointRecord, Reason, SavedResource, Sizes
from tests.support.strategies import json_objects, keys

consistency = st.sampled_from(checkpoint.CONSISTENCY)
modes = st.sampled_from(["full", "incremental"])
saved_resources = st.builds(
    SavedResource,
    key=keys.map(lambda key: key.text),
    plugin=st.text(),
    saved=json_objects,
    streams=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
    consistency=consistency,
    mode=modes,
    base_id=st.none() | st.text(max_size=5),
)
sizes = st.builds(Sizes, st.integers(0), st.integers(0), st.integers(0))
records = st.builds(
    CheckpointRecord,
    checkpoint_id=st.text(),
    project_id=st.text(),
    provider_id=st.text(),
    plan=json_objects,
    graph=json_objects,
    resources=st.lists(saved_resources, max_size=3).map(tuple),
    created_at=st.text(),
    extra_info=json_objects,
    consistency=consistency,
    mode=modes,
    sizes=sizes,
)


def _record(**values):
    return CheckpointRecord("c", "p", "v", {}, {}, values.pop("resources", ()), "2026-01-01T00:00:00", **values)


@given(records)
def test_a_record_comes_back_from_json(record):
    assert CheckpointRecord.from_dict(json.loads(json.dumps(record.to_dict()))) == record


@given(saved_resources)
def test_a_saved_resource_comes_back_from_json(saved):
    assert SavedResource.from_dict(json.loads(json.dumps(saved.to_dict()))) == saved


def test_a_record_of_another_version_is_refused():
    with pytest.raises(ValueError, match="version 2"):
        CheckpointRecord.from_dict({**_record().to_dict(), "version": 2})


def test_fields_that_a_later_patch_added_are_passed_over():
    assert CheckpointRecord.from_dict({**_record().to_dict(), "added_later": 1}) == _record()


def test_a_record_finds_its_resource_by_key():
    one = SavedResource("T#1", "plugin", {}, {})
    record = _record(resources=(SavedResource("T#0", "plugin", {}, {}), one))
    assert record.resource("T#1") is one
    assert record.resource("T#2") is None


def test_a_new_checkpoint_is_protecting_and_nothing_is_known_of_it():
    row = Checkpoint("c", "p", "v", "plan", {})
    assert row.status == states.CHECKPOINT.initial == "protecting"
    assert (row.graph, row.consistency, row.mode, row.reason) == (None, None, None, None)


def test_a_reason_says_what_it_is_made_of():
    assert Reason("T#1", "protect", "it broke").to_dict() == {
        "resource": "T#1",
        "step": "protect",
        "cause": "it broke",
        "next_action": "",
    }


def test_a_reason_in_words_leaves_out_what_is_not_known():
    assert Reason("web", "protect", "No room.", "make some").in_words() == "web protect: No room. Next: make some."
    assert Reason("", "plan", "No key.").in_words() == "plan: No key."
    assert Reason("", "", "Cancelled.").in_words() == "Cancelled."
