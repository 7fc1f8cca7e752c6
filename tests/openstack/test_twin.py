# SPDX-License-Identifier: Apache-2.0
"""Does the real cloud still answer as was recorded, which is what the twin is held to in every run of the tests?

With KARBOR_RECORD=1 the answers become the recording.
"""

import json
import os
from pathlib import Path

from tests.support.cloudwalk import Walk, differences

RECORDED = Path(__file__).parents[1] / "support" / "cloudwalk.json"


def test_the_real_cloud_answers_as_was_recorded(tenant):
    cloud = tenant("demo")
    image = cloud.image.find_image("ministack-fast").id
    network = cloud.network.find_network("private").id
    walk = Walk(cloud, image=image, network=network)
    try:
        steps = walk.run()
    finally:
        if os.environ.get("KARBOR_RECORD"):
            RECORDED.write_text(json.dumps(walk.steps, indent=1, sort_keys=True) + "\n")
    recorded = json.loads(RECORDED.read_text())
    assert steps.keys() == recorded.keys()
    assert [line for step in recorded for line in differences(steps[step], recorded[step], step)] == []
