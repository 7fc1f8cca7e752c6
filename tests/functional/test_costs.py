# SPDX-License-Identifier: Apache-2.0
"""Does a tenant see what a checkpoint uses of its quotas, and is one that cannot fit refused beforehand?"""

from dataclasses import replace

import pytest

from karbor.plugins.resources.volume_backup import VolumeBackupProtection
from karbor.plugins.resources.volume_data import VolumeDataProtection
from karbor.plugins.resources.volume_snapshot import VolumeSnapshotProtection
from karbor.protection.protectplan import plan_protect
from karbor.sdk.testing.memorycloud import MemoryCloud
from tests.functional.test_cloud import PROVIDER, CloudHouse

EXPECTED = {
    VolumeBackupProtection: {"backups": (3, 0), "backup_gigabytes": (3, 0), "snapshots": (0, 3)},
    VolumeSnapshotProtection: {"snapshots": (3, 0), "gigabytes": (3, 0)},
    VolumeDataProtection: {"snapshots": (0, 3), "volumes": (0, 3), "gigabytes": (0, 6), "image_count_total": (0, 4)},
}


@pytest.fixture(params=EXPECTED, ids=lambda plugin: plugin.__name__)
def house(request, tmp_path):
    running = CloudHouse(tmp_path, request.param)
    running.expected = EXPECTED[request.param]
    yield running
    running.close()


@pytest.fixture
def snapshots(tmp_path):
    running = CloudHouse(tmp_path, VolumeSnapshotProtection)
    yield running
    running.close()


def _amounts(cost):
    return {entry["kind"]: (entry["kept"], entry["passing"]) for entry in cost}


def _there(house):
    return {kind: set(things) for kind, things in house.cloud.things.items() if things}


def _ahead(house):
    opened = house.cloud.open("alpha")
    seen = house._parts.protectables.for_caller(lambda: opened)
    return plan_protect(
        house._parts.providers.get(PROVIDER),
        seen,
        house.plan(),
        project_id=house.project,
        max_passing=16,
        open_cloud=lambda: opened,
    )


def test_what_a_checkpoint_uses_is_kept_with_it_and_can_be_asked_for_beforehand(house):
    before = _there(house)
    ahead = _ahead(house)
    assert _there(house) == before
    assert (ahead["conflicts"], ahead["resources"]["OS::Cinder::Volume"]) == ([], 3)
    checkpoint = house.checkpoint()
    assert checkpoint.status == "available", checkpoint.reason
    assert _amounts(checkpoint.cost).items() >= house.expected.items()
    assert checkpoint.cost == ahead["cost"]
    assert {entry["service"] for entry in checkpoint.cost} <= {"block-storage", "image"}


def test_what_was_told_is_what_was_used(snapshots):
    before = len(snapshots.cloud.things["volume_snapshot"])
    checkpoint = snapshots.checkpoint()
    assert len(snapshots.cloud.things["volume_snapshot"]) - before == _amounts(checkpoint.cost)["snapshots"][0]


def test_a_checkpoint_that_cannot_fit_is_refused_with_figures_before_anything_is_made(snapshots):
    snapshots.cloud.quotas["volume_snapshot"] = 2
    ahead = _ahead(snapshots)
    assert "snapshots: 3 needed, 0 of 2 in use" in ahead["conflicts"][0]["reason"]
    before = _there(snapshots)
    asked = sum(amount for (_service, method, _path), amount in snapshots.cloud.calls.items() if method != "GET")
    checkpoint = snapshots.checkpoint()
    assert (checkpoint.status, checkpoint.reason.step) == ("error", "plan")
    assert "snapshots: 3 needed, 0 of 2 in use" in checkpoint.reason.cause and checkpoint.reason.next_action
    (entry,) = [one for one in checkpoint.cost if one["kind"] == "snapshots"]
    assert (entry["limit"], entry["used"]) == (2, 0)
    assert _there(snapshots) == before
    logins = 1  # with the trust of the job
    changed = sum(amount for (_service, method, _path), amount in snapshots.cloud.calls.items() if method != "GET")
    assert changed - asked <= logins


def test_a_cloud_that_tells_no_quotas_is_no_obstacle(snapshots):
    snapshots.cloud.fail("block-storage", "GET", "/os-quota-sets", 403, times=9)
    checkpoint = snapshots.checkpoint()
    assert checkpoint.status == "available"
    assert {entry["limit"] for entry in checkpoint.cost} == {None}


def test_a_bound_on_what_passes_makes_servers_wait_for_each_other(tmp_path):
    house = CloudHouse(tmp_path, VolumeDataProtection)
    try:
        for number in range(4):
            server = house.cloud.compute.add("alpha", f"more-{number}")
            house.cloud.volumes.add("alpha", f"v-{number}", b"data", server=server, bootable=True)
            house.servers.append(server["id"])
        house.worker.stop(5)
        house._parts = replace(house._parts, max_passing=2)
        house.open()
        seen = _Watched(house.cloud)
        checkpoint = house.checkpoint()
        assert checkpoint.status == "available", checkpoint.reason
        assert 0 < seen.most["volume_snapshot"] <= 2
    finally:
        house.close()


class _Watched:
    """Looks at each request how many snapshots there are."""

    def __init__(self, cloud: MemoryCloud) -> None:
        self.most = {"volume_snapshot": 0}
        serve = cloud.serve

        def watched(request):
            answer = serve(request)
            self.most["volume_snapshot"] = max(self.most["volume_snapshot"], len(cloud.things["volume_snapshot"]))
            return answer

        cloud.serve = watched
