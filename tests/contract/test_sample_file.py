# SPDX-License-Identifier: Apache-2.0
"""Does the sample resource type keep the contract?"""

import uuid

from karbor.sdk.environment import Environment
from karbor.sdk.testing.protection_suite import ProtectionSuite, Trial
from tests.samples.sample_file import FileProtectable, FileProtection


class TestSampleFile(ProtectionSuite):
    """One directory with two files."""

    def make(self, tmp_path):
        environment = Environment(host="here", state_dir=str(tmp_path))
        (tmp_path / "files").mkdir()
        for name in ("one", "two"):
            (tmp_path / "files" / name).write_bytes(name.encode() * 1000)
        protectable = FileProtectable(FileProtectable.Settings(directory=str(tmp_path / "files")), environment)
        resource = protectable.list("p")[0]

        def fingerprint(id_):
            found = [path for path in (tmp_path / "files").iterdir() if self.id_of(path) == id_]
            return found[0].read_bytes() if found else None

        protection = FileProtection(FileProtection.Settings(), environment)
        return Trial(protectable, protection, resource, "p", fingerprint)

    @staticmethod
    def id_of(path):
        return str(uuid.uuid5(uuid.NAMESPACE_URL, path.name))
