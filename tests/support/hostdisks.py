# SPDX-License-Identifier: Apache-2.0
"""How is a server tried whose disks lie on the host of the worker, without a host and without a cloud?"""

import json

from karbor.common.clock import Clock, iso
from karbor.model.checkpoint import SavedResource
from karbor.model.resource import Resource, ResourceKey
from karbor.plugins.resources.host_volumes import IN_EACH_VIEW, IN_VIEW
from karbor.plugins.resources.image_data import ImageDataProtection
from karbor.plugins.resources.server_protection import ServerProtection
from karbor.plugins.resources.volume_data import VolumeDataProtection
from karbor.sdk.environment import Environment
from karbor.sdk.protection import EarlierPoint
from karbor.sdk.testing.memory_hypervisor import MemoryDomain, MemoryHypervisor
from karbor.sdk.testing.memorycloud import MemoryCloud
from karbor.sdk.testing.work import TwinWork
from tests.support.clock import TwinClock

IMAGE, SERVER, VOLUME = "OS::Glance::Image", "OS::Nova::Server", "OS::Cinder::Volume"
SWAP = b"what was swapped".ljust(4096, b"\0")


def disk_of(byte):
    """Four blocks, of which two hold nothing."""
    return byte * 4096 + bytes(8192) + b"end!" * 1024


class HostDisks:
    """A server on a host, of an image or of a volume. ``disks``: what Nova calls the images beside the root disk, by
    target, and what is on them; ``ephemeral``: GiB of the flavor. Its volume ``vda`` is raw, and protected where a test
    gives options for that (``volume``)."""

    def __init__(self, *, here=True, root="disk", disks=None, ephemeral=0, from_volume=False, driver=None):
        self.cloud = MemoryCloud(clock=TwinClock())
        self.tenant = self.cloud.open("alpha", pause=self.cloud.clock.pass_time)
        flavor = self.cloud.compute.flavor("roomy", **{"OS-FLV-EXT-DATA:ephemeral": ephemeral, "swap": 64})
        self.image = self.cloud.images.add("alpha", "base", b"as published", hw_disk_bus="virtio")
        image = None if from_volume else self.image
        self.server = self.cloud.compute.add("alpha", "web", image=image, flavorRef=flavor["id"])
        self.cloud.contents[self.server["id"]] = b"by nova"
        self.volume = self.cloud.volumes.add("alpha", "data", server=self.server)
        self.id, self.from_volume = self.server["id"], from_volume
        self.root = f"/instances/{self.id}/{root}"
        self.serials = {"vda": self.volume["id"]}
        found = {"vda": ("/volumes/data", disk_of(b"v")), "vdz": (f"/instances/{self.id}/disk.swap", SWAP)}
        if not from_volume:
            found["vdb"] = (self.root, disk_of(b"a"))
        for target, (name, data) in (disks or {}).items():
            found[target] = (f"/instances/{self.id}/{name}", data)
        self.driver = self.host(found, driver)
        environment = Environment("here", "/state", hypervisors={"libvirt": self.driver} if here else {})
        self.images = ImageDataProtection(ImageDataProtection.Settings(), environment)
        self.servers = ServerProtection(ServerProtection.Settings(), environment)
        self.volumes = VolumeDataProtection(VolumeDataProtection.Settings(), environment)
        self.stored = {}

    def host(self, disks, driver):
        """The driver of a host with the guest, whose ``disks`` are path and content by target."""
        driver = driver or MemoryHypervisor()
        paths = {target: path for target, (path, _data) in disks.items()}
        self.guest = MemoryDomain("web", paths, self.id, raw=frozenset({"vda"}), serials=self.serials)
        driver.add(self.guest, {target: data for target, (_path, data) in disks.items()})
        return driver

    def image_work(self, token="t-1", earlier=(), operation="protect", saved=None, **options):
        declared = ImageDataProtection.Protect if operation == "protect" else ImageDataProtection.Restore
        return TwinWork(
            operation,
            Resource(IMAGE, self.image["id"], "base", {"server_id": self.id}, per_parent=True),
            parent=Resource(SERVER, self.id, "web"),
            options=declared.parse(options),
            earlier=earlier,
            saved=saved,
            **self._shared(token),
        )

    def volume_work(self, token="t-1", earlier=(), **options):
        return TwinWork(
            "protect",
            Resource(VOLUME, self.volume["id"], "data", {"size": 1}),
            parent_phases={ResourceKey("OS::Keystone::Project", "p"): {}, ResourceKey(SERVER, self.id): {}},
            options=VolumeDataProtection.Protect.parse(options),
            earlier=earlier,
            **self._shared(token),
        )

    def server_work(self, token="t-1", earlier=(), operation="protect", saved=None, wishes=(), **options):
        declared = ServerProtection.Protect if operation == "protect" else ServerProtection.Restore
        children = [(ResourceKey(VOLUME, self.volume["id"]), Resource(VOLUME, self.volume["id"], "data"))]
        if not self.from_volume:
            children.append((ResourceKey(IMAGE, self.image["id"], self.id), Resource(IMAGE, self.image["id"], "base")))
        return TwinWork(
            operation,
            Resource(SERVER, self.id, "web"),
            options=declared.parse(options),
            children=children,
            earlier=earlier,
            saved=saved,
            wishes={wish: [children[0][0]] for wish in wishes},
            **self._shared(token),
        )

    def begun(self, token="t-1", earlier=None, server=None, volume=None, **image):
        """The work of the server and, where it has one, of its root disk, up to where they are read."""
        past, wishes = earlier or {}, frozenset()
        if volume is not None:
            reader = self.volume_work(token, past.get("volume", ()), **volume)
            wishes = self.volumes.wishes(reader.resource, reader.options)
            assert wishes <= {IN_VIEW, IN_EACH_VIEW}
        works = {"server": self.server_work(token, past.get("server", ()), wishes=wishes, **(server or {}))}
        self._run(self.servers, works["server"], "prepare_begin")
        taken = {ResourceKey(VOLUME, self.volume["id"]): {"prepare_finish": {"taken_at": iso(Clock().now())}}}
        if not self.from_volume:
            works["image"] = self.image_work(token, past.get("image", ()), **image)
            works["image"].parent_results["prepare_begin"] = works["server"].results["prepare_begin"]
            self._run(self.images, works["image"], "prepare_finish")
            taken[works["image"].key] = dict(works["image"].results)
        if volume is not None:
            works["volume"] = reader
            reader.parent_phases[ResourceKey(SERVER, self.id)] = dict(works["server"].results)
            self._run(self.volumes, reader, "prepare_finish")
            taken[reader.key] = dict(reader.results)
        works["server"].child_phases.update(taken)
        works["server"].results["prepare_finish"] = json.loads(json.dumps(self.servers.prepare_finish(works["server"])))
        return works

    def protected(self, token="t-1", earlier=None, meanwhile=lambda: None, server=None, volume=None, **image):
        """By ``server``, ``image`` and ``volume``: what was protected, the point for the next time, and the work."""
        works = self.begun(token, earlier, server, volume, **image)
        meanwhile()
        plugins = {"server": self.servers, "image": self.images, "volume": self.volumes}
        done = {name: plugins[name].protect(work) for name, work in works.items()}
        for name in reversed(works):
            self._run(plugins[name], works[name], "complete")
        for name in works:
            self._run(plugins[name], works[name], "committed")
        found = {}
        for name, one in done.items():
            plugins[name].Saved.parse(one.saved)
            assert works[name].done == works[name].expected
            streams = {stream: info.id for stream, info in one.streams.items()}
            point = EarlierPoint(token, SavedResource(works[name].key.text, name, one.saved, streams))
            found[name] = (one, point, works[name])
        return found

    def write(self, path, offset, data):
        """What the guest writes."""
        found = bytearray(self.driver.files[path])
        found[offset : offset + len(data)] = data
        self.driver.files[path] = bytes(found)

    def _run(self, plugin, work, phase):
        """Twice, as after a crash; what the second returned counts."""
        for _ in range(2):
            if plugin.has(phase):
                work.results[phase] = json.loads(json.dumps(getattr(plugin, phase)(work)))

    def _shared(self, token):
        return {"cloud": self.tenant, "stored": self.stored, "checkpoint_id": token}


def points(found):
    """What the next checkpoint is told of one that was protected."""
    return {name: [point] for name, (_done, point, _work) in found.items()}
