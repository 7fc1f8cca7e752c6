# SPDX-License-Identifier: Apache-2.0
"""What can be protected in a test that has nothing real? Bytes in a dictionary."""

from karbor.model import errors
from karbor.model.resource import Resource
from karbor.sdk.options import Options, option, required
from karbor.sdk.protectable import Protectable
from karbor.sdk.protection import Protected, Protection, Restored
from karbor.sdk.testing.work import BytesStream

TYPE = "Memory::Thing"


class MemoryProtectable(Protectable):
    """Things a test ``add``s. ``contents`` maps an id to its bytes; ``owners`` tells whose it is."""

    resource_type = TYPE

    def __init__(self, settings, environment):
        super().__init__(settings, environment)
        self.contents = {}
        self.owners = {}

    def add(self, project_id, id_, content=b""):
        """One more thing; returns it."""
        self.contents[id_] = content
        self.owners[id_] = project_id
        return self._resource(id_)

    def list(self, project_id, *, after="", limit=1000, parameters=None):
        mine = sorted(id_ for id_ in self.contents if self.owners.get(id_) == project_id and id_ > after)
        return [self._resource(id_) for id_ in mine[:limit]]

    def get(self, project_id, resource_id, *, parameters=None):
        if self.owners.get(resource_id) != project_id:
            raise errors.ResourceNotFound(f"There is no thing {resource_id}.")
        return self._resource(resource_id)

    def _resource(self, id_):
        return Resource(self.resource_type, id_, id_, {"size": str(len(self.contents[id_]))})


class MemoryProtection(Protection):
    """Saves and restores bytes in ``contents``."""

    resource_types = (TYPE,)

    class Restore(Options):
        restore_name: str | None = option(None, "Id of what is restored; the old one with -restored by default.")

    class Saved(Options):
        name: str = required("Id of what was saved.")

    def __init__(self, settings, environment, contents):
        super().__init__(settings, environment)
        self.contents = contents

    def protect(self, work):
        content = self.contents[work.resource.id]
        work.expect(len(content))
        info = work.streams.write("content", BytesStream(content))
        return Protected({"name": work.resource.id}, {"content": info}, len(content), mode="full")

    def restore(self, work):
        reader = work.streams.read("content")
        self.contents[self._new_id(work)] = reader.read(0, reader.size)
        return Restored(self._new_id(work))

    def restore_abandon(self, work):
        self.contents.pop(self._new_id(work), None)

    def _new_id(self, work):
        return work.options.restore_name or f"{work.saved.saved['name']}-restored"
