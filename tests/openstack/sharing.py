# SPDX-License-Identifier: Apache-2.0
"""What lies in the shares of ministack? Looked at and written through ceph-fuse, as a user of the share would."""

import contextlib
import os
import subprocess
import tempfile
import time
from pathlib import Path

from tests.support.rest import PAUSE

_STATE = Path(os.environ.get("MINISTACK_DIR", "/var/lib/ministack"))
_SECONDS = 900  # longest wait, on a machine that does much else


class Sharing:
    """The shares of one project. Whatever ``close`` finds beside those that were there at first it removes."""

    def __init__(self, cloud):
        self.cloud, self.api = cloud, cloud.shared_file_system
        self._before = self.ids("shares") | self.ids("snapshots")

    def ids(self, kind):
        """Of all shares or snapshots of the project."""
        return {one["id"] for one in self.api.get(f"/{kind}/detail").json()[kind]}

    def show(self, id_):
        """A share as Manila tells it."""
        return self.api.get(f"/shares/{id_}").json()["share"]

    def make(self, name, files=(), **more):
        """The id of a share with files, by name."""
        body = {"name": name, "size": 1, "share_proto": "CEPHFS", **more}
        id_ = self.api.post("/shares", json={"share": body}).json()["share"]["id"]
        self.cloud.wait(
            lambda: self.show(id_), lambda one: one["status"] != "creating", what="share", deadline=_SECONDS
        )
        assert self.show(id_)["status"] == "available"
        self.write(id_, dict(files))
        return id_

    def allow(self, id_, name):
        """Let a user of Ceph at it."""
        rule = {"access_type": "cephx", "access_to": name, "access_level": "rw"}
        self.api.post(f"/shares/{id_}/action", json={"allow_access": rule})
        assert self.rules(id_) == [("cephx", name, "rw")]

    def rules(self, id_):
        """Who may use it: kind, name, level; as soon as all of them are in force."""

        def look():
            return self.api.get("/share-access-rules", params={"share_id": id_}).json()["access_list"]

        def reached(rules):
            return all(one["state"] in ("active", "error") for one in rules)

        found = self.cloud.wait(look, reached, what="rules", deadline=_SECONDS)
        names = ("access_type", "access_to", "access_level")
        return sorted(tuple(one[name] for name in names) for one in found if one["state"] == "active")

    @contextlib.contextmanager
    def mounted(self, id_):
        """The directory of a share."""
        (place,) = self.api.get(f"/shares/{id_}/export_locations").json()["export_locations"]
        inside = "/" + place["path"].partition(":/")[2]
        words = ["ceph-fuse", "-c", str(_STATE / "etc/ceph/ceph.conf"), "-n", "client.test", "--client_mountpoint"]
        with tempfile.TemporaryDirectory(prefix="karbor-share-") as directory:
            subprocess.run([*words, inside, directory], check=True, capture_output=True, timeout=300)
            try:
                yield Path(directory)
            finally:
                self._unmount(directory)

    @staticmethod
    def _unmount(directory):
        deadline = time.monotonic() + 300
        while subprocess.run(["umount", directory], capture_output=True, timeout=300).returncode:
            assert time.monotonic() < deadline, f"{directory} stays busy"
            PAUSE.wait(0.5)

    def write(self, id_, files):
        """Put these files into it, by name, and nothing else."""
        with self.mounted(id_) as directory:
            for old in directory.iterdir():
                old.unlink()
            for name, data in files.items():
                (directory / name).write_bytes(data)

    def read(self, id_):
        """All files in it, by name."""
        with self.mounted(id_) as directory:
            return {one.name: one.read_bytes() for one in directory.iterdir()}

    def settle(self):
        """Wait until nothing is on its way in or out."""
        self.cloud.wait(self._moving, lambda names: not names, what="shares and snapshots", deadline=_SECONDS)

    def _moving(self):
        found = [one for kind in ("shares", "snapshots") for one in self.api.get(f"/{kind}/detail").json()[kind]]
        # A snapshot that goes away just now has no state at all for a moment.
        return [one["id"] for one in found if (one["status"] or "going").endswith("ing") or "creating" in one["status"]]

    def close(self, keep=()):
        """Remove what was not there at first, and is not to be kept; snapshots before their shares."""
        for kind in ("snapshots", "shares"):
            self.settle()
            for id_ in self.ids(kind) - self._before - set(keep):
                self.api.delete(f"/{kind}/{id_}")
        self.settle()
