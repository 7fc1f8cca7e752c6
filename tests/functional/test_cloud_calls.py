# SPDX-License-Identifier: Apache-2.0
"""Do the questions asked of a cloud grow with pages and with what is made, and not with what is there?"""

import pytest

from karbor.plugins.resources.volume_backup import VolumeBackupProtection
from karbor.plugins.resources.volume_data import VolumeDataProtection
from karbor.plugins.resources.volume_snapshot import VolumeSnapshotProtection
from tests.support.cloudjobs import PROJECT, SERVER, VOLUME, CloudJob

#: What making, waiting for and removing the things of one volume costs.
EACH = {VolumeSnapshotProtection: 3, VolumeBackupProtection: 9, VolumeDataProtection: 19}


@pytest.mark.parametrize("type_", [SERVER, VOLUME, PROJECT])
def test_a_page_costs_the_same_for_ten_servers_and_for_a_hundred(type_):
    asked = []
    for servers in (10, 100):
        job = CloudJob(servers, 2, VolumeSnapshotProtection, images=True)
        calls, _found = job.counted(lambda job=job: job.listing(type_))
        asked.append(calls)
    assert asked[0] == asked[1]
    assert sum(asked[0].values()) <= 7


def test_choosing_servers_and_what_lies_below_them_costs_lists_alone():
    asked = []
    for servers in (10, 100):
        job = CloudJob(servers, 2, VolumeSnapshotProtection)
        calls, graph = job.counted(job.graph)
        assert len(graph) == 3 * servers
        asked.append(calls)
    assert asked[0] == asked[1]


@pytest.mark.parametrize("plugin", EACH, ids=lambda plugin: plugin.__name__)
def test_a_protect_asks_for_lists_once_and_then_for_what_it_makes(plugin):
    totals = {}
    for servers in (1, 10, 40):
        job = CloudJob(servers, 1, plugin)
        calls, _none = job.counted(lambda job=job: job.protect(job.graph()))
        totals[servers] = sum(calls.values())
        if servers >= 10:
            assert {path: calls["compute", "GET", path] for path in ("/servers/detail", "/os-server-groups")} == {
                "/servers/detail": 3,  # to choose, to find what they boot from, and to look at all of them
                "/os-server-groups": 1,
            }
            assert not calls["compute", "GET", "/servers/{id_}"]
            assert calls["network", "GET", "/{collection}"] == 4  # ports, floating addresses, and two for names
            assert calls["block-storage", "GET", "/os-quota-sets/{id_}"] == 1
    assert totals[40] - totals[10] == 30 * EACH[plugin]
    assert totals[1] <= 14 + EACH[plugin]
