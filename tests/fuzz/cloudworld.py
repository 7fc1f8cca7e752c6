# SPDX-License-Identifier: Apache-2.0
"""Who answers odd requests about a cloud that get through the API? The real code of the workers, over one in memory.

The document-driven requests go to twins of the workers, with empty parameters; here nothing is a twin but the cloud.
"""

import json
from urllib.parse import urlencode

import webob

from karbor.api.app import make_app
from karbor.common import context
from karbor.heat.options import STACK_TYPE, StackOptions
from karbor.model.mapping import MAPPING_TYPE
from karbor.model.provider import ProviderInfo
from karbor.plugins.resources.volume_data import VolumeDataProtection
from karbor.protection.clouds import Clouds
from karbor.protection.restorescope import SCOPE_TYPE, ScopeOptions
from karbor.protection.service import ProtectionService
from karbor.sdk.mapping import WorldMap
from tests.functional.test_cloud import PROVIDER, CloudHouse, TrustsOfMemory
from tests.support.api import check_documented, make_conf


class Tokens(TrustsOfMemory):
    """Whoever has any token is the one tenant."""

    def session_for_token(self, token, project_id):
        return self._cloud.session("alpha")


class Answering:
    """The workers' service, asked as over RPC: with the token of whoever asks."""

    def __init__(self, service):
        self._service = service

    def __getattr__(self, name):
        def ask(**given):
            with context.with_token("token"):
                return getattr(self._service, name)(**given)

        return ask


class CloudWorld(CloudHouse):
    """An application with one available checkpoint, and the API over the real service of the workers.

    The workers themselves are sent home: what is begun stays begun.
    """

    def __init__(self, root):
        super().__init__(root, VolumeDataProtection)
        self.available = self.checkpoint()
        assert self.available.status == "available", self.available.reason
        self.worker.stop(10)
        provider = self._parts.providers.get(PROVIDER)
        by_type = {type_: plugin for plugin in provider.protections for type_ in plugin.resource_types}
        whole = {STACK_TYPE: StackOptions, MAPPING_TYPE: WorldMap, SCOPE_TYPE: ScopeOptions}
        schemas = {
            "options_schema": {type_: plugin.Protect.schema() for type_, plugin in by_type.items()},
            "restore_schema": {type_: plugin.Restore.schema() for type_, plugin in by_type.items()}
            | {type_: options.schema() for type_, options in whole.items()},
            "saved_info_schema": {type_: plugin.Saved.schema() for type_, plugin in by_type.items()},
            "verify_schema": {type_: plugin.Verify.schema() for type_, plugin in by_type.items()},
        }
        provider.info = ProviderInfo(PROVIDER, "cloud", schemas=schemas)
        with self.database.write() as rows:
            rows.providers.put(provider.info)
        clock = self._parts.clock
        clouds = Clouds(Tokens(self.cloud), self._parts.clouds._settings, secrets=self.seal.open)
        service = ProtectionService(self.worker, self._parts.protectables, self._parts.providers, clock, clouds=clouds)
        (root / "karbor.conf").write_text(f"[clients]\nlogin_key_file = {root}/login.key\n")
        (root / "login.key").write_bytes(self.key)
        (root / "login.key").chmod(0o600)
        conf = make_conf([root / "karbor.conf"], project_work_per_minute=0, quota_plans=-1)
        self._app = make_app(conf, database=self.database, protection=Answering(service), clock=clock)

    def close(self):
        self.executor.shutdown()
        self.vault.close()
        self.database.dispose()

    def send(self, method, path, body=None, **query):
        """(status, JSON). Whatever was sent, the answer is one that the document tells of, and no fault of ours."""
        url = f"/v1/{self.project}{path}" + (f"?{urlencode(query)}" if query else "")
        request = webob.Request.blank(url, method=method, headers={"X-Auth-Token": f"ann:{self.project}"})
        if body is not None:
            request.body, request.content_type = json.dumps(body).encode(), "application/json"
        response = request.get_response(self._app)
        check_documented(method, url.partition("?")[0], response)
        answer = response.json_body if response.body else None
        assert response.status_int < 500, (body, answer)
        if response.status_int >= 400:
            (fault,) = answer.values()
            assert fault["code"] == response.status_int and isinstance(fault["message"], str) and fault["message"]
        return response.status_int, answer

    def restore(self, parameters, **more):
        """Ask for a restore of the checkpoint."""
        body = {"provider_id": PROVIDER, "checkpoint_id": self.available.id, "parameters": parameters, **more}
        return self.send("POST", "/restores", {"restore": body})

    def named(self):
        """A resource that a plan can name."""
        return {"id": self.servers[0], "type": "OS::Nova::Server", "name": "web"}
