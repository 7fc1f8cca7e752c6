# SPDX-License-Identifier: Apache-2.0
"""Does a plug-in see its own resource, its family's results, and streams that are really stored?"""

import pytest

from karbor.model import errors
from karbor.model.checkpoint import SavedResource
from karbor.model.graph import Node, ResourceGraph
from karbor.model.operation import Job
from karbor.model.resource import Resource, ResourceKey
from karbor.protection.control import Control
from karbor.protection.work import StepWork
from karbor.sdk.testing.memory_bank import MemoryBank
from karbor.sdk.testing.work import BytesStream
from karbor.vault.keys import MasterKey
from karbor.vault.vault import Vault
from tests.support.clock import TwinClock

DOMAIN, VDA, VDB = ResourceKey("Domain", "d"), ResourceKey("Disk", "vda", "d"), ResourceKey("Disk", "vdb", "d")
GRAPH = ResourceGraph(
    [
        Node(VDA, Resource("Disk", "vda", "vda", per_parent=True)),
        Node(VDB, Resource("Disk", "vdb", "vdb", per_parent=True)),
        Node(DOMAIN, Resource("Domain", "d", "guest"), (VDA, VDB)),
    ]
)
JOB = Job("job", "protect", "project", "provider", checkpoint_id="checkpoint")


@pytest.fixture
def control():
    return Control(JOB, clock=TwinClock())


@pytest.fixture
def domain(tmp_path):
    bank = MemoryBank()
    bank.initialise()
    vault = Vault(bank, master_key=MasterKey(bytes(32)), cache_dir=tmp_path, clock=TwinClock())
    yield vault.domain("project")
    vault.close()


def _work(control, domain, key, **more):
    return StepWork(control.job, control, GRAPH, key, domain=domain, options=None, **{"results": {}, **more})


def test_a_work_says_which_resource_in_which_operation(control, domain):
    work = _work(control, domain, VDA)
    assert (work.operation, work.operation_id, work.checkpoint_id) == ("protect", "job", "checkpoint")
    assert (work.provider_id, work.project_id) == ("provider", "project")
    assert (work.key, work.resource.name) == (VDA, "vda")


def test_parent_and_children_are_those_of_the_graph(control, domain):
    disk, guest = _work(control, domain, VDA), _work(control, domain, DOMAIN)
    assert (disk.parent.name, list(disk.children)) == ("guest", [])
    assert guest.parent is None
    assert [(key, resource.name) for key, resource in guest.children] == [(VDA, "vda"), (VDB, "vdb")]


def test_results_are_sorted_by_whose_they_are(control, domain):
    results = {
        "Domain#d:prepare_begin": {"frozen": True},
        "Disk#vda@d:protect": {"saved": 1},
        "Disk#vdb@d:protect": {"saved": 2},
        "Domain#d:complete": None,
    }
    disk, guest = (_work(control, domain, key, results=results) for key in (VDA, DOMAIN))
    assert disk.results == {"protect": {"saved": 1}}
    assert disk.parent_results == {"prepare_begin": {"frozen": True}}
    assert guest.results == {"prepare_begin": {"frozen": True}}
    assert guest.parent_results == {}


def test_whoever_lies_below_several_sees_the_results_of_each(control, domain):
    disk, guest, host = ResourceKey("Disk", "d"), ResourceKey("Guest", "g"), ResourceKey("Host", "h")
    nodes = [Node(disk, Resource("Disk", "d", "d"))]
    nodes += [Node(key, Resource(key.type, key.id, key.id), (disk,)) for key in (guest, host)]
    results = {"Host#h:prepare_begin": {"view": 1}, "Host#h:complete": None}
    work = StepWork(JOB, control, ResourceGraph(nodes), disk, domain=domain, options=None, results=results)
    assert work.parent_phases == {guest: {}, host: {"prepare_begin": {"view": 1}}}


def test_a_parent_knows_which_children_have_a_wish(control, domain):
    wishes = {VDA: frozenset({"view"}), VDB: frozenset({"other"})}
    guest = _work(control, domain, DOMAIN, wishes=wishes.__getitem__)
    assert (guest.wishing("view"), guest.wishing("none")) == (frozenset({VDA}), frozenset())
    assert _work(control, domain, DOMAIN).wishing("view") == frozenset()


def test_a_restore_sees_what_its_children_became(control, domain):
    results = {"Disk#vda@d:restore": {"new_id": "x", "result": {"path": "/a"}}}
    assert _work(control, domain, DOMAIN, results=results).child_results == {VDA: {"path": "/a"}}


def test_a_parent_sees_what_the_phases_of_its_children_returned(control, domain):
    results = {"Disk#vda@d:prepare_finish": {"taken_at": "now"}, "Domain#d:prepare_begin": {"frozen": True}}
    assert _work(control, domain, DOMAIN, results=results).child_phases[VDA] == {"prepare_finish": {"taken_at": "now"}}


def test_a_stream_is_stored_and_comes_back_for_whoever_restores(control, domain):
    content = bytes(range(256)) * 1000
    info = _work(control, domain, VDA).streams.write("disk", BytesStream(content))
    assert control.news().bytes_done == len(content)
    saved = SavedResource(VDA.text, "plugin", {}, {"disk": info.id})
    streams = _work(control, domain, VDA, saved=saved).streams
    assert streams.exists(info.id) and not streams.exists("0" * 32)
    reader = streams.read("disk")
    assert reader.read(0, reader.size) == content


@pytest.mark.parametrize("saved", [None, SavedResource(VDA.text, "plugin", {}, {"other": "0" * 32})])
def test_a_stream_that_the_checkpoint_does_not_hold_is_damage(control, domain, saved):
    with pytest.raises(errors.IntegrityError, match="'disk'"):
        _work(control, domain, VDA, saved=saved).streams.read("disk")


def test_a_cancelled_operation_ends_the_plugin_and_its_streams(control, domain):
    work = _work(control, domain, VDA)
    control.cancel()
    for touch in (work.check, lambda: work.advance(1), lambda: work.streams.write("disk", BytesStream(b"data"))):
        with pytest.raises(errors.Cancelled):
            touch()


def test_expected_and_done_bytes_of_all_works_reach_the_job(control, domain):
    for key in (VDA, VDB):
        work = _work(control, domain, key)
        work.expect(100)
        work.expect(50)
        work.advance(20)
    progress = control.news()
    assert (progress.bytes_done, progress.bytes_total) == (40, 100)


def test_what_was_saved_may_lie_in_another_domain_than_what_is_written(control, domain, tmp_path):
    bank = MemoryBank()
    bank.initialise()
    vault = Vault(bank, master_key=MasterKey(bytes(32)), cache_dir=tmp_path / "there", clock=TwinClock())
    info = _work(control, domain, VDA).streams.write("disk", BytesStream(b"here"))
    saved = SavedResource(VDA.text, "plugin", {}, {"disk": info.id})
    streams = _work(control, vault.domain("project"), VDA, saved=saved, saved_in=domain).streams
    assert streams.read("disk").read(0, 4) == b"here"
    assert not streams.exists(info.id)
    assert vault.domain("project").has_stream(streams.write("more", BytesStream(b"there")).id)
    vault.close()


def test_a_job_without_a_right_in_a_cloud_has_none(control, domain):
    with pytest.raises(errors.NotSupported):
        _ = _work(control, domain, VDA).cloud


def test_a_job_has_the_cloud_of_its_tenant(control, domain):
    assert _work(control, domain, VDA, open_cloud=lambda: "the cloud").cloud == "the cloud"
