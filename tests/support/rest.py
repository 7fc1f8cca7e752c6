# SPDX-License-Identifier: Apache-2.0
"""How does a test talk to a running service? A few lines over urllib, as a script of a tenant would."""

import json
import threading
import time
import urllib.error
import urllib.request

PAUSE = threading.Event()  # never set: waiting on it is a pause that a deadline surrounds


class Rest:
    """``url`` is the catalog URL with version and project."""

    def __init__(self, url, headers=None):
        self.url = url
        self.headers = {"Content-Type": "application/json", **(headers or {})}

    def send(self, method, path, body=None, raw=None):
        """(status, JSON or text) of one request."""
        data = raw if raw is not None else (json.dumps(body).encode() if body is not None else None)
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=self.headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, _decoded(answer)
        except urllib.error.HTTPError as fault:
            with fault:
                return fault.code, _decoded(fault)

    def get(self, path):
        status, body = self.send("GET", path)
        assert status == 200, (path, status, body)
        return body

    def post(self, path, body):
        status, answer = self.send("POST", path, body)
        assert status in (200, 202), (path, status, answer)
        return answer

    def wait(self, path, envelope, done, seconds=120):
        """Ask for a thing until its status is one of ``done``; returns it. Fails at the deadline with what it is."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.get(path)[envelope]
            if found["status"] in done:
                return found
            assert time.monotonic() < deadline, f"still {found['status']} after {seconds} s: {found}"
            PAUSE.wait(0.2)

    def wait_for(self, condition, seconds=120):
        """Wait until a condition holds. Fails at the deadline."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds} s"
            PAUSE.wait(0.2)

    def provider(self, type_):
        """The first provider that protects a type and really does something."""
        for found in self.get("/providers")["providers"]:
            if type_ in found["extended_info_schema"]["options_schema"] and found["name"] != "noop":
                return found["id"]
        raise AssertionError(f"no provider for {type_}")

    def plan(self, provider_id, resources, parameters=None, name="plan"):
        body = {"name": name, "provider_id": provider_id, "resources": resources, "parameters": parameters or {}}
        return self.post("/plans", {"plan": body})["plan"]

    def start_checkpoint(self, plan):
        path = f"/providers/{plan['provider_id']}/checkpoints"
        return self.post(path, {"checkpoint": {"plan_id": plan["id"]}})["checkpoint"]["id"]

    def checkpoint(self, plan, checkpoint_id, done=("available", "error"), seconds=120):
        """A checkpoint when it has ended."""
        return self.wait(f"/providers/{plan['provider_id']}/checkpoints/{checkpoint_id}", "checkpoint", done, seconds)

    def protect(self, plan, seconds=120):
        """Make a checkpoint and wait until it is available."""
        found = self.checkpoint(plan, self.start_checkpoint(plan), seconds=seconds)
        assert found["status"] == "available", found
        return found

    def restore(self, checkpoint, parameters, seconds=120):
        """Restore a checkpoint and wait for the end."""
        body = {
            "provider_id": checkpoint["protection_plan"]["provider_id"],
            "checkpoint_id": checkpoint["id"],
            "parameters": parameters,
        }
        restore = self.post("/restores", {"restore": body})["restore"]
        return self.wait(f"/restores/{restore['id']}", "restore", ("success", "fail"), seconds)

    def verify(self, checkpoint, parameters, seconds=120):
        """Verify a checkpoint and wait for the end."""
        body = {
            "provider_id": checkpoint["protection_plan"]["provider_id"],
            "checkpoint_id": checkpoint["id"],
            "parameters": parameters,
        }
        found = self.post("/verifications", {"verification": body})["verification"]
        return self.wait(f"/verifications/{found['id']}", "verification", ("success", "fail"), seconds)


def _decoded(answer):
    text = answer.read().decode()
    return json.loads(text) if "json" in (answer.headers.get("Content-Type") or "") and text else text
