# SPDX-License-Identifier: Apache-2.0
"""Does a wall clock that jumps an hour, either way, change anything for the job that runs meanwhile?"""

import pytest

from tests.support.crashlab import SHARE, Site, check

HOUR = 3600
POINTS = ("step:protect.prepare_finish@Sample::File:after", "bank:put-pack:after", "bank:put-record-checkpoint:before")


@pytest.mark.parametrize("by", [HOUR, -HOUR], ids=["forwards", "backwards"])
@pytest.mark.parametrize("point", POINTS if SHARE == "all" else POINTS[1:2])
def test_a_job_ends_right_when_the_clock_of_its_worker_jumps(lab, template, point, by):
    site = Site(lab, template, "protect")
    ended = site.run(at=(point, 1), how="jump", by=by)
    assert ended["state"] == "done", ended
    check(site, 1 << 40)
