# SPDX-License-Identifier: Apache-2.0
"""Swift in memory, as far as a tenant's own containers go."""

from karbor.sdk.testing.memorycloud.wire import HOST, Answer, Refusal, Request, Service, route


class Objects(Service):
    """Containers and objects; ``cloud.contents`` has the bytes by ``PROJECT/CONTAINER/NAME``."""

    type = "object-store"
    version = "v1"

    def endpoint(self, project_id: str) -> str:
        """With the account, which stands for the project."""
        return f"{HOST}/{self.type}/{self.version}/AUTH_{project_id}"

    @route("PUT", "/{account}/{container}")
    def make(self, request: Request, account: str, container: str) -> Answer:
        """Again is fine."""
        self._own(request, account)
        self.cloud.things["container"][f"{request.project_id}/{container}"] = {"project_id": request.project_id}
        return Answer(201, b"")

    @route("PUT", "/{account}/{container}/{name}")
    def put(self, request: Request, account: str, container: str, name: str) -> Answer:
        """Over what is there."""
        self._own(request, account)
        if f"{request.project_id}/{container}" not in self.cloud.things["container"]:
            raise Refusal(404, "The resource could not be found.")
        path = f"{request.project_id}/{container}/{name}"
        self.cloud.contents[path] = bytes(request.body or b"")
        self.cloud.things["object"][path] = {"project_id": request.project_id}
        return Answer(201, b"")

    @route("GET", "/{account}/{container}/{name}")
    def get(self, request: Request, account: str, container: str, name: str) -> Answer:
        self._own(request, account)
        path = f"{request.project_id}/{container}/{name}"
        if path not in self.cloud.things["object"]:
            raise Refusal(404, "The resource could not be found.")
        return Answer(200, self.cloud.contents[path])

    def _own(self, request: Request, account: str) -> None:
        if account != f"AUTH_{request.project_id}":
            raise Refusal(403, "Access was denied to this resource.")
