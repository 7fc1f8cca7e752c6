# SPDX-License-Identifier: Apache-2.0
"""Keystone in memory: everybody may log in, and the catalog leads to the other services."""

import secrets
from datetime import timedelta
from typing import Any

from karbor.common.clock import iso
from karbor.sdk.testing.memorycloud.wire import HOST, Answer, Refusal, Request, Service, route

USER = "6b617262-6f72-4000-8000-000000000001".replace("-", "")


class Identity(Service):
    """Tokens. Every user is the same one, member of every project."""

    type = "identity"
    version = "v3"

    def answer(self, request: Request) -> tuple[str, Answer]:
        """A login comes without a token."""
        if request.path == "/identity/v3/auth/tokens" and request.method == "POST":
            return "/auth/tokens", self._log_in(request)
        return super().answer(request)

    def fault(self, refusal: Refusal) -> Answer:
        """As Keystone writes it."""
        body = {"code": refusal.status, "message": refusal.text, "title": refusal.kind or "Error"}
        return Answer(refusal.status, {"error": body})

    @route("GET", "/projects/{id_}")
    def show_project(self, request: Request, id_: str) -> Answer:
        """The project of the token, and no other one."""
        if id_ != request.project_id:
            return self.fault(Refusal(403, "You are not authorized to perform the requested action."))
        return Answer(200, {"project": {"id": id_, "name": self._name(id_), "domain_id": "default", "enabled": True}})

    def _name(self, project_id: str) -> str:
        return next(name for name, known in self.cloud.projects.items() if known == project_id)

    def _log_in(self, request: Request) -> Answer:
        asked = request.body["auth"]
        given = asked["identity"].get("token", {}).get("id", "")
        wanted = asked.get("scope", {}).get("project", {})
        project_id = wanted.get("id") or self.cloud.projects.get(wanted.get("name", ""), "")
        if given:
            project_id = project_id or self.cloud.tokens.get(given, "")
        if (given and given not in self.cloud.tokens) or project_id not in self.cloud.projects.values():
            return self.fault(Refusal(401, "The request you have made requires authentication."))
        token = secrets.token_hex(16)
        self.cloud.tokens[token] = project_id
        now = self.cloud.clock.now()
        body = {
            "methods": ["password"],
            "user": {"id": USER, "name": "ann", "domain": {"id": "default", "name": "Default"}},
            "project": {
                "id": project_id,
                "name": self._name(project_id),
                "domain": {"id": "default", "name": "Default"},
            },
            "roles": [{"id": "1", "name": "member"}],
            "issued_at": f"{iso(now)}Z",
            "expires_at": f"{iso(now + timedelta(days=36500))}Z",  # by expire_tokens alone
            "catalog": [self._entry(service, project_id) for service in self.cloud.services.values()],
        }
        return Answer(201, {"token": body}, {"X-Subject-Token": token})

    @staticmethod
    def _entry(service: Service, project_id: str) -> dict[str, Any]:
        url = service.endpoint(project_id) if service.type != "identity" else f"{HOST}/identity/v3"
        ends = [
            {
                "id": f"{service.type}-{one}",
                "interface": one,
                "region": "RegionOne",
                "region_id": "RegionOne",
                "url": url,
            }
            for one in ("public", "internal")
        ]
        return {"id": service.type, "type": service.type, "name": service.type, "endpoints": ends}
