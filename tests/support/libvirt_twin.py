# SPDX-License-Identifier: Apache-2.0
"""How does a test walk a domain and its disks through protect and restore, without engine and hypervisor?"""

from dataclasses import dataclass

from karbor.model.checkpoint import SavedResource
from karbor.model.resource import ResourceKey
from karbor.plugins.resources.libvirt_disk import DiskProtectable, DiskProtection
from karbor.plugins.resources.libvirt_domain import DomainProtectable, DomainProtection
from karbor.sdk.environment import Environment
from karbor.sdk.protection import EarlierPoint
from karbor.sdk.testing.memory_hypervisor import MemoryDomain, MemoryHypervisor
from karbor.sdk.testing.work import TwinWork

PROJECT = "a" * 32


def make_guest(driver, name, *, project_id=""):
    """A guest with a tracked disk vda and an untracked disk vdb, 16 KiB each."""
    guest = MemoryDomain(name, {"vda": "/images/a", "vdb": "/images/b"}, project_id=project_id, raw=frozenset(["vdb"]))
    return driver.add(guest, {"vda": b"A" * 4096 + bytes(12288), "vdb": bytes(8192) + b"B" * 4096 + bytes(4096)})


@dataclass
class Point:
    """What a checkpoint keeps of the domain and of each disk by target."""

    id: str
    domain: SavedResource
    disks: dict
    resources: list


class Cycle:
    """One guest and what the plug-ins need to protect and restore it."""

    def __init__(self):
        self.driver = MemoryHypervisor()
        self.guest = make_guest(self.driver, "web")
        self.environment = Environment("host", "/nonexistent", hypervisors={"libvirt": self.driver})
        self.domain = DomainProtection(DomainProtection.Settings.parse({}), self.environment)
        self.disk = DiskProtection(DiskProtection.Settings.parse({}), self.environment)
        self.resource = self.protectable().get(PROJECT, self.guest.id)
        self.stored = {}
        self.last_read = {}

    @property
    def scope(self):
        return self.domain_work("x").provider_id

    def protectable(self, default_project=""):
        environment = Environment("host", "/nonexistent", default_project, {"libvirt": self.driver})
        return DomainProtectable(DomainProtectable.Settings.parse({}), environment)

    def disks(self):
        found = DiskProtectable(DiskProtectable.Settings.parse({}), self.environment)
        return found.children(PROJECT, [self.resource])[self.guest.id]

    def write(self, target, offset, data):
        content = bytearray(self.driver.files[self.guest.disks[target]])
        content[offset : offset + len(data)] = data
        self.driver.files[self.guest.disks[target]] = bytes(content)

    def content(self, domain_id):
        return {target: self.driver.files[path] for target, path in self.driver.guests[domain_id].disks.items()}

    def domain_work(self, token, earlier=(), **options):
        resource = self.protectable().get(PROJECT, self.guest.id)
        children = [(ResourceKey(disk.type, disk.id, resource.id), disk) for disk in self.disks()]
        return TwinWork(
            "protect",
            resource,
            options=DomainProtection.Protect.parse(options),
            children=children,
            earlier=[EarlierPoint(point.id, point.domain) for point in earlier],
            checkpoint_id=token,
            stored=self.stored,
        )

    def protect(self, token, earlier=(), **options):
        """One checkpoint, phase by phase; ``earlier`` points newest first."""
        work = self.domain_work(token, earlier, **options)
        work.results["prepare_begin"] = self.domain.prepare_begin(work)
        disks = {disk.extra_info["target"]: self._protect_disk(disk, work, earlier) for disk in self.disks()}
        done = self.domain.protect(work)
        self.domain.complete(work)
        self.domain.committed(work)
        return Point(token, self._saved(work, done), disks, self.disks())

    def restore(self, point, *, abandon=False, **options):
        """Restore a point and return the new domain's id."""
        work = self.restore_work(point, **options)
        work.results["restore_prepare"] = self.domain.restore_prepare(work)
        below = []
        for disk in point.resources:
            target = disk.extra_info["target"]
            child = TwinWork(
                "restore", disk, parent=work.resource, saved=point.disks[target], stored=self.stored,
                parent_results={"restore_prepare": work.results["restore_prepare"]},
            )  # fmt: skip
            done = self.disk.restore(child)
            work.child_results[child.key] = done.result
            assert child.done == child.expected
            below.append(child)
        new_id = None if abandon == "before define" else self.domain.restore(work).new_id
        if abandon:
            for _ in range(2):
                self.domain.restore_abandon(work)
                for child in below:
                    self.disk.restore_abandon(child)
        return new_id

    def restore_work(self, point, **options):
        """The domain's work in a restore of a point."""
        return self._lending_work("restore", point, DomainProtection.Restore.parse(options))

    def verify_work(self, point, **options):
        """The domain's work in a verification of a point."""
        return self._lending_work("verify", point, DomainProtection.Verify.parse(options))

    def _lending_work(self, operation, point, options):
        children = [(ResourceKey(disk.type, disk.id, self.resource.id), disk) for disk in point.resources]
        streams = {key: point.disks[disk.extra_info["target"]].streams.get("disk") for key, disk in children}
        return TwinWork(
            operation,
            self.resource,
            options=options,
            children=children,
            saved=point.domain,
            stored=self.stored,
            lendable={key: self.stored[id_] for key, id_ in streams.items() if id_ in self.stored},
            shelf=self.driver.lent,
        )

    def _protect_disk(self, disk, parent_work, earlier):
        target = disk.extra_info["target"]
        work = TwinWork(
            "protect",
            disk,
            options=DiskProtection.Protect.parse({}),
            parent=parent_work.resource,
            parent_results={"prepare_begin": parent_work.results["prepare_begin"]},
            earlier=[EarlierPoint(point.id, point.disks[target]) for point in earlier],
            checkpoint_id=parent_work.checkpoint_id,
            stored=self.stored,
        )
        done = self.disk.protect(work)
        assert work.done == work.expected
        self.last_read[target] = work.done
        return self._saved(work, done)

    def _saved(self, work, done):
        streams = {name: info.id for name, info in done.streams.items()}
        return SavedResource(
            work.key.text, "twin", dict(done.saved), streams, mode=done.mode or "full", base_id=done.base_id
        )
