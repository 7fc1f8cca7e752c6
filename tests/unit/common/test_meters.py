# SPDX-License-Identifier: Apache-2.0
"""Does a process count what happens in it?"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from karbor.common.meters import Meters
from karbor.model.change import Change
from tests.support import rows

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def meters():
    return Meters()


def test_jobs_are_counted_by_operation(meters):
    job = replace(rows.job(), created_at=AT - timedelta(seconds=90))
    for word in ("queued", "running", "taken_over", "running", "failed"):
        meters.observe(Change("job", word, job, None, AT))
    meters.observe(Change("plan", "created", rows.plan(), None, AT))
    value = meters.registry.get_sample_value
    of = {"operation": "protect"}
    assert value("karbor_job_attempts_total", of) == 2
    assert value("karbor_lease_losses_total", of) == 1
    assert value("karbor_jobs_ended_total", of | {"state": "failed"}) == 1
    assert value("karbor_job_duration_seconds_sum", of | {"state": "failed"}) == 90


def test_requests_are_counted_by_operation_and_status(meters):
    meters.answered("plan_get", 200, 0.003)
    meters.answered("plan_get", 404, 0.2)
    value = meters.registry.get_sample_value
    assert value("karbor_api_requests_total", {"operation": "plan_get", "status": "404"}) == 1
    assert value("karbor_api_request_duration_seconds_count", {"operation": "plan_get"}) == 2
    assert value("karbor_api_request_duration_seconds_bucket", {"operation": "plan_get", "le": "0.005"}) == 1


def test_dropped_notifications_are_shown(meters):
    meters.watch_dropped(lambda: 7)
    assert meters.registry.get_sample_value("karbor_notifications_dropped_total") == 7


def test_looks_for_leftovers_and_what_they_removed_are_counted(meters):
    meters.swept("clean", {"snapshots": 2, "volumes": 1})
    meters.swept("failed", {})
    value = meters.registry.get_sample_value
    assert value("karbor_leftovers_looks_total", {"outcome": "failed"}) == 1
    assert value("karbor_leftovers_removed_total", {"kind": "snapshots"}) == 2
