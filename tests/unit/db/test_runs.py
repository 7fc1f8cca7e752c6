# SPDX-License-Identifier: Apache-2.0
"""Is a list of restores or verifications complete in every order?"""

import pytest

from karbor.model.page import PageRequest
from tests.support import rows as make


class TestRuns:
    @pytest.mark.parametrize(("noun", "one"), [("restores", make.restore), ("verifications", make.verification)])
    @pytest.mark.parametrize("key", ["id", "status", "created_at"])
    @pytest.mark.parametrize("direction", ["asc", "desc"])
    def test_each_is_met_once(self, database, noun, one, key, direction):
        with database.write() as rows:
            runs = getattr(rows, noun)
            for number in range(7):
                runs.create(one(str(number), status=("success", "fail", "in_progress")[number % 3]))
            met, marker = [], None
            while page := runs.list(PageRequest(limit=2, sort=((key, direction),), marker=marker)).items:
                met += [run.id for run in page]
                marker = met[-1]
        assert sorted(met) == list("0123456")

    @pytest.mark.parametrize(("noun", "one"), [("restores", make.restore), ("verifications", make.verification)])
    def test_only_ended_ones_are_purged(self, database, clock, noun, one):
        with database.write() as rows:
            runs = getattr(rows, noun)
            for number in range(6):
                runs.create(one(str(number), status=("success", "fail", "in_progress")[number % 3]))
            assert runs.purge(clock.now(), 10) == 0
            clock.pass_time(1)
            assert [runs.purge(clock.now(), 3) for _ in range(3)] == [3, 1, 0]
            assert {run.id for run in runs.list(PageRequest()).items} == {"2", "5"}
