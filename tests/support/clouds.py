# SPDX-License-Identifier: Apache-2.0
"""How does a test fill a cloud in memory, and look at it as a worker with all protectables of clouds does?"""

from karbor.common import loading
from karbor.protection.protectables import ProtectableRegistry
from karbor.sdk.environment import Environment

ENVIRONMENT = Environment("here", "/state")


def protectables():
    """Every protectable that acts in a cloud, as installed."""
    found = loading.plugin_classes("karbor.protectables").values()
    return ProtectableRegistry([kind(kind.Settings(), ENVIRONMENT) for kind in found if kind.acts_in_cloud])


def application(memory, *, project="alpha", servers=2, volumes=2):
    """Servers of which every other one boots from an image, each with so many volumes; what lies beside them."""
    image = memory.images.add("beta", "base", b"base", visibility="public")
    own = memory.images.add(project, "own", b"own")
    for number in range(servers):
        server = memory.compute.add(project, f"server-{number:04}", image=(image, own, None)[number % 3])
        for place in range(volumes):
            memory.volumes.add(project, f"volume-{number:04}-{place}", server=server)
    memory.volumes.add(project, "free")
    memory.shares.add(project, "share")
    memory.databases.add(project, "database")
    return memory.projects[project]
