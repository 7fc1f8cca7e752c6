# SPDX-License-Identifier: Apache-2.0
"""Providers: who protects, and which options are there?"""

from karbor.api import paging
from karbor.api.call import Call
from karbor.api.node import Item, Node
from karbor.api.operation import Answer, operation
from karbor.api.v1 import views
from karbor.api.v1.checkpoints import Checkpoints
from karbor.schema.nouns.provider import PROVIDER
from karbor.schema.query import ListQuery
from karbor.schema.types import UUID

QUERY = ListQuery(
    filters={"name": "Only the provider of this name.", "description": "Only providers with this description."},
    sort=("id", "name"),
    ignored_sort=("status", "created_at"),
    default_sort=(("id", "asc"),),
)


class Provider(Node):
    """``/providers/{id}``"""

    below = {"checkpoints": Checkpoints}

    @operation("provider:get", response=PROVIDER.show, errors=(400, 404))
    def get(self, call: Call) -> Answer:
        """Show a provider."""
        with call.services.database.read() as rows:
            provider = rows.providers.get(call.path["provider_id"])
        return {"provider": views.provider(provider, call)}


class Providers(Node):
    """``/providers``"""

    item = Item("provider_id", UUID, Provider)

    @operation("provider:get_all", response=PROVIDER.list, query=QUERY, errors=(400,))
    def get(self, call: Call) -> Answer:
        """List providers."""
        with call.services.database.read() as rows:
            page = rows.providers.list(call.page)
        shown = [views.provider(entry, call) for entry in page.items]
        return paging.listing(call, "providers", shown, full=page.full)
