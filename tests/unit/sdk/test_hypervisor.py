# SPDX-License-Identifier: Apache-2.0
"""Can another process use a capture that reached it as JSON?"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karbor.sdk.hypervisor import Capture, CapturedDisk
from tests.support.strategies import json_objects

texts = st.text(max_size=8)
disks = st.builds(CapturedDisk, texts, st.integers(0), texts, st.none() | texts, texts, st.booleans())
captures = st.builds(
    Capture, texts, texts, texts, texts, texts, st.lists(disks, max_size=3).map(tuple), texts, json_objects
)


@given(captures)
def test_a_capture_comes_back_from_json(capture):
    assert Capture.from_dict(json.loads(json.dumps(capture.to_dict()))) == capture


def test_a_disk_is_found_by_its_target():
    vda, vdb = (CapturedDisk(target, 1, "raw", None) for target in ("vda", "vdb"))
    capture = Capture("d", "s", "t", "bitmap", "crash", (vda, vdb), "<domain/>")
    assert capture.disk("vdb") is vdb
    with pytest.raises(KeyError):
        capture.disk("vdc")
