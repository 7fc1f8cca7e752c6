# SPDX-License-Identifier: Apache-2.0
"""Which versions of the API are there, and what is their document?"""

import functools
from typing import Any

from karbor.api.call import Call
from karbor.api.node import Node
from karbor.api.operation import Answer, operation
from karbor.schema import openapi
from karbor.schema.nouns.version import VERSION, VERSIONS
from karbor.schema.types import ANY_OBJECT


def _version(call: Call) -> dict[str, Any]:
    links = [{"rel": "self", "href": f"{call.base_url}/v1/"}]
    return {"id": "v1.0", "status": "CURRENT", "version": "", "min_version": "", "links": links}


class VersionList(Node):
    """``/``"""

    @operation(None, response=VERSIONS)
    def get(self, call: Call) -> Answer:
        """List the versions of the API."""
        return {"versions": [_version(call)]}


class Version(Node):
    """``/v1``"""

    @operation(None, response=VERSION)
    def get(self, call: Call) -> Answer:
        """Show this version of the API."""
        return {"version": _version(call)}


class Document(Node):
    """``/v1/openapi.json``"""

    @operation(None, response=ANY_OBJECT)
    def get(self, call: Call) -> Answer:
        """Show the description of this API (OpenAPI 3.1), with the way to log in to this service."""
        return self._document

    @functools.cached_property
    def _document(self) -> dict[str, Any]:
        logins = {"keystone": ("token",), "http_basic": ("basic",)}.get(self.services.conf.auth_strategy, ())
        return openapi.document(self.services.endpoints, logins=logins)
