# SPDX-License-Identifier: Apache-2.0
"""How does a user of the cloud protect and restore with the ``karbor`` command alone?"""

import ast
import json
import time
import uuid

from tests.support.rest import PAUSE

SECONDS = 3600  # longest wait for the end of a job, on a machine that does much else


class User:
    """Runs the command in one project."""

    def __init__(self, command):
        self.command = command

    def plan(self, provider, resources, parameters):
        """The id of a new plan."""
        words = ",".join("=".join((one["id"], one["type"], one["name"])) for one in resources)
        name = f"plan-{uuid.uuid4().hex[:8]}"
        return self.command.show("plan-create", name, provider, words, "--parameters-json", json.dumps(parameters))[
            "id"
        ]

    def begin(self, provider, plan):
        """The id of a checkpoint that is being made."""
        return self.command.show("checkpoint-create", provider, plan)["id"]

    def protect(self, provider, plan):
        """The id of a new checkpoint that is available."""
        made = self.begin(provider, plan)
        found = self.ended(provider, made)
        assert found["status"] == "available", found
        return made

    def ended(self, provider, checkpoint):
        """What ``checkpoint-show`` says of a checkpoint that is made, or could not be."""
        return self._wait(("checkpoint-show", provider, checkpoint), "available", "error")

    def begin_restore(self, provider, checkpoint, parameters, *login):
        """The id of a restore that has begun."""
        given = ("--parameters-json", json.dumps(parameters))
        return self.command.show("restore-create", provider, checkpoint, *login, *given)["id"]

    def restored(self, restore):
        """What ``restore-show`` says of a restore that has ended."""
        found = self._wait(("restore-show", restore), "success", "fail")
        return {**found, "resources_status": ast.literal_eval(found["resources_status"])}

    def restore(self, provider, checkpoint, parameters, *login):
        """The same of a restore that must end well."""
        found = self.restored(self.begin_restore(provider, checkpoint, parameters, *login))
        assert found["status"] == "success", found
        return found

    def delete(self, provider, checkpoint):
        """Delete a checkpoint and wait until it is gone."""
        self.command.well("checkpoint-delete", provider, checkpoint)
        found = self._wait(("checkpoint-show", provider, checkpoint), "deleted", "error-deleting")
        assert found["status"] == "deleted", found

    def _wait(self, words, *ends):
        deadline = time.monotonic() + SECONDS
        while True:
            found = self.command.show(*words)
            if found["status"] in ends:
                return found
            assert time.monotonic() < deadline, found
            PAUSE.wait(3)
