# SPDX-License-Identifier: Apache-2.0
"""Quota classes: which limits hold where a project has none of its own?"""

import logging
from typing import Any

from karbor.api.call import Call
from karbor.api.node import Item, Node
from karbor.api.operation import Answer, operation
from karbor.conf import quota as settings
from karbor.db.database import Transaction
from karbor.model.quota import KINDS
from karbor.schema.nouns.quota import QUOTA_CLASS, QUOTA_CLASS_CHANGE
from karbor.schema.types import END, Schema

LOG = logging.getLogger(__name__)
_NAME: Schema = {
    "type": "string",
    "pattern": r"^[A-Za-z0-9_.~:@-]{1,64}" + END,
    "examples": ["default"],
    "description": "Name of the class. `default` holds for every project without limits of its own.",
}


def _limits(call: Call, rows: Transaction, name: str) -> dict[str, Any]:
    return {"id": name, **rows.quotas.class_limits(name, settings.defaults(call.services.conf))}


class QuotaClass(Node):
    """``/quota_classes/{name}``"""

    @operation("quota_class:get", role="admin", response=QUOTA_CLASS, errors=(400, 404))
    def get(self, call: Call) -> Answer:
        """Show the limits of a class."""
        with call.services.database.read() as rows:
            return {"quota_class": _limits(call, rows, call.path["class_name"])}

    @operation("quota_class:update", role="admin", body=QUOTA_CLASS_CHANGE, response=QUOTA_CLASS, errors=(400, 404))
    def put(self, call: Call) -> Answer:
        """Change the limits of a class. What is not named stays."""
        name = call.path["class_name"]
        given = {kind: int(call.body[kind]) for kind in KINDS if kind in call.body}  # 50.0 is whole, too

        def change(rows: Transaction) -> dict[str, Any]:
            rows.quotas.set_class(name, given)
            return _limits(call, rows, name)

        limits = call.services.database.retrying(change)
        LOG.info("quota class changed class=%s limits=%s request=%s", name, given, call.context.request_id)
        return {"quota_class": limits}


class QuotaClasses(Node):
    """``/quota_classes``: only one class at a time has an address."""

    item = Item("class_name", _NAME, QuotaClass)
