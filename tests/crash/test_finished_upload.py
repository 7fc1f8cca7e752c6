# SPDX-License-Identifier: Apache-2.0
"""How much of a finished upload is made again after kill -9? Nothing but the pack under way.

By default 56 MiB and two deaths; KARBOR_CRASH_POINTS=all takes 200 MiB and eight deaths.
"""

import shutil
import tempfile
from pathlib import Path

import pytest

from karbor.vault.format import PACK_SIZE
from tests.support.crashlab import SHARE, Site, make_template, numbered, share

MIB = 1 << 20
SIZE = (200 if SHARE == "all" else 56) * MIB
DEATHS = 8 if SHARE == "all" else 2
SHM = Path("/dev/shm")

pytestmark = pytest.mark.timeout(1800 if SHARE == "all" else 600)


@pytest.fixture
def large(lab):
    """A site with a large file that has not been protected yet; in memory where there is room."""
    roomy = SHM.is_dir() and shutil.disk_usage(SHM).free > 8 * SIZE
    with tempfile.TemporaryDirectory(prefix="karbor-crash-", dir=SHM if roomy else None) as top:
        yield make_template(lab, Path(top), size=SIZE)


def test_at_most_the_packs_under_way_are_uploaded_again(lab, large):
    whole = Site(lab, large, "protect")
    before = whole.stored()
    recorded = whole.run(seconds=600)
    assert recorded["state"] == "done"
    needed = whole.stored() - before
    assert whole.put() == needed
    points = [point for point in numbered(recorded["reached"]) if point[0].startswith("bank:put-pack:")]
    assert len(points) >= 2 * SIZE // PACK_SIZE
    for point in share(points[2:], DEATHS):
        site = Site(lab, large, "protect")
        assert site.run(at=point, seconds=600).get("died")
        finished, put = site.stored() - before, site.put()
        ended = site.run(seconds=600)
        assert ended["state"] == "done"
        repeated = max(0, finished + site.put() - put - needed)
        print(f"killed at {point}: finished {finished}, repeated {repeated} bytes")
        # A pack that was put when the worker died, but not noted yet, was under way; two are at the same time.
        # So is one where a machine is so slow that the second worker lost the job for a moment.
        under_way = (PACK_SIZE + MIB) * (1 + point[0].endswith("after") + ended["fence"] - 2)
        assert repeated <= finished * 0.05 + under_way
        assert site.clean()["orphans"] == []
