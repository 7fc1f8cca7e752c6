# SPDX-License-Identifier: Apache-2.0
"""How does a real client reach the API without workers? Over HTTP on a port of its own; twins stand behind it."""

import threading

from cheroot import wsgi

from karbor.model.checkpoint import SavedResource
from tests.support.api import PROJECT, PROVIDER, SERVER, VOLUME, Api


class ApiAlone:
    """A service to be driven: the API over twins of the workers, on a port of its own.

    Whatever has these attributes and methods can take its place.
    """

    provider_id = PROVIDER
    provider_name = "twin"
    resource = (SERVER, "OS::Nova::Server", "vm")
    dependent = ("OS::Cinder::Volume", VOLUME)
    restore = ()

    def __init__(self, path, files=(), project=PROJECT):
        self.api = Api(path, files=files)
        self.project = project
        self.api.workers.add(project, "OS::Nova::Server", SERVER, below=[("OS::Cinder::Volume", VOLUME, "v")])
        self.api.workers.add(project, "OS::Cinder::Volume", VOLUME, name="v")
        with self.api.database.write() as rows:
            rows.services.heartbeat(binary="karbor-operationengine", host="first")
        self.server = wsgi.Server(("127.0.0.1", 0), self.api.app, numthreads=4)
        self.server.prepare()
        self.thread = threading.Thread(target=self.server.serve, daemon=True)
        self.thread.start()
        self.root = f"http://127.0.0.1:{self.server.bind_addr[1]}"
        self.url = f"{self.root}/v1/{project}"

    def wait_for_checkpoint(self, id_):
        """Return when the checkpoint is available."""
        with self.api.database.write() as rows:
            for job in rows.jobs.live_for(checkpoint_id=id_):
                rows.jobs.request_cancel(job.id)
            key = f"{self.resource[1]}#{self.resource[0]}"
            rows.checkpoints.save_resources(id_, [SavedResource(key, "twin", {}, {})])
            rows.checkpoints.transition(id_, "available", finished_at=self.api.clock.now())

    def wait_for_restore(self, id_):
        """Return when the restore has succeeded."""
        with self.api.database.write() as rows:
            for job in rows.jobs.live_for(restore_id=id_):
                rows.jobs.request_cancel(job.id)
            rows.restores.transition(id_, "success", finished_at=self.api.clock.now())

    def wait_for_verification(self, id_):
        """Return when the verification has succeeded."""
        with self.api.database.write() as rows:
            for job in rows.jobs.live_for(verification_id=id_):
                rows.jobs.request_cancel(job.id)
            rows.verifications.transition(id_, "success", finished_at=self.api.clock.now())

    def close(self):
        self.server.stop()
        self.thread.join(10)
        self.api.database.dispose()
