# SPDX-License-Identifier: Apache-2.0
"""Does a plan that names a project cover what is in it?"""

from karbor.model.checkpoint import SavedResource
from karbor.model.resource import Resource
from karbor.plugins.resources.database import DatabaseProtectable
from karbor.plugins.resources.image import ImageProtectable
from karbor.plugins.resources.network import NetworkProtectable
from karbor.plugins.resources.project import ProjectProtectable
from karbor.plugins.resources.project_protection import ProjectProtection as Plugin
from karbor.plugins.resources.server import ServerProtectable
from karbor.plugins.resources.share import ShareProtectable
from karbor.plugins.resources.volume import VolumeProtectable
from karbor.protection.protectables import ProtectableRegistry
from karbor.sdk.environment import Environment
from karbor.sdk.testing.memorycloud import MemoryCloud
from karbor.sdk.testing.work import TwinWork
from tests.support.clock import TwinClock

HERE = Environment("here", "/state")
KINDS = (
    ProjectProtectable,
    ServerProtectable,
    VolumeProtectable,
    ImageProtectable,
    NetworkProtectable,
    ShareProtectable,
    DatabaseProtectable,
)


def test_everything_of_the_project_is_below_it_and_nothing_of_others():
    cloud = MemoryCloud(clock=TwinClock())
    for project in ("alpha", "beta"):
        image = cloud.images.add(project, "disk", b"x")
        server = cloud.compute.add(project, "web", image=image)
        cloud.volumes.attach(cloud.volumes.add(project, "data", b"x"), server)
        cloud.volumes.add(project, "spare", b"x")
        cloud.shares.add(project, "files")
        cloud.databases.add(project, "books")
    registry = ProtectableRegistry([kind(kind.Settings(), HERE) for kind in KINDS])
    caller = registry.for_caller(lambda: cloud.open("alpha"))
    project_id = cloud.project("alpha")
    graph = caller.graph(project_id, [Resource("OS::Keystone::Project", project_id, "alpha")])
    below = {(node.resource.type, node.resource.name) for node in graph}
    assert [key.id for key in graph.roots()] == [project_id]
    assert {
        ("OS::Nova::Server", "web"),
        ("OS::Cinder::Volume", "data"),
        ("OS::Cinder::Volume", "spare"),
        ("OS::Neutron::Network", "Network Topology"),
        ("OS::Manila::Share", "files"),
        ("OS::Trove::Instance", "books"),
        ("OS::Keystone::Project", "alpha"),
    } <= below
    others = {one["id"] for kind in cloud.things for one in cloud.of_project(kind, cloud.project("beta"))}
    assert not others & {node.resource.id for node in graph}


def test_of_the_project_itself_only_the_name_is_kept():
    plugin = Plugin(Plugin.Settings(), HERE)
    resource = Resource("OS::Keystone::Project", "p" * 32, "alpha")
    work = TwinWork("protect", resource, options=Plugin.Protect.parse({}))
    saved = plugin.protect(work).saved
    Plugin.Saved.parse(saved)
    kept = SavedResource(work.key.text, "karbor-project-protection-plugin", saved, {})
    restoring = TwinWork("restore", resource, options=Plugin.Restore.parse({}), saved=kept, project_id="q" * 32)
    assert plugin.restore(restoring).new_id == "q" * 32
    assert plugin.restore_plan(restoring).keeps == [{"name": "alpha"}]
