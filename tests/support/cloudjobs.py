# SPDX-License-Identifier: Apache-2.0
"""How many questions do a listing and a protect ask of a cloud? The phases of plug-ins in their order, alone."""

from collections import Counter

from karbor.common.once import Once
from karbor.plugins.resources.image_data import ImageDataProtection
from karbor.plugins.resources.project_protection import ProjectProtection
from karbor.plugins.resources.server_protection import ServerProtection
from karbor.protection import costs, flows
from karbor.sdk.testing.memorycloud import MemoryCloud
from karbor.sdk.testing.work import TwinWork
from tests.support.clock import TwinClock
from tests.support.clouds import ENVIRONMENT, protectables

SERVER, VOLUME, PROJECT = "OS::Nova::Server", "OS::Cinder::Volume", "OS::Keystone::Project"


class CloudJob:
    """A tenant with so many servers, each with volumes and a port; every other one boots from an image where
    ``images``."""

    def __init__(self, servers, volumes, protection, *, images=False):
        self.memory = memory = MemoryCloud(clock=TwinClock())
        net = memory.networks.add("alpha", "networks", name="net")
        memory.networks.add("alpha", "subnets", network_id=net["id"], cidr="10.0.0.0/8")
        image = memory.images.add("alpha", "base", b"base")
        for number in range(servers):
            booted = image if images and number % 2 else None
            server = memory.compute.add("alpha", f"s{number}", image=booted, tags=["all"])
            for place in range(volumes):
                memory.volumes.add("alpha", f"v{number}-{place}", b"data", server=server, bootable=True)
            memory.networks.add("alpha", "ports", network_id=net["id"], device_id=server["id"])
        self.cloud = memory.open("alpha", pause=memory.clock.pass_time)
        self.project_id = self.cloud.project_id
        self.seen = protectables().for_caller(lambda: self.cloud)
        kinds = (ServerProtection, ImageDataProtection, ProjectProtection, protection)
        plugins = [kind(kind.Settings(), ENVIRONMENT) for kind in kinds]
        self._plugins = {type_: plugin for plugin in plugins for type_ in plugin.resource_types}
        self.cloud.has("compute")  # logs in
        self.cloud.compute.get("/flavors/detail")  # and asks what versions there are
        self.cloud.block_storage.get("/limits")
        self.cloud.network.get("/networks")
        self.cloud.image.get("/images")

    def _plugin(self, key):
        return self._plugins[key.type]

    def counted(self, do):
        """The questions that ``do`` asks, by service, method and path; and what it returns."""
        before = Counter(self.memory.calls)
        found = do()
        return Counter(self.memory.calls) - before, found

    def listing(self, type_):
        """Every page of a type with its dependents."""
        after, found = "", 0
        while True:
            page = self.seen.list_instances(self.project_id, type_, after=after, limit=1000, parameters=None)
            found += len(page)
            if len(page) < 1000:
                return found
            after = page[-1]["id"]

    def graph(self):
        """All servers, chosen by their tag, with all that lies below them."""
        chosen = self.seen.choose(self.project_id, {"resources": [], "selection": [{"type": SERVER, "tags": ["all"]}]})
        return self.seen.graph_below(self.project_id, chosen.roots)

    def protect(self, graph):
        """The steps of a checkpoint of that."""
        uses = costs.uses_of(graph, self._plugin, {})
        batches = costs.batches_of(graph, self._plugin, uses, 16)
        costs.costed(uses, batches, lambda: self.cloud)
        together = {type_: frozenset(n.key.id for n in graph if n.key.type == type_) for type_ in (SERVER, VOLUME)}
        once, results, stored = Once(), {}, {}
        for step in flows.protect_steps(graph, lambda key, phase: self._plugin(key).has(phase), batches):
            if step.key is None:
                continue
            node, parents = graph[step.key], graph.parents(step.key)
            work = TwinWork(
                "protect",
                node.resource,
                options=self._plugin(step.key).Protect(),
                project_id=self.project_id,
                parent=graph[parents[0]].resource if parents else None,
                children=[(key, graph[key].resource) for key in node.children],
                results=results.get(step.key),
                child_phases={key: results.get(key, {}) for key in node.children},
                stored=stored,
                cloud=self.cloud,
                once=once,
                together=together,
            )
            done = getattr(self._plugin(step.key), step.phase)(work)
            results.setdefault(step.key, {})[step.phase] = done
