# SPDX-License-Identifier: Apache-2.0
"""Does every operation end right when its worker is killed with -9 at any of its fault points, once or twice in a row?

The points come from a recorded run of each operation, so a new step, write or turn is among them by itself. By default
a share, evenly spread; KARBOR_CRASH_POINTS=all takes every one (about 20 minutes), KARBOR_CRASH_POINTS=N takes N
of each operation.
"""

import hashlib
from pathlib import Path

import pytest

from karbor.model.operation import OPERATIONS
from tests.support.crashlab import NEW, SHARE, Site, check, numbered, share

pytestmark = pytest.mark.timeout(7200 if SHARE == "all" else 600)


def _second_death(number, point):
    """Where the one that goes on dies too, if it does: at the same place, early or late in its run, or not at all."""
    return (point, ("*", 3 + 7 * (number // 4 % 5)), ("*", 1 + 5 * (number // 4 % 6)), None)[number % 4]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_worker_killed_at_any_point_is_gone_on_after(lab, template, operation):
    whole = Site(lab, template, operation)
    recorded = whole.run()
    assert recorded["state"] == "done"
    stored = whole.stored()
    check(whole, stored)
    points = numbered(recorded["reached"])
    assert len(points) > 5
    deaths = 0
    for number, point in enumerate(share(points), OPERATIONS.index(operation)):
        site = Site(lab, template, operation)
        died = site.run(at=point)
        assert died.get("died") or point not in numbered(died["reached"]), point
        deaths += bool(died.get("died"))
        second = _second_death(number, point)
        if second is not None:
            again = site.run(at=second)
            assert again.get("died") or again["state"] == "done", (point, second)
            deaths += bool(again.get("died"))
        ended = site.run()
        assert ended["state"] == "done", (point, ended)
        check(site, stored)
    print(f"{operation}: {len(share(points))} of {len(points)} points, {deaths} kills")


def test_the_points_name_every_step_and_every_write(lab, template):
    reached = Site(lab, template, "protect").run()["reached"]
    for phase in ("prepare_begin", "prepare_finish", "protect", "complete", "committed"):
        assert f"step:protect.{phase}@Sample::File:before" in reached
        assert f"step:protect.{phase}@Sample::File:after" in reached
    for point in ("step:protect.read_back:after", "step:protect.commit:before", "job:protect.end:after"):
        assert point in reached
    for kind in ("pack", "index", "stream", "record-checkpoint"):
        assert f"bank:put-{kind}:before" in reached and f"bank:put-{kind}:after" in reached


def test_what_a_killed_worker_leaves_would_be_seen(lab, template):
    site = Site(lab, template, "protect")
    assert site.run(at=("bank:put-pack:after", 1))["died"]
    assert [name.split("/")[2] for name in site.clean(only_look=True)["orphans"]].count("pack") == 1
    assert site.clean()["orphans"] == [], "the job was never gone on with"


def test_the_samples_of_this_test_are_what_it_says(template):
    files = Path(template[0]) / "files"
    assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files.iterdir()} == NEW
