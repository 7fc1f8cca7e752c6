# SPDX-License-Identifier: Apache-2.0
"""What becomes of a job while services of the cloud fail? It ends right, with a reason, and leaves nothing behind."""

import json
import threading

import pytest

from karbor.plugins.resources.volume_backup import VolumeBackupProtection
from karbor.plugins.resources.volume_data import VolumeDataProtection
from tests.functional.test_cloud import AS_IT_WAS, CloudHouse, protected

CINDER, GLANCE, HEAT = "block-storage", "image", "orchestration"
ALWAYS = 10**6


@pytest.fixture(params=[VolumeBackupProtection, VolumeDataProtection], ids=lambda plugin: plugin.__name__)
def house(request, tmp_path):
    running = CloudHouse(tmp_path, request.param)
    yield running
    running.close()


def _everything(house):
    """The ids of all that is in the cloud."""
    return {kind: set(things) for kind, things in house.cloud.things.items() if things}


def _failed(house):
    """The reason of a checkpoint that cannot be made; nothing is left of it in the cloud."""
    before = _everything(house)
    checkpoint = house.checkpoint()
    assert checkpoint.status == "error"
    assert _everything(house) == before
    return json.dumps(checkpoint.reason.to_dict())


def test_what_passes_is_waited_for(house):
    house.cloud.fail(CINDER, "POST", "/snapshots", 503, times=2)
    house.cloud.fail(CINDER, "GET", "/volumes/", 500, times=2)
    checkpoint = protected(house)
    house.disaster()
    house.cloud.fail(HEAT, "GET", "/stacks", 502, times=2)
    assert house.restore_as_tenant(checkpoint.id).status == "success"
    assert house.disks() == AS_IT_WAS


def test_an_answer_that_is_lost_doubles_nothing(house):
    house.cloud.fail(CINDER, "POST", "/snapshots$", 502, times=1, after=True)
    house.cloud.fail(CINDER, "POST", "/backups$", 504, times=1, after=True)
    before = house.left_over()
    checkpoint = protected(house)
    house.ask("delete", checkpoint_id=checkpoint.id)
    assert house.left_over() == before


def test_a_service_that_stays_broken_is_named_and_nothing_of_the_attempt_stays(house):
    house.cloud.fail(CINDER, "POST", "/snapshots$", 500, times=ALWAYS)
    assert "block-storage" in _failed(house)


def test_a_quota_that_is_full_is_told_at_once(house):
    house.cloud.fail(CINDER, "POST", "/snapshots$", 413, times=ALWAYS)
    assert "quota" in _failed(house).lower()
    assert house.cloud.calls[CINDER, "POST", "failed"] <= len(house.cloud.things["volume"])


def test_tokens_that_expire_all_the_time_are_asked_for_anew(house):
    over = threading.Event()

    def expire():
        """By requests, not by time: on a slow machine, too, a new token is good for some."""
        seen = 0
        while not over.wait(0.01):
            now = sum(house.cloud.calls.values())
            if now - seen >= 40:
                seen = now
                house.cloud.expire_tokens()

    expiring = threading.Thread(target=expire)
    expiring.start()
    try:
        checkpoint = protected(house)
        house.disaster()
        restore = house.restore_as_tenant(checkpoint.id)
    finally:
        over.set()
        expiring.join()
    assert restore.status == "success", restore.resources_reason
    assert house.disks() == AS_IT_WAS


def test_a_heat_that_stays_broken_leaves_no_part_of_the_restore(house):
    checkpoint = protected(house)
    house.disaster()
    before = _everything(house)
    house.cloud.fail(HEAT, "POST", "/stacks$", 500, times=ALWAYS)
    restore = house.restore_as_tenant(checkpoint.id)
    assert restore.status == "fail" and "orchestration" in json.dumps(dict(restore.resources_reason))
    assert _everything(house) == before
