# SPDX-License-Identifier: Apache-2.0
"""How much may tenants schedule by themselves? What they pick of the published policies has no such limit."""

from karbor.api.call import Call
from karbor.db.database import Transaction
from karbor.model import errors
from karbor.schema.operation import Role

Rule = tuple[str, Role, str]
SCHEDULES: Rule = (
    "scheduled_operation:exceed_limits",
    "admin",
    "Schedule what tenants may not, and more than they may",
)
TRIGGERS: Rule = ("trigger:exceed_limits", "admin", "Make triggers that fire more often than those of tenants may")


def unbounded(call: Call, rule: Rule) -> bool:
    """Whether the caller is beyond the limits."""
    try:
        call.require(rule[0], project_id=call.project_id)
    except errors.Forbidden:
        return False
    return True


def check_type(call: Call, operation_type: str) -> None:
    """Raises Forbidden for a type of operation that tenants may not schedule."""
    allowed = call.services.conf.tenant_operation_types
    if allowed and operation_type not in allowed and not unbounded(call, SCHEDULES):
        raise errors.Forbidden(f"Only these types may be scheduled here: {', '.join(sorted(allowed))}.")


def check_number(call: Call, rows: Transaction) -> None:
    """Raises TooLarge where the project has as many as it may; nobody makes one until the transaction ends."""
    most = call.services.conf.tenant_max_schedules
    if most and not unbounded(call, SCHEDULES) and rows.scheduled_operations.count_own(call.project_id) >= most:
        raise errors.TooLarge(f"A project may have {most} scheduled operations of its own.")
