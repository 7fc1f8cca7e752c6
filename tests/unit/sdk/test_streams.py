# SPDX-License-Identifier: Apache-2.0
"""Is what came of a stream plain JSON?"""

import json

from karbor.sdk.streams import StreamInfo


def test_the_outcome_of_a_write_is_json():
    info = StreamInfo("id", 10, 8, 4, ("pack-1", "pack-2"))
    assert json.loads(json.dumps(info.to_dict())) == {
        "id": "id",
        "size": 10,
        "bytes_read": 8,
        "bytes_stored": 4,
        "packs": ["pack-1", "pack-2"],
    }
