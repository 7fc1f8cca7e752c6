# SPDX-License-Identifier: Apache-2.0
"""Services: which daemons are there, and do they live?"""

import logging
from typing import Any

from karbor.api.call import Call
from karbor.api.node import Item, Node
from karbor.api.operation import Answer, operation
from karbor.api.v1.views import moment
from karbor.db.database import Transaction
from karbor.model import errors
from karbor.model.service import Service as Value
from karbor.schema.nouns.service import CHANGE, SERVICE, SERVICES
from karbor.schema.types import END, Schema

LOG = logging.getLogger(__name__)
#: The one that can be disabled: then it begins nothing new.
ENGINE = "karbor-operationengine"
_ID: Schema = {"type": "string", "pattern": r"^[1-9][0-9]{0,8}" + END, "examples": ["1"], "description": "Its number."}


def view(call: Call, value: Value) -> dict[str, Any]:
    """A service as it is shown."""
    now, down_after = call.services.clock.now(), call.services.conf.service_down_time
    return {
        "id": value.id,
        "binary": value.binary,
        "host": value.host,
        "status": "disabled" if value.disabled else "enabled",
        "state": "up" if value.is_up(now, down_after=down_after) else "down",
        "updated_at": moment(value.updated_at),
        "disabled_reason": value.disabled_reason,
    }


class Service(Node):
    """``/os-services/{id}``"""

    @operation("service:update", role="admin", body=CHANGE, response=SERVICE.show, errors=(400, 404))
    def put(self, call: Call) -> Answer:
        """Enable or disable an operation engine. A disabled one begins nothing new."""
        enabled, reason = call.body["status"] == "enabled", call.body.get("disabled_reason")
        if enabled and reason is not None:
            raise errors.InvalidInput("disabled_reason can only be given with the status disabled.")

        def change(rows: Transaction) -> Value:
            found = rows.services.get(int(call.path["service_id"]))
            if found.binary != ENGINE:
                raise errors.InvalidInput(f"Only {ENGINE} can be enabled or disabled.")
            return rows.services.set_enabled(found.id, enabled=enabled, reason=reason)

        after = call.services.database.retrying(change)
        LOG.info(
            "service %s service=%s host=%s request=%s",
            call.body["status"], after.binary, after.host, call.context.request_id,
        )  # fmt: skip
        return {"service": view(call, after)}


class Services(Node):
    """``/os-services``"""

    item = Item("service_id", _ID, Service)

    @operation(
        "service:get_all",
        role="admin",
        response=SERVICES,
        parameters={
            "host": {"type": "string", "description": "Only those on this host."},
            "binary": {"type": "string", "description": "Only this daemon."},
        },
        errors=(400,),
    )
    def get(self, call: Call) -> Answer:
        """List services."""
        wanted = {name: call.query.get(name) or None for name in ("host", "binary")}
        with call.services.database.read() as rows:
            found = rows.services.list(**wanted)
        return {"services": [view(call, service) for service in found]}
