# SPDX-License-Identifier: Apache-2.0
"""A resource type in one file: plain files of one directory, as an example for authors of plug-ins.

``Sample::File`` resources are the files of ``directory``; an id is a uuid made from the name. Enable it with two lines:
an entry point in ``karbor.protectables`` and one in ``karbor.protections``.
"""

import os
import uuid
from pathlib import Path

from karbor.common import durable
from karbor.model import errors
from karbor.model.resource import Resource
from karbor.sdk.options import Options, option, required
from karbor.sdk.protectable import Protectable
from karbor.sdk.protection import Protected, Protection, Restored
from karbor.sdk.streams import Extent, Kind

TYPE = "Sample::File"


class FileSource:
    """A file as a Source. A real plug-in would freeze or copy it first."""

    def __init__(self, path):
        self._path = path
        self.size = path.stat().st_size

    def extents(self):
        return [Extent(0, self.size, Kind.DATA)] if self.size else []

    def read(self, offset, length):
        with self._path.open("rb") as stream:
            return os.pread(stream.fileno(), length, offset)


class FileProtectable(Protectable):
    """Files of one directory; every project sees them."""

    resource_type = TYPE

    class Settings(Options):
        directory: str = required("Directory whose files can be protected.")

    def list(self, project_id, *, after="", limit=1000, parameters=None):
        found = [self._resource(path) for path in Path(self.settings.directory).iterdir() if path.is_file()]
        return [resource for resource in sorted(found, key=lambda r: r.id) if resource.id > after][:limit]

    def get(self, project_id, resource_id, *, parameters=None):
        for resource in self.list(project_id):
            if resource.id == resource_id:
                return resource
        raise errors.ResourceNotFound(f"There is no file with the id {resource_id}.")

    def _resource(self, path):
        return Resource(TYPE, str(uuid.uuid5(uuid.NAMESPACE_URL, path.name)), path.name, {"path": str(path)})


class FileProtection(Protection):
    """Save the bytes of a file; restore them under another name."""

    resource_types = (TYPE,)

    class Restore(Options):
        restore_name: str | None = option(None, "Name of the restored file; the old name with .restored by default.")

    class Saved(Options):
        path: str = required("Where the file was.")

    def protect(self, work):
        source = FileSource(Path(work.resource.extra_info["path"]))
        work.expect(source.size)
        info = work.streams.write("content", source)
        return Protected({"path": work.resource.extra_info["path"]}, {"content": info}, source.size, mode="full")

    def restore(self, work):
        reader = work.streams.read("content")
        durable.write_file(self._target(work), reader.read(0, reader.size))
        return Restored(str(uuid.uuid5(uuid.NAMESPACE_URL, self._target(work).name)))

    def restore_abandon(self, work):
        self._target(work).unlink(missing_ok=True)

    def _target(self, work):
        old = Path(work.saved.saved["path"])
        return old.with_name(work.options.restore_name or old.name + ".restored")
