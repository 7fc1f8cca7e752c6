# SPDX-License-Identifier: Apache-2.0
"""Does a share of a real Manila, in a CephFS, come back from its snapshot with its files and its rules?"""

import uuid

import pytest

from karbor.clients.heat import HeatStacks
from karbor.common.clock import Clock
from karbor.heat.direct import DirectBuilder
from karbor.heat.stack import StackBuilder
from karbor.heat.template import assemble
from karbor.model import errors
from karbor.model.checkpoint import SavedResource
from karbor.model.resource import Resource
from karbor.plugins.resources.cloudtypes import SHARE
from karbor.plugins.resources.share import ShareProtectable
from karbor.plugins.resources.share_protection import ShareProtection as Plugin
from karbor.sdk.environment import Environment
from karbor.sdk.testing.protection_suite import ProtectionSuite, Trial
from karbor.sdk.testing.work import TwinWork
from tests.openstack.application import remove_stack
from tests.openstack.conftest import BACKUPS
from tests.openstack.sharing import Sharing
from tests.openstack.user import User

HERE = Environment("here", "/state")
FILES = {"index.html": b"<p>shop</p>", "data": bytes(range(256)) * 4096}


@pytest.fixture(scope="module")
def sharing(tenant):
    cloud = tenant("demo")
    if not cloud.has("shared_file_system"):
        pytest.skip("this cloud has no Manila: MINISTACK_MANILA=1")
    return Sharing(cloud)


@pytest.fixture(scope="module")
def share(sharing):
    """A share with files."""
    id_ = sharing.make(f"files-{uuid.uuid4().hex[:8]}", FILES, metadata={"app": "shop"})
    yield id_
    sharing.close()


def by_heat(cloud, _restore_id):
    """As where a cloud has Heat."""
    return StackBuilder(HeatStacks(cloud), Clock(), lambda: None)


def directly(cloud, restore_id):
    """As where it has none."""
    return DirectBuilder(cloud, restore_id, Clock(), lambda: None)


class TestShare(ProtectionSuite):
    """A share of the real Manila keeps the contract, as that of the twin does."""

    @pytest.fixture
    def trial(self, sharing, share):
        cloud, self._stacks = sharing.cloud, []
        self._sharing = sharing
        protectable = ShareProtectable(ShareProtectable.Settings(), HERE).in_cloud(lambda: cloud)
        yield Trial(
            protectable,
            Plugin(Plugin.Settings(), HERE),
            Resource(SHARE, share, sharing.show(share)["name"]),
            cloud.project_id,
            self.fingerprint,
            cloud=cloud,
            build=self.build,
            settle=sharing.settle,
        )
        for name, template in self._stacks:
            by_heat(cloud, "").remove(name, template)
        sharing.close(keep={share})

    def fingerprint(self, id_):
        if id_ not in self._sharing.ids("shares"):
            return None
        found = self._sharing.show(id_)
        return self._sharing.read(id_), found["size"], found["share_proto"], found["share_type"], found["metadata"]

    def build(self, parts):
        name, template = f"karbor-test-{uuid.uuid4().hex[:8]}", assemble(parts, description="trial")
        self._stacks.append((name, template))
        builder = by_heat(self._sharing.cloud, "")
        ids = builder.build(name, template, report=lambda _now: None, timeout_minutes=20)
        return {part.original_id: ids[key] for key, part in template.names.items()}


@pytest.fixture
def lost(sharing, share):
    """A share that was protected; then its files were spoiled, and it was to be deleted."""
    id_ = sharing.make(f"lost-{uuid.uuid4().hex[:8]}", FILES, metadata={"app": "shop"}, description="of the shop")
    sharing.allow(id_, "ann")
    resource = Resource(SHARE, id_, "lost")
    plugin = Plugin(Plugin.Settings(), HERE)
    work = TwinWork("protect", resource, options=Plugin.Protect.parse({}), cloud=sharing.cloud)
    work.results["prepare_finish"] = plugin.prepare_finish(work)
    done = plugin.protect(work)
    sharing.write(id_, {"index.html": b"defaced"})
    yield plugin, resource, SavedResource(work.key.text, "karbor-share-protection-plugin", done.saved, {})
    sharing.close(keep={share})


@pytest.mark.parametrize("way", [by_heat, directly])
def test_a_share_comes_back_from_its_snapshot_with_files_and_rules(sharing, lost, way):
    plugin, resource, saved = lost
    options = Plugin.Restore.parse({"restore_name": "again"})
    work = TwinWork("restore", resource, options=options, saved=saved, cloud=sharing.cloud)
    plugin.restore_prepare(work)
    template = assemble(plugin.restore(work).template, description="share")
    stack, builder = f"karbor-test-{uuid.uuid4().hex[:8]}", way(sharing.cloud, str(uuid.uuid4()))
    try:
        made = builder.build(stack, template, report=lambda _now: None, timeout_minutes=20)
        (new,) = made.values()
        assert sharing.read(new) == FILES
        assert sharing.rules(new) == [("cephx", "ann", "rw")]
        found, old = sharing.show(new), sharing.show(resource.id)
        kept = ("size", "share_proto", "share_type", "description", "share_network_id")
        assert {key: found[key] for key in kept} == {key: old[key] for key in kept}
        assert (found["name"], found["metadata"]["app"]) == ("again", "shop")
    finally:
        builder.remove(stack, template)


def test_manila_keeps_a_share_as_long_as_a_checkpoint_needs_it(sharing, lost):
    plugin, resource, saved = lost
    with pytest.raises(errors.Forbidden):
        sharing.api.delete(f"/shares/{resource.id}")
    before = sharing.ids("snapshots")
    deleting = TwinWork("delete", resource, saved=saved, cloud=sharing.cloud)
    for _ in range(2):
        plugin.delete(deleting)
    assert before - sharing.ids("snapshots") == {saved.saved["snapshot_id"]}
    sharing.api.delete(f"/shares/{resource.id}")
    sharing.settle()
    assert resource.id not in sharing.ids("shares")
    with pytest.raises(errors.ResourceNotFound):
        plugin.restore_prepare(TwinWork("restore", resource, saved=saved, cloud=sharing.cloud))


def test_a_tenant_protects_and_restores_a_share_by_the_karbor_command(sharing, share, karbor):
    user, snapshots, shares = User(karbor("demo")), sharing.ids("snapshots"), sharing.ids("shares")
    name = sharing.show(share)["name"]
    plan = user.plan(BACKUPS, [{"id": share, "type": SHARE, "name": name}], {})
    checkpoint = user.protect(BACKUPS, plan)
    assert len(sharing.ids("snapshots") - snapshots) == 1
    sharing.write(share, {"index.html": b"defaced"})
    restore = user.restore(BACKUPS, checkpoint, {SHARE: {"restore_name": "again"}})
    (new,) = sharing.ids("shares") - shares
    assert (sharing.show(new)["name"], sharing.read(new)) == ("again", FILES)
    sharing.write(share, FILES)
    user.delete(BACKUPS, checkpoint)
    assert sharing.ids("snapshots") == snapshots
    remove_stack(sharing.cloud, f"karbor-restore-{restore['id']}")
    sharing.settle()
    assert sharing.ids("shares") == shares
