# SPDX-License-Identifier: Apache-2.0
"""Does the cloud in memory answer as the real one did when that was recorded?"""

import json
from pathlib import Path

from karbor.sdk.testing.memorycloud import MemoryCloud
from tests.support.clock import TwinClock
from tests.support.cloudwalk import Walk, differences

RECORDED = Path(__file__).parents[1] / "support" / "cloudwalk.json"


def test_the_twin_answers_as_the_real_cloud():
    clock = TwinClock()
    memory = MemoryCloud(clock=clock, latency=2)
    memory.quotas["gigabytes"] = 1000
    memory.compute.flavor("m1.nano")
    image = memory.images.add("admin", "public", b"disk", visibility="public")
    network = memory.networks.add("admin", "networks", name="private", shared=True)
    cloud = memory.open("demo", pause=clock.pass_time)
    steps = Walk(cloud, image=image["id"], network=network["id"]).run()
    recorded = json.loads(RECORDED.read_text())
    assert steps.keys() == recorded.keys()
    assert [line for step in recorded for line in differences(steps[step], recorded[step], step)] == []
    left = {kind: len(things) for kind, things in memory.things.items() if things}
    assert left == {"image": 1, "flavor": 1, "network": 1}
